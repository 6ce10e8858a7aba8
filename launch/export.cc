// lockstep export RUN FILE.safetensors: the weights under PyTorch's names, without MPI or data.
#include <filesystem>

#include "io/formats/safetensors.h"
#include "launch/commands.h"
#include "launch/trained.h"
#include "runtime/run/checkpointing.h"

namespace lockstep {

namespace {

int export_weights(const std::string& run, const std::string& file) {
  const Config config = load_trained_config({run, {}});
  const std::string& from = config.model.weights;
  std::vector<NamedTensor> tensors;
  if (from.ends_with(".ckpt")) {
    const std::string prefix = "weights/";
    for (const NamedTensor& tensor : read_checkpoint(from).tensors)
      if (tensor.name.starts_with(prefix))
        tensors.push_back({tensor.name.substr(prefix.size()), tensor.tensor});
  } else {
    const SafetensorsReader reader(from);
    for (const SafetensorsReader::Entry& entry : reader.entries())
      tensors.push_back({entry.name, reader.read(entry)});
  }
  write_safetensors(file, tensors, {{"format", "pt"}});
  std::int64_t elements = 0;
  for (const NamedTensor& tensor : tensors) elements += tensor.tensor.elements();
  fmt::print("{}: {} tensors, {} values, from {}\n", file, tensors.size(), elements, from);
  return 0;
}

}  // namespace

void add_export(CLI::App& app, Action& action) {
  struct Arguments {
    std::string run, file;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("export", "write a run's weights as safetensors");
  command->add_option("run", arguments->run, "run folder")->required();
  command->add_option("file", arguments->file, "FILE.safetensors")->required();
  command->footer(
      "Examples:\n"
      "  lockstep export runs/first weights.safetensors\n"
      "  python3 -c 'from safetensors.torch import load_file; "
      "print(load_file(\"weights.safetensors\").keys())'\n");
  command->callback([arguments, &action] {
    action = [arguments] { return export_weights(arguments->run, arguments->file); };
  });
}

}  // namespace lockstep
