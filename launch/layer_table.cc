#include "launch/layer_table.h"

#include <algorithm>
#include <filesystem>

#include "kernels/cpu/cpu_backend.h"
#include "models/head.h"
#include "models/image_network.h"
#include "runtime/run/phase_plan.h"

namespace lockstep {

namespace {

void print_phases(const Config& config, const ParamSet& params) {
  if (config.training.phases.empty()) return;
  const PhasePlan phases(config, params, head_scope);
  for (std::size_t i = 0; i < phases.size(); ++i) fmt::print("{}\n", phases.describe(i));
}

void print_rows(Replica& replica) {
  std::size_t width = 24, kind_width = 12;
  for (const Build::Row& row : replica.build().table) {
    width = std::max(width, row.name.size());
    kind_width = std::max(kind_width, row.kind.size());
  }
  fmt::print("\n{:<{}}  {:<{}}  {:<18}  {:>12}  {:>16}\n", "layer", width, "kind", kind_width,
             "output", "parameters", "multiply-adds");
  std::int64_t multiply_adds = 0;
  for (const Build::Row& row : replica.build().table) {
    fmt::print("{:<{}}  {:<{}}  {:<18}  {:>12}  {:>16}\n", row.name, width, row.kind, kind_width,
               row.output.to_string(), row.parameters, row.multiply_adds);
    multiply_adds += row.multiply_adds;
  }
  const std::int64_t parameters = replica.params().count(ParamKind::kTrainable);
  fmt::print(
      "{} parameters ({:.2f} M), {} running statistics, {} multiply-adds a sample ({:.2f} G)\n",
      parameters, static_cast<double>(parameters) / 1e6,
      replica.params().count(ParamKind::kStatistic), multiply_adds,
      static_cast<double>(multiply_adds) / 1e9);
}

bool data_are_there(const FileNames& files) {
  const auto absent = [](const std::string& file) {
    return file.find_first_of("*?[") == std::string::npos && !std::filesystem::exists(file);
  };
  return !files.names().empty() && std::ranges::none_of(files.names(), absent);
}

void print_with_data(const Config& config, const Networks& networks) {
  const auto communicator = make_self_communicator();
  Config quiet = config;
  const bool trains =
      config.training.batch > 0 &&
      (config.training.epochs > 0 || config.training.steps > 0 || !config.training.phases.empty());
  if (quiet.training.batch == 0) quiet.training.batch = 1;
  Session session(quiet, trains ? Purpose::kTrain : Purpose::kPredict, config.data.train,
                  *communicator, networks.make);
  Replica& replica = session.team().replica();
  print_rows(replica);
  fmt::print(
      "memory a worker: {:.1f} MiB of activations for {} rows a shard; shared by the workers: "
      "{:.1f} "
      "MiB of weights, {:.1f} MiB of copies in the kernels' order\n",
      static_cast<double>(replica.build().buffer_bytes()) / (1 << 20), replica.build().max_rows(),
      static_cast<double>(replica.params().elements()) * 4 / (1 << 20),
      static_cast<double>(replica.build().packed_bytes()) / (1 << 20));
  if (!session.memory_table().empty())
    fmt::print("memory of the GPU, for training:{}\n", session.memory_table());
  if (!session.outputs_note().empty()) fmt::print("{}\n", session.outputs_note());
  print_phases(config, replica.params());
}

void print_without_data(const Config& config, const NetworkInput& input, const Networks& networks) {
  const std::unique_ptr<Backend> backend = make_cpu_backend(best_isa());
  const std::unique_ptr<Stream> stream = backend->make_stream(0);
  Blueprint blueprint;
  blueprint.sample = input.sample;
  blueprint.make_network = [&] { return networks.make(config, input.sample, input.outputs); };
  Replica replica(blueprint, 1, *backend, *stream);
  print_rows(replica);
  print_phases(config, replica.params());
}

}  // namespace

void print_layer_table(const Config& config, const Networks& networks) {
  if (data_are_there(config.data.file)) return print_with_data(config, networks);
  const std::optional<NetworkInput> input = input_of_keys(config.model.table);
  if (input) return print_without_data(config, *input, networks);
  fmt::print(
      "\n(no layer table: the data file '{}' is not there; it knows the sample's shape. For a "
      "network "
      "of pictures, model.num_classes and model.image_size say it too)\n",
      config.data.file);
}

}  // namespace lockstep
