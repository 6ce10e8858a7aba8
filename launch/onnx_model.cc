#include "launch/onnx_model.h"

#include <nlohmann/json.hpp>

#include "io/dataset/tensor_dataset.h"
#include "launch/predict_input.h"
#include "runtime/run/evaluation.h"
#include "runtime/run/run_folder.h"
#include "runtime/run/version.h"
#include "runtime/step/onnx_export.h"

namespace lockstep {

namespace {

std::string describe_input(const DataDescription& data, bool ids) {
  if (ids) return "int64, N rows; the ids of the data file";
  const bool pixels = data.x_type == DType::kUInt8;
  return fmt::format(
      "float32, {}; the values of the data file{}: normalisation is part of the model",
      data.sample.rank() == 3 ? "(N, C, H, W)" : "N rows", pixels ? ", 0 to 255" : "");
}

OnnxModel describe(const Config& config, const DataDescription& data, bool ids) {
  const Head head = probabilities(config.loss.kind);
  OnnxModel model;
  model.name = config.model.network;
  model.producer_version = kVersion;
  model.input.name = "input";
  model.output.name = head == Head::kRaw ? "output" : "logits";
  model.metadata["input"] = describe_input(data, ids);
  model.metadata["output"] = head == Head::kRaw       ? "values"
                             : head == Head::kSoftmax ? "logits: softmax gives probabilities"
                                                      : "logits: sigmoid gives probabilities";
  if (!data.classes.empty()) model.metadata["classes"] = nlohmann::json(data.classes).dump();
  model.description =
      fmt::format("Input: {}. Output: {}.", model.metadata["input"], model.metadata["output"]);
  return model;
}

}  // namespace

void write_onnx_model(const std::string& file, const ModelArguments& arguments,
                      const Networks& networks) {
  Config config = load_trained_config(arguments);
  config.training.batch = 1;
  config.run.shards = 1;
  config.run.threads = 1;
  const DataDescription data = trained_data(arguments, config);
  // No row is read: the network is built for one that looks like the data's.
  const auto rows = tensor_dataset(host_tensor(data.sample.with_rows(1), data.x_type), {});
  const auto communicator = make_self_communicator();
  TrainedModel model(config, Purpose::kPredict, config.data.train, *communicator, networks.make,
                     rows);
  Session& session = model.session();
  Replica& replica = session.team().replica();
  const Blueprint& blueprint = session.blueprint();
  export_onnx(file,
              {replica.network(), replica.build(), blueprint.sample, replica.output_shape(),
               blueprint.scale, blueprint.shift},
              describe(config, data, replica.network().input_type() == DType::kInt64));
  fmt::print("{}: ONNX, one sample {}, its output {}, from {}\n", file,
             blueprint.sample.to_string(), replica.output_shape().to_string(),
             config.model.weights.empty() ? arguments.run_or_config : config.model.weights);
}

}  // namespace lockstep
