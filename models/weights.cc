#include "models/weights.h"

#include <algorithm>
#include <optional>

#include "io/dataset/dataset.h"
#include "io/formats/safetensors_floats.h"
#include "models/head.h"

namespace lockstep {

namespace {

using Entry = SafetensorsReader::Entry;

// The scope of a head that differs from the file's in its number of outputs, and in nothing else.
struct OtherHead {
  std::string scope;
  std::int64_t file_outputs = 0, outputs = 0;
};

std::optional<OtherHead> find_other_head(const SafetensorsReader& reader, ParamSet& params) {
  const std::optional<std::string> scope = head_scope(params);
  if (!scope) return std::nullopt;
  const std::string name = scope->empty() ? "weight" : *scope + ".weight";
  const Shape& ours = params.find(name)->spec.file_shape;
  const Entry* const entry = reader.find(name);
  if (entry == nullptr || entry->shape.rank() != 2 || entry->shape[1] != ours[1] ||
      entry->shape[0] == ours[0])
    return std::nullopt;
  return OtherHead{*scope, entry->shape[0], ours[0]};
}

struct Reading {
  std::vector<std::pair<const Param*, const Entry*>> pairs;
  std::vector<std::string> mismatches;  // one line each
};

Reading match(const SafetensorsReader& reader, ParamSet& params,
              const std::optional<OtherHead>& head) {
  const auto renewed = [&](const std::string& name) { return head && in_scope(name, head->scope); };
  Reading reading;
  auto& lines = reading.mismatches;
  for (const Param& param : params.all()) {
    if (renewed(param.name)) continue;
    const Entry* const entry = reader.find(param.name);
    if (entry == nullptr)
      lines.push_back(fmt::format("'{}' is missing", param.name));
    else if (entry->shape != param.spec.file_shape)
      lines.push_back(fmt::format("'{}' is {}, the network's is {}", param.name,
                                  entry->shape.to_string(), param.spec.file_shape.to_string()));
    else if (!is_float(*entry))
      lines.push_back(
          fmt::format("'{}' holds {}, not numbers with a point", param.name, entry->code));
    else
      reading.pairs.emplace_back(&param, entry);
  }
  for (const Entry& entry : reader.entries()) {
    if (params.find(entry.name) == nullptr && !renewed(entry.name) &&
        !entry.name.ends_with("num_batches_tracked"))
      lines.push_back(fmt::format("'{}' is no parameter of the network", entry.name));
  }
  return reading;
}

// The prefix that all of the network's names have in the file, as a wrapped module's do in Python;
// empty: there is none.
std::string prefix_of_names(const SafetensorsReader& reader, const ParamSet& params) {
  if (params.all().empty()) return {};
  const std::string first = "." + params.all().front().name;
  for (const Entry& entry : reader.entries()) {
    if (!entry.name.ends_with(first)) continue;
    std::string prefix = entry.name.substr(0, entry.name.size() - first.size() + 1);
    const auto has_prefix = [&](const Param& param) {
      return reader.find(prefix + param.name) != nullptr;
    };
    if (std::ranges::all_of(params.all(), has_prefix)) return prefix;
  }
  return {};
}

// What to do about a file whose tensors are not the network's; `head`: one that is refused.
std::string advice(const SafetensorsReader& reader, ParamSet& params,
                   const std::optional<OtherHead>& head) {
  if (head && match(reader, params, head).mismatches.empty())
    return fmt::format(
        "The file's head has {0} outputs, where the data ask for {1}: set model.outputs = {0} (of "
        "a network for pictures model.num_classes = {0}), or train, which makes the head anew",
        head->file_outputs, head->outputs);
  const std::string prefix = prefix_of_names(reader, params);
  if (!prefix.empty())
    return fmt::format(
        "The network's names begin with '{}' there: save the state dict of the module inside, "
        "without that prefix",
        prefix);
  return "Check model.network and its keys";
}

// "102 tensors of F16" for each kind of float that is not float32.
std::vector<std::string> conversions(const Reading& reading) {
  std::map<std::string, int> counts;
  for (const auto& [param, entry] : reading.pairs)
    if (entry->code != "F32") ++counts[entry->code];
  std::vector<std::string> lines;
  for (const auto& [code, count] : counts)
    lines.push_back(fmt::format("{} tensor{} of {} {} to float32", count, count == 1 ? "" : "s",
                                code, code == "F64" ? "rounded" : "converted"));
  return lines;
}

}  // namespace

void write_weights(const std::string& path, Backend& backend, const ParamSet& params,
                   const std::map<std::string, std::string>& metadata) {
  std::vector<NamedTensor> tensors;
  for (const Param& param : params.all()) {
    Tensor values = host_tensor(param.spec.file_shape, DType::kFloat32);
    backend.to_file_order(param.spec.layout, param.spec.file_shape, param.value, values);
    tensors.push_back({param.name, values});
  }
  write_safetensors(path, tensors, metadata);
}

std::vector<std::string> read_weights(const std::string& path, Backend& backend, ParamSet& params,
                                      HeadPolicy policy) {
  const SafetensorsReader reader(path);
  const std::optional<OtherHead> head = find_other_head(reader, params);
  const bool renews = policy == HeadPolicy::kMayDiffer;
  const Reading reading = match(reader, params, renews ? head : std::nullopt);
  if (!reading.mismatches.empty()) {
    throw Error("{}: these weights are not the network's:\n  {}\n{}", path,
                fmt::join(reading.mismatches, "\n  "),
                advice(reader, params, renews ? std::nullopt : head));
  }
  std::vector<Tensor> values;
  for (const auto& [param, entry] : reading.pairs)
    values.push_back(read_finite_floats(reader, *entry));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Param& param = *reading.pairs[i].first;
    Tensor value = param.value;
    backend.from_file_order(param.spec.layout, param.spec.file_shape, values[i], value);
  }
  std::vector<std::string> notes = conversions(reading);
  if (head)  // refused otherwise
    notes.push_back(fmt::format("head '{}': {} outputs in the file, {} here: initialised anew",
                                head->scope, head->file_outputs, head->outputs));
  return notes;
}

}  // namespace lockstep
