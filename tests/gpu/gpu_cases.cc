// gpu_cases: every operation case on the GPU that the CUDA plug-in finds, in float32 and bfloat16:
// within the case's tolerance of the double-precision reference, the same bits run twice, unaligned
// and in place. It needs neither MPI nor GoogleTest, so that it runs where a GPU has just been put
// in, and under compute-sanitizer. Prints every complaint and a line at the end.
//
//   gpu_cases [--plugin FILE] [--type float32|bfloat16] [--only WORD ...] [--not WORD ...]
//             [--most-elements N] [--list]
//
// A word is the beginning of an operation's name. Exit code 0: all as they should be; 1: not;
// 77: there is no GPU.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <set>

#include "kernels/cases/bfloat16.h"
#include "kernels/cases/case_run.h"
#include "kernels/cases/op_list.h"
#include "kernels/gpu/gpu_library.h"

namespace lockstep::cases {
namespace {

struct Arguments {
  std::string plugin, type;
  std::vector<std::string> only, leave_out;
  double most_elements = 1e9;
  bool list = false;
};

Arguments parse(int count, char** words) {
  Arguments arguments;
  std::vector<std::string>* words_of = nullptr;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const auto value = [&] {
      if (++i == count) throw Error("{} wants a value", word);
      return std::string(words[i]);
    };
    if (word == "--plugin") {
      arguments.plugin = value();
    } else if (word == "--type") {
      arguments.type = value();
      if (arguments.type != "float32" && arguments.type != "bfloat16")
        throw Error("--type {}: float32 or bfloat16", arguments.type);
    } else if (word == "--most-elements") {
      arguments.most_elements = std::stod(value());
    } else if (word == "--list") {
      arguments.list = true;
    } else if (word == "--only" || word == "--not") {
      words_of = word == "--only" ? &arguments.only : &arguments.leave_out;
    } else if (words_of != nullptr && !word.starts_with("-")) {
      words_of->push_back(word);
    } else {
      throw Error("{}: no such argument; see the top of tests/gpu/gpu_cases.cc", word);
    }
  }
  return arguments;
}

bool begins_with_one(const std::string& name, const std::vector<std::string>& words) {
  return std::ranges::any_of(words,
                             [&](const std::string& word) { return name.starts_with(word); });
}

double elements_of(const OpCase& c) {
  double elements = 0;
  for (const Argument& argument : c.arguments)
    elements += static_cast<double>(argument.shape.elements());
  return elements;
}

std::vector<OpCase> chosen_cases(const Arguments& arguments) {
  std::vector<OpCase> chosen;
  for (OpCase& c : all_cases()) {
    if (c.use == Use::kBenchmark || begins_with_one(c.operation, arguments.leave_out) ||
        (!arguments.only.empty() && !begins_with_one(c.operation, arguments.only)) ||
        elements_of(c) > arguments.most_elements)
      continue;
    std::optional<OpCase> narrow;
    if (arguments.type != "float32") narrow = in_bfloat16(c);
    if (arguments.type != "bfloat16") chosen.push_back(std::move(c));
    if (narrow) chosen.push_back(std::move(*narrow));
  }
  return chosen;
}

void check_same(const OutputBytes& first, const OutputBytes& other, const std::string& which) {
  for (const auto& [name, bytes] : first) {
    const auto place = std::ranges::mismatch(bytes, other[name]).in1 - bytes.begin();
    if (static_cast<std::size_t>(place) != bytes.size())
      throw Error("{} gives other bits: '{}' differs at byte {} of {}", which, name, place,
                  bytes.size());
  }
}

void check_case(Backend& backend, const OpCase& c, std::uint64_t seed) {
  const Values values = make_values(c, seed);
  const auto outputs_of = [&](const Placement& placement) {
    CaseRun run(backend, c, values, placement);
    run.run();
    return run.collect();
  };
  const OutputBytes first = outputs_of({});
  check_outputs(c, reference_results(c, values), first);
  check_same(first, outputs_of({}), "a second run");
  // A library may take another algorithm for operands that lie otherwise.
  const bool of_library = c.operation.starts_with("conv") || c.operation.starts_with("linear");
  const OutputBytes unaligned = outputs_of({.unaligned = true});
  if (of_library)
    check_outputs(c, reference_results(c, values), unaligned);
  else
    check_same(first, unaligned, "an unaligned run");
  for (const InPlace& in_place : c.in_place)
    check_same(first, outputs_of({.in_place = &in_place}), "a run in place of " + in_place.input);
}

int run(const Arguments& arguments) {
  const LoadedGpuLibrary loaded =
      arguments.plugin.empty() ? load_gpu_library() : load_gpu_library({arguments.plugin}, "");
  const VisibleGpus visible =
      loaded.library == nullptr ? VisibleGpus{{}, loaded.why_not} : loaded.library->visible_gpus();
  if (visible.gpus.empty()) {
    std::printf("SKIPPED: no GPU: %s\n", visible.why_none.c_str());
    return 77;
  }
  const std::vector<OpCase> cases = chosen_cases(arguments);
  if (arguments.list) {
    for (const OpCase& c : cases) std::printf("%s\n", c.name().c_str());
    return 0;
  }
  const auto backend = loaded.library->make_backend({});
  const auto narrow_backend = loaded.library->make_backend({.precision = GpuPrecision::kBFloat16});
  const std::uint64_t seed = test_seed();
  std::printf("%s; LOCKSTEP_TEST_SEED=%llu\n", backend->description().c_str(),
              static_cast<unsigned long long>(seed));
  const auto start = std::chrono::steady_clock::now();
  std::set<std::string> operations, wrong;
  for (const OpCase& c : cases) {
    operations.insert(c.operation);
    try {
      check_case(c.label.ends_with(" bfloat16") ? *narrow_backend : *backend, c, seed);
    } catch (const Error& error) {
      wrong.insert(c.operation);
      const std::string text = error.what();  // most name the case themselves
      std::printf("WRONG: %s%s\n",
                  text.find(c.name()) == std::string::npos ? (c.name() + ": ").c_str() : "",
                  text.c_str());
      std::fflush(stdout);
    }
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("%zu cases of %zu operations in %.1f s: %s\n", cases.size(), operations.size(),
              seconds.count(), wrong.empty() ? "all right" : "WRONG");
  for (const std::string& operation : wrong) std::printf("  wrong: %s\n", operation.c_str());
  if (cases.empty()) throw Error("no case is so named");
  return wrong.empty() ? 0 : 1;
}

}  // namespace
}  // namespace lockstep::cases

int main(int count, char** words) {
  try {
    return lockstep::cases::run(lockstep::cases::parse(count, words));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gpu_cases: %s\n", error.what());
    return 1;
  }
}
