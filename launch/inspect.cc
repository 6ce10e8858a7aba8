// lockstep inspect FILE: a dataset, a checkpoint, safetensors, a config (with its network) or a
// run.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "io/base/checksum.h"
#include "io/formats/checkpoint.h"
#include "io/formats/safetensors.h"
#include "io/hdf5/hdf5.h"
#include "io/inspection/augment_sheet.h"
#include "io/inspection/contact_sheet.h"
#include "io/inspection/summary.h"
#include "launch/commands.h"
#include "launch/layer_table.h"
#include "runtime/config/augment_kinds.h"
#include "runtime/run/checkpointing.h"
#include "runtime/run/library_plans.h"
#include "runtime/run/session.h"

namespace lockstep {

namespace {

void print_tensors(const std::vector<NamedTensor>& tensors) {
  std::size_t width = 4;
  for (const NamedTensor& tensor : tensors) width = std::max(width, tensor.name.size());
  fmt::print("{:<{}}  {:<9}  {:<18}  {:>12}  checksum\n", "name", width, "type", "shape", "norm");
  std::int64_t elements = 0;
  for (const auto& [name, tensor] : tensors) {
    std::string norm = "-";
    if (tensor.dtype() == DType::kFloat32) {
      double sum = 0;
      for (const float value : tensor.span<float>()) sum += static_cast<double>(value) * value;
      norm = fmt::format("{:.6g}", std::sqrt(sum));
    }
    elements += tensor.elements();
    fmt::print("{:<{}}  {:<9}  {:<18}  {:>12}  {}\n", name, width, name_of(tensor.dtype()),
               tensor.shape().to_string(), norm,
               checksum_text(checksum(tensor.raw(), tensor.bytes())));
  }
  fmt::print("{} tensors, {} values\n", tensors.size(), elements);
}

void inspect_checkpoint(const std::string& file) {
  const Checkpoint checkpoint = read_checkpoint(file);
  const TrainingState state = state_from_json(checkpoint.state, file);
  const RunIdentity& identity = state.identity;
  fmt::print("{}: checkpoint after step {}\ndata checksum {}, arithmetic probe {}\n", file,
             state.step, identity.data_checksum, identity.probe);
  if (!identity.gpu.empty())
    fmt::print("{}: {} plans, digest {}\n", identity.gpu, identity.plans.size(),
               plans_digest(identity.gpu, identity.plans));
  fmt::print("\n{}\n", identity.config);
  print_tensors(checkpoint.tensors);
}

void inspect_safetensors(const std::string& file) {
  const SafetensorsReader reader(file);
  fmt::print("{}: safetensors\n", file);
  for (const auto& [key, value] : reader.metadata()) fmt::print("{} = {}\n", key, value);
  std::vector<NamedTensor> tensors;
  for (const SafetensorsReader::Entry& entry : reader.entries())
    tensors.push_back({entry.name, reader.read(entry)});
  print_tensors(tensors);
}

struct InspectArguments {
  std::string file;
  std::vector<std::string> overrides;  // of a config
  std::string images;                  // contact sheet to write
  std::string split;  // of the sheet; default: /train, or the root where there is no such group
  ContactSheetOptions sheet;
  bool augment = false;  // the sheet shows what a config's data.augment makes of training samples
};

constexpr std::int64_t kVersions = 8;  // of a sample on that sheet

// Samples of the training part, or of --split, as training sees them.
void inspect_augmentation(const InspectArguments& arguments, const std::string& file) {
  if (!file.ends_with(".toml")) throw Error("{}: --augment takes a config, FILE.toml", file);
  const Config config = load_config(file, arguments.overrides);
  if (config.data.augment.empty())
    throw Error("{}: there is no [[data.augment]]: training sees the samples as they are", file);
  const auto dataset = Dataset::open(
      data_source(config.data, arguments.split.empty() ? config.data.train : arguments.split));
  AugmentOptions options = read_augmentation(config.data);
  options.seed = config.run.seed;
  const bool labels = options.mix.any() && dataset->target() == TargetKind::kClass;
  const Augmentation augmentation(std::move(options), *dataset,
                                  labels ? dataset->class_count() : 0);
  fmt::print("{}\n", write_augment_sheet(*dataset, augmentation, arguments.sheet.count, kVersions,
                                         arguments.images));
}

void inspect_dataset(const InspectArguments& arguments) {
  fmt::print("{}", dataset_summary(arguments.file));
  if (arguments.images.empty()) return;
  ContactSheetOptions sheet = arguments.sheet;
  sheet.source.file = arguments.file;
  sheet.source.group = arguments.split;
  if (arguments.split.empty() && hdf5::File::open(arguments.file).has_group("/train"))
    sheet.source.group = "/train";
  fmt::print("\n{}\n", write_contact_sheet(sheet, arguments.images));
}

int inspect(const InspectArguments& arguments, const Networks& networks) {
  std::string file = arguments.file;
  if (std::filesystem::is_directory(file)) file += "/config.toml";
  if (!std::filesystem::exists(file)) throw Error("{}: there is no such file", file);
  if (!arguments.overrides.empty() && !file.ends_with(".toml"))
    throw Error("{}: {}: only a config or a run has keys to override", file,
                arguments.overrides.front());
  if (arguments.augment) {
    inspect_augmentation(arguments, file);
    return 0;
  }
  if (file.ends_with(".ckpt")) {
    inspect_checkpoint(file);
  } else if (file.ends_with(".safetensors")) {
    inspect_safetensors(file);
  } else if (file.ends_with(".toml")) {
    const Config config = load_config(file, arguments.overrides);
    fmt::print("{}", to_toml(config));
    print_layer_table(config, networks);
  } else {
    inspect_dataset(arguments);
    return 0;
  }
  if (!arguments.images.empty())
    throw Error(
        "{}: --images shows the images of a dataset file, FILE.h5, or with --augment those that "
        "training sees",
        file);
  return 0;
}

}  // namespace

void add_inspect(CLI::App& app, Action& action, const Networks& networks) {
  auto arguments = std::make_shared<InspectArguments>();
  ContactSheetOptions& sheet = arguments->sheet;
  CLI::App* command =
      app.add_subcommand("inspect", "show a dataset, checkpoint, safetensors file, config or run");
  command
      ->add_option("file", arguments->file, "FILE.h5, .ckpt, .safetensors, .toml, or a run folder")
      ->required();
  command->add_option("overrides", arguments->overrides, "key=value, of a config or a run");
  CLI::Option* images = command->add_option("--images", arguments->images,
                                            "OUT.png: a contact sheet, a row of images a class");
  command
      ->add_flag("--augment", arguments->augment,
                 "of a config: a row a sample, as stored and as training sees it in 8 epochs")
      ->needs(images);
  command->add_option("--count", sheet.count, "images a class, or in all without classes")
      ->capture_default_str()
      ->needs(images);
  command->add_option("--split", arguments->split, "group that the images are of (default /train)")
      ->needs(images);
  command->add_option("--x", sheet.source.x, "path of the images in a foreign file")->needs(images);
  command->add_option("--y", sheet.source.y, "path of their labels")->needs(images);
  const std::map<std::string, DataSource::Axes> axes{{"nhwc", DataSource::Axes::kNhwc},
                                                     {"nchw", DataSource::Axes::kNchw}};
  command->add_option("--axes", sheet.source.axes, "order of the images' axes in the file")
      ->transform(CLI::CheckedTransformer(axes))
      ->option_text("nhwc (default) or nchw")
      ->needs(images);
  command->footer(
      "Examples:\n"
      "  lockstep inspect fashion-mnist.h5 --images sheet.png\n"
      "  lockstep inspect launch/configs/fashion-mnist.toml training.batch=50\n"
      "  lockstep inspect --augment launch/configs/course/augmented-digits.toml --images "
      "sheet.png\n"
      "  lockstep inspect runs/first/checkpoints/step-00000600.ckpt\n");
  command->callback([arguments, &networks, &action] {
    action = [arguments, &networks] { return inspect(*arguments, networks); };
  });
}

}  // namespace lockstep
