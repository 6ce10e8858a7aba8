#include "models/weights.h"

#include "io/dataset/dataset.h"
#include "io/formats/safetensors.h"

namespace lockstep {

namespace {

// What keeps the file's tensors from being this network's, one line each; empty: nothing.
std::vector<std::string> mismatches(const SafetensorsReader& reader, ParamSet& params) {
  std::vector<std::string> lines;
  for (const Param& param : params.all()) {
    const SafetensorsReader::Entry* entry = reader.find(param.name);
    if (entry == nullptr) {
      lines.push_back(fmt::format("'{}' is missing", param.name));
    } else if (entry->shape != param.spec.file_shape) {
      lines.push_back(fmt::format("'{}' is {}, the network's is {}", param.name,
                                  entry->shape.to_string(), param.spec.file_shape.to_string()));
    } else if (entry->type != DType::kFloat32) {
      lines.push_back(fmt::format("'{}' holds {}, not float32", param.name, name_of(entry->type)));
    }
  }
  for (const SafetensorsReader::Entry& entry : reader.entries()) {
    if (params.find(entry.name) == nullptr && !entry.name.ends_with("num_batches_tracked"))
      lines.push_back(fmt::format("'{}' is no parameter of the network", entry.name));
  }
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

void read_weights(const std::string& path, Backend& backend, ParamSet& params) {
  const SafetensorsReader reader(path);
  const std::vector<std::string> lines = mismatches(reader, params);
  if (!lines.empty()) {
    throw Error("{}: these weights are not the network's:\n  {}\nCheck model.network and its keys",
                path, fmt::join(lines, "\n  "));
  }
  for (const Param& param : params.all()) {
    Tensor value = param.value;
    backend.from_file_order(param.spec.layout, param.spec.file_shape,
                            reader.read(*reader.find(param.name)), value);
  }
}

}  // namespace lockstep
