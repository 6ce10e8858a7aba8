// Placement of a case's tensors in guarded memory, and its run.
#include "kernels/cases/case_run.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>

#include "kernels/core/small_floats.h"

namespace lockstep::cases {

namespace {

constexpr std::size_t kGuardBytes = 256;
constexpr std::byte kGuard{0xC3};
constexpr std::byte kPoison{0xFF};  // NaN in every floating type, -1 or 255 in the others

std::vector<std::byte> to_bytes(const Doubles& values, DType type) {
  std::vector<std::byte> bytes(values.size() * size_of(type));
  const auto store = [&]<typename T>(T) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const T value = static_cast<T>(values[i]);
      std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
    }
  };
  switch (type) {
    case DType::kFloat32:
      store(float{});
      break;
    case DType::kFloat64:
      store(double{});
      break;
    case DType::kUInt8:
      store(std::uint8_t{});
      break;
    case DType::kInt64:
      store(std::int64_t{});
      break;
    case DType::kBFloat16:
      for (std::size_t i = 0; i < values.size(); ++i) {
        const std::uint16_t value = to_bfloat16(static_cast<float>(values[i]));
        std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
      }
      break;
  }
  return bytes;
}

// IEEE 754 leaves sign and payload of a NaN open: all count as the same bits.
void make_nans_alike(DType type, std::vector<std::byte>& bytes) {
  if (type == DType::kUInt8 || type == DType::kInt64) return;
  Doubles values = to_doubles(bytes, type);
  for (double& value : values)
    if (std::isnan(value)) value = std::numeric_limits<double>::quiet_NaN();
  bytes = to_bytes(values, type);
}

std::uint64_t hash_of(const std::string& text) {  // FNV-1a; inputs differ from case to case
  std::uint64_t hash = 0xCBF29CE484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  return hash;
}

Tensor pinned_copy(Backend& backend, const std::vector<std::byte>& bytes) {
  Tensor copy = backend.empty_pinned({static_cast<std::int64_t>(bytes.size())}, DType::kUInt8);
  if (!bytes.empty()) std::memcpy(copy.raw(), bytes.data(), bytes.size());
  return copy;
}

Tensor part_of(const Tensor& memory, std::size_t start, const Shape& shape, DType type) {
  auto whole = std::make_shared<Tensor>(memory);
  return Tensor(std::shared_ptr<std::byte>(whole, memory.raw() + start), shape, type,
                memory.device());
}

}  // namespace

std::uint64_t test_seed() {
  const char* chosen = std::getenv("LOCKSTEP_TEST_SEED");
  return chosen != nullptr ? std::strtoull(chosen, nullptr, 0) : std::random_device{}();
}

Doubles to_doubles(const std::vector<std::byte>& bytes, DType type) {
  Doubles values(bytes.size() / size_of(type));
  const auto load = [&]<typename T>(T value) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
      values[i] = static_cast<double>(value);
    }
  };
  switch (type) {
    case DType::kFloat32:
      load(float{});
      break;
    case DType::kFloat64:
      load(double{});
      break;
    case DType::kUInt8:
      load(std::uint8_t{});
      break;
    case DType::kInt64:
      load(std::int64_t{});
      break;
    case DType::kBFloat16:
      for (std::size_t i = 0; i < values.size(); ++i) {
        std::uint16_t value;
        std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
        values[i] = from_bfloat16(value);
      }
      break;
  }
  return values;
}

Values make_values(const OpCase& op_case, std::uint64_t seed) {
  Values values;
  Random random(seed ^ hash_of(op_case.name()), 0);
  for (const Argument& argument : op_case.arguments) {
    if (!argument.fill) continue;
    Doubles filled(static_cast<std::size_t>(argument.shape.elements()));
    argument.fill(random, values, filled);
    values.add(argument.name, to_doubles(to_bytes(filled, argument.type), argument.type));
  }
  return values;
}

Values with_bfloat16_operands(const OpCase& op_case, const Values& values) {
  Values rounded;
  for (const Argument& argument : op_case.arguments) {
    if (!argument.fill) continue;
    Doubles numbers = values[argument.name];
    if (argument.name == "x" || argument.name == "w" || argument.name == "dy") {
      for (double& number : numbers)
        number = from_bfloat16(to_bfloat16(static_cast<float>(number)));
    }
    rounded.add(argument.name, std::move(numbers));
  }
  return rounded;
}

