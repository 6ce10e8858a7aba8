#include "io/dataset/description.h"

#include <nlohmann/json.hpp>

namespace lockstep {

namespace {

constexpr DType kSampleTypes[] = {DType::kFloat32, DType::kUInt8, DType::kInt64};

}  // namespace

DataDescription describe(const Dataset& dataset) {
  const DatasetInfo& info = dataset.info();
  return {dataset.sample_shape(), dataset.x_type(), info.task, info.classes, info.encoding};
}

std::string to_json(const DataDescription& description) {
  nlohmann::ordered_json json;
  json["sample"] = description.sample.sizes();
  json["x_type"] = name_of(description.x_type);
  json["task"] = description.task;
  json["classes"] = description.classes;
  if (!description.encoding.empty())
    json["encoding"] = nlohmann::ordered_json::parse(description.encoding);
  return json.dump(1) + "\n";
}

DataDescription description_from_json(const std::string& text, const std::string& name) {
  try {
    const auto json = nlohmann::ordered_json::parse(text);
    DataDescription description;
    description.sample = Shape(json.at("sample").get<std::vector<std::int64_t>>());
    const auto type = json.at("x_type").get<std::string>();
    const auto* known = std::find_if(std::begin(kSampleTypes), std::end(kSampleTypes),
                                     [&](DType dtype) { return name_of(dtype) == type; });
    if (known == std::end(kSampleTypes)) throw Error("{}: unknown x_type '{}'", name, type);
    description.x_type = *known;
    json.at("task").get_to(description.task);
    json.at("classes").get_to(description.classes);
    if (json.contains("encoding")) description.encoding = json["encoding"].dump();
    return description;
  } catch (const nlohmann::ordered_json::exception& error) {
    throw Error("{}: not a description of data: {}", name, error.what());
  }
}

}  // namespace lockstep
