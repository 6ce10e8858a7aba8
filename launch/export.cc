// lockstep export RUN [FILE.safetensors] [--onnx OUT.onnx]: the weights under PyTorch's names, and
// the network as ONNX, without MPI; of a run folder without its data, too.
#include "io/formats/safetensors.h"
#include "launch/commands.h"
#include "launch/onnx_model.h"
#include "launch/trained.h"
#include "runtime/run/checkpointing.h"

namespace lockstep {

namespace {

struct ExportArguments {
  ModelArguments model;
  std::string file, onnx;

  // `export CONFIG --onnx OUT.onnx key=value` gives the first override in the file's place.
  void return_override() {
    const std::size_t equals = file.find('=');
    if (equals == std::string::npos || file.find('/') < equals) return;  // a path, not a key
    model.overrides.insert(model.overrides.begin(), std::exchange(file, {}));
  }
};

void export_weights(const ModelArguments& arguments, const std::string& file) {
  const Config config = load_trained_config(arguments);
  const std::string& from = config.model.weights;
  if (from.empty())
    throw Error("{}: [model.initial] is no weights file; give model.weights",
                arguments.run_or_config);
  std::vector<NamedTensor> tensors;
  if (from.ends_with(".ckpt")) {
    tensors = trained_weights(read_checkpoint(from).tensors);
  } else {
    const SafetensorsReader reader(from);
    for (const SafetensorsReader::Entry& entry : reader.entries())
      tensors.push_back({entry.name, reader.read(entry)});
  }
  write_safetensors(file, tensors, {{"format", "pt"}});
  std::int64_t elements = 0;
  for (const NamedTensor& tensor : tensors) elements += tensor.tensor.elements();
  fmt::print("{}: {} tensors, {} values, from {}\n", file, tensors.size(), elements, from);
}

int run_export(ExportArguments& arguments, const Networks& networks) {
  arguments.return_override();
  if (arguments.file.empty() && arguments.onnx.empty())
    throw Error("export to what? Give FILE.safetensors for the weights, --onnx FILE.onnx, or both");
  if (!arguments.file.empty()) export_weights(arguments.model, arguments.file);
  if (!arguments.onnx.empty()) write_onnx_model(arguments.onnx, arguments.model, networks);
  return 0;
}

}  // namespace

void add_export(CLI::App& app, Action& action, const Networks& networks) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* command =
      app.add_subcommand("export", "write a run's weights as safetensors, its network as ONNX");
  command
      ->add_option("run", arguments->model.run_or_config,
                   "run folder, or config with model.weights")
      ->required();
  command->add_option("file", arguments->file, "FILE.safetensors");
  command->add_option("overrides", arguments->model.overrides, "key=value");
  add_best_flag(*command, arguments->model);
  command->add_option("--onnx", arguments->onnx, "FILE.onnx");
  command->footer(
      "Examples:\n"
      "  lockstep export runs/first weights.safetensors\n"
      "  lockstep export runs/first --best best.safetensors\n"
      "  lockstep export runs/first --onnx first.onnx\n"
      "  lockstep export mlp.toml model.weights=w.safetensors --onnx mlp.onnx\n"
      "  python3 -c 'from safetensors.torch import load_file; "
      "print(load_file(\"weights.safetensors\").keys())'\n"
      "\nThe ONNX model takes float32 values as they stand in the data file (pixels from 0 to\n"
      "255; normalisation is part of the model), images as (N, C, H, W), and gives logits.\n");
  command->callback([arguments, &networks, &action] {
    action = [arguments, &networks] { return run_export(*arguments, networks); };
  });
}

}  // namespace lockstep