CaseRun::CaseRun(Backend& backend, const OpCase& op_case, const Values& values, Placement placement)
    : backend_(backend),
      case_(op_case),
      in_place_(placement.in_place),
      stream_(backend.make_stream(0)) {
  for (const Argument& argument : case_.arguments)
    if (argument.role != Role::kHidden) place(argument, values, placement);
  if (in_place_ != nullptr) tensors_[in_place_->output] = tensors_[in_place_->input];
  if (!case_.prepare) return;
  stream_->submit([this] { case_.prepare(backend_, *stream_, tensors_); });
  stream_->synchronize();
}

void CaseRun::place(const Argument& argument, const Values& values, const Placement& placement) {
  Block block;
  block.argument = &argument;
  Shape shape = argument.shape;
  if (argument.role == Role::kScratch) shape = {argument.elements(backend_)};
  if (argument.role == Role::kScratch && shape.elements() == 0) {
    tensors_.add(argument.name, {});  // "there is none"
    return;
  }
  if (argument.weight) shape = {shape.elements()};
  const std::size_t bytes = static_cast<std::size_t>(shape.elements()) * size_of(argument.type);
  const std::size_t guard = placement.exact ? 0 : kGuardBytes;
  block.start = guard + (placement.unaligned ? 3 * size_of(argument.type) : 0);
  block.before.assign(block.start + bytes + guard, kGuard);
  const auto first = block.before.begin() + static_cast<std::ptrdiff_t>(block.start);
  std::fill_n(first, bytes, kPoison);
  if (argument.fill && !argument.weight)
    std::ranges::copy(to_bytes(values[argument.name], argument.type), first);

  const Tensor staged = pinned_copy(backend_, block.before);
  block.memory = staged;
  if (!argument.host) {
    block.memory = backend_.empty(staged.shape(), DType::kUInt8);
    backend_.copy(staged, block.memory);
  }
  block.elements = part_of(block.memory, block.start, shape, argument.type);
  if (argument.fill && argument.weight) {
    const Tensor file = pinned_copy(backend_, to_bytes(values[argument.name], argument.type));
    backend_.from_file_order(argument.layout, argument.shape,
                             part_of(file, 0, argument.shape, argument.type), block.elements);
    const Tensor host = block.memory.to_host();
    std::memcpy(block.before.data(), host.raw(), block.before.size());
  }
  tensors_.add(argument.name, block.elements);
  blocks_.push_back(std::move(block));
}

void CaseRun::run() {
  stream_->submit([this] { case_.run(backend_, *stream_, tensors_); });
  stream_->synchronize();
}

bool CaseRun::overwritten(const Argument& argument) const {
  return argument.role != Role::kInput ||
         (in_place_ != nullptr && in_place_->input == argument.name);
}

OutputBytes CaseRun::collect() {
  OutputBytes outputs;
  for (const Block& block : blocks_) {
    const Argument& argument = *block.argument;
    const Tensor host = block.memory.to_host();
    const std::vector<std::byte> after(host.raw(), host.raw() + block.before.size());
    const std::size_t end = block.start + block.elements.bytes();
    for (std::size_t i = 0; i < after.size(); ++i) {
      const bool inside = i >= block.start && i < end;
      if (after[i] == block.before[i] || (inside && overwritten(argument))) continue;
      throw Error("{}: {} of '{}' was overwritten, {} bytes from the start of its {} bytes",
                  case_.name(), inside ? "an input, element" : "a guard band", argument.name,
                  static_cast<std::ptrdiff_t>(i) - static_cast<std::ptrdiff_t>(block.start),
                  block.elements.bytes());
    }
    if (argument.role != Role::kOutput && argument.role != Role::kState) continue;
    Tensor result = tensors_[argument.name].to_host();
    if (argument.weight) {
      Tensor file = backend_.empty_pinned(argument.shape, argument.type);
      backend_.to_file_order(argument.layout, argument.shape, tensors_[argument.name], file);
      result = file;
    }
    std::vector<std::byte> bytes(result.raw(), result.raw() + result.bytes());
    make_nans_alike(argument.type, bytes);
    outputs.add(argument.name, std::move(bytes));
  }
  return outputs;
}

}  // namespace lockstep::cases
