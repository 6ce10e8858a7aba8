#include "runtime/run/session.h"

#include <algorithm>

#include "io/augment/centre_view.h"
#include "runtime/communication/agreement.h"
#include "runtime/config/augment_kinds.h"
#include "runtime/run/cpu_resources.h"
#include "runtime/run/memory_plan.h"
#include "runtime/run/probe.h"
#include "runtime/run/rehearsal.h"
#include "runtime/step/trainer.h"

namespace lockstep {

namespace {

// Batch norm and the vector kernels want this many rows a shard on a CPU.
constexpr std::int64_t kMinShardRows = 8;
// A GPU has idle multiprocessors with fewer.
constexpr std::int64_t kMinShardRowsOfGpu = 64;
// Rows at once where a config that trains nothing says none.
constexpr std::int64_t kDefaultBatch = 32;
// The share of a rank's memory that unpacked chunks of a dataset may take.
constexpr std::size_t kCacheShare = 16;

}  // namespace

std::int64_t given_count(const ModelTable& table, std::string_view key) {
  const auto found = table.entries().find(key);
  if (found == table.entries().end()) return 0;
  const auto* count = std::get_if<std::int64_t>(&found->second.value.value);
  return count != nullptr ? std::max<std::int64_t>(0, *count) : 0;
}

DataSource data_source(const DataConfig& data, const std::string& split) {
  DataSource source;
  source.file = data.file;
  source.group = split;
  source.x = data.x;
  source.y = data.y;
  source.weight = data.weight;
  source.axes = data.axes == AxesChoice::kNchw ? DataSource::Axes::kNchw : DataSource::Axes::kNhwc;
  return source;
}

void resolve_from_data(Config& config, const Dataset& data, Purpose purpose) {
  ModelTable& table = config.model.table;
  if (table.get<std::int64_t>("outputs", 0) == 0) {
    const bool has_targets = data.target() != TargetKind::kNone;
    // A network that is trained already keeps its outputs, whatever the data that it is shown.
    std::int64_t outputs =
        purpose == Purpose::kTrain && has_targets ? 0 : given_count(table, "num_classes");
    if (outputs == 0 && !has_targets)
      throw Error(
          "{}: the data have no targets, which would tell how many outputs the network has; set "
          "model.outputs, or model.num_classes of a network for pictures",
          config.data.file);
    if (outputs == 0) {
      const std::int64_t classes = data.target() == TargetKind::kClass ? data.class_count() : 0;
      outputs = network_outputs(config.loss.kind, data.target(), data.target_columns(), classes);
    }
    table.set("outputs", {ConfigValue{outputs}, "resolved from the data"});
  }
  if (config.data.normalize && config.data.mean.empty()) {
    config.data.mean = data.info().mean;
    config.data.std = data.info().std;
  }
}

Session::Session(Config config, Purpose purpose, const std::string& split,
                 Communicator& communicator, const NetworkFactory& networks,
                 std::shared_ptr<const Dataset> samples,
                 const std::function<void(const DeviceChoice&)>& on_device)
    : config_(std::move(config)), purpose_(purpose), communicator_(communicator) {
  if (purpose != Purpose::kTrain && config_.training.batch == 0)
    config_.training.batch = kDefaultBatch;
  std::vector<int> threads;
  device_ = choose_device(config_.run, communicator);
  if (on_device) on_device(device_);
  if (device_.gpu && purpose == Purpose::kTrain)
    link_ =
        choose_link(config_.run, communicator, device_.shared, [] { return load_nccl_library(); });
  together(communicator, [&] {
    if (!device_.gpu) {  // whose kernels are threads enough
      const ThreadChoice choice = resolve_threads(config_.run.threads, communicator.local_size(),
                                                  communicator.local_rank());
      threads_ = choice.threads;
      if (!choice.warning.empty()) log_.push_back("warning: " + choice.warning);
    }
    probe_ = arithmetic_probe(backend());
  });

  data_ = samples ? NodeDataset{samples, true, samples->access()} : open_stored(split);
  together(communicator, [&] {
    if (purpose != Purpose::kPredict && data_.data->target() == TargetKind::kNone)
      throw Error(
          "{}: there is no dataset '{}/{}', but loss \"{}\" needs targets; name them with "
          "data.y",
          config_.data.file, split, config_.data.y, name_of(config_.loss.kind));
    if (config_.run.shards == 0)
      config_.run.shards =
          auto_shards(config_.training.batch, device_.gpu ? kMinShardRowsOfGpu : kMinShardRows);
    resolve_outputs(split);
    augment(purpose);
    if (purpose == Purpose::kTrain && !data_.resident) {  // a rank unpacks for a step's own rows
      const std::string warning = data_.data->shuffle_warning(
          std::max<std::int64_t>(config_.training.batch / communicator.size(), 1));
      if (!warning.empty()) log_.push_back("warning: " + warning);
    }
    if (purpose == Purpose::kTrain) choose_replicas();
    if (!device_.gpu) fit_threads_to_memory(make_blueprint(purpose, networks), purpose);
  });
  if (on_device && !config_.data.validation.empty()) validation_ = open(config_.data.validation);
  for (const std::string& text : communicator.all_gather(std::to_string(threads_)))
    threads.push_back(std::stoi(text));
  log_.insert(log_.begin(),
              fmt::format("device: {}; {}{}; {} thread{} a rank{}", device_.text, link_.text,
                          communicator.description(), threads_, threads_ == 1 ? "" : "s",
                          replicas_ == 1 ? "" : fmt::format(", {} shards at a time", replicas_)));
  together(communicator, [&] {
    const ShardPlan plan(config_.run.shards, threads);
    const std::int64_t max_rows =
        (config_.training.batch + config_.run.shards - 1) / config_.run.shards;
    blueprint_ = make_blueprint(purpose, networks);
    if (device_.gpu && purpose == Purpose::kTrain) reserve_memory(plan, max_rows);
    team_ = std::make_unique<Team>(blueprint_, plan, max_rows, communicator, backend(), link_.link,
                                   replicas_);
    const Shape& output = team_->replica().output_shape();
    if (purpose == Purpose::kTrain && classes_.classes > 0)
      outputs_note_ = spare_outputs_note(classes_, output.back());
    if (!outputs_note_.empty()) log_.push_back(outputs_note_);
  });
}

void Session::rebuild(std::set<std::string> frozen) {
  blueprint_.frozen = std::move(frozen);
  together(communicator_, [&] { team_->rebuild(blueprint_); });
}

void Session::plan_warm_up() {
  const auto sizes = [this](const Dataset& data, std::int64_t copies, bool drop_last) {
    return shard_sizes(
        {data.rows() * copies, config_.training.batch, config_.run.shards, drop_last});
  };
  warm_up_.training = sizes(*data_.data, config_.data.copies, config_.training.drop_last);
  warm_up_.sample = blueprint_.sample;
  warm_up_.x_type = blueprint_.x_type;
  if (!validation_) return;
  const Dataset& data = *validation_->data;
  warm_up_.evaluation = sizes(data, 1, false);
  warm_up_.target = data.target();
  warm_up_.target_columns = data.target_columns();
  warm_up_.weights = data.has_weight();
}

// All that a GPU's training takes, in one piece, before anything else is had of the GPU; with as
// many of the replicas as it holds.
void Session::reserve_memory(const ShardPlan& plan, std::int64_t max_rows) {
  plan_warm_up();
  const auto planned = [&] {
    return rehearse(device_, {config_, blueprint_, plan, communicator_.rank(), replicas_, max_rows,
                              link_.link != nullptr, warm_up_});
  };
  MemoryPlan memory = planned();
  const std::size_t wanted = memory.bytes;
  const std::size_t free = device_.library->memory(*device_.backend).free;
  const int asked = replicas_;
  while (replicas_ > 1 && memory.bytes > free) {
    --replicas_;
    memory = planned();
  }
  if (replicas_ < asked)
    log_.push_back(fmt::format(
        "memory: {} of {} replicas run, one shard after another: {} need {}, and {} of the GPU's "
        "are free; the results are the same",
        replicas_, asked, asked, bytes_text(wanted), bytes_text(free)));
  device_.library->reserve(*device_.backend, memory);
  memory_table_ = lockstep::memory_table(memory.rows);
  log_.push_back(
      fmt::format("memory: {} of the GPU's for all of training", bytes_text(memory.bytes)));
}

std::size_t Session::allowed_memory() const {
  const std::size_t limit = memory_limit_bytes();
  const auto asked = static_cast<std::size_t>(config_.run.memory_mib) << 20;
  return asked == 0 ? limit : std::min(limit, asked);
}

void Session::choose_replicas() {
  const std::int64_t asked = std::max<std::int64_t>(1, config_.run.replicas);
  if (asked == 1) return;
  if (!device_.gpu) {
    log_.push_back(
        fmt::format("run.replicas = {} is for GPUs: on the CPU, run.threads says how many shards "
                    "run at a time",
                    asked));
    return;
  }
  const std::int64_t ranks = communicator_.size(), most = (config_.run.shards + ranks - 1) / ranks;
  replicas_ = static_cast<int>(std::min(asked, most));
  if (asked > most)
    log_.push_back(
        fmt::format("run.replicas = {}: a rank has {} of the {} shards, so {} run{} at "
                    "a time",
                    asked, most, config_.run.shards, most, most == 1 ? "s" : ""));
}

void Session::fit_threads_to_memory(const Blueprint& blueprint, Purpose purpose) {
  MemoryQuestion question;
  question.replica = measure_replica(blueprint, *device_.backend);
  question.allowed = static_cast<double>(allowed_memory());
  question.taken = data_.resident ? static_cast<double>(resident_bytes(*data_.data)) : 0;
  // A validation part is opened later, and keeps as much.
  const int parts = purpose == Purpose::kTrain && !config_.data.validation.empty() ? 2 : 1;
  question.taken +=
      parts * communicator_.local_size() * static_cast<double>(data_.data->cache_bytes());
  question.local_ranks = communicator_.local_size();
  question.ranks = communicator_.size();
  question.rank = communicator_.rank();
  question.shards = config_.run.shards;
  question.batch = config_.training.batch;
  question.trains = purpose == Purpose::kTrain;
  if (question.trains) question.states = static_cast<int>(state_names(config_).size());
  if (question.trains) question.packed_sharers = question.local_ranks;
  if (config_.run.reduction == Reduction::kTree) question.flat_sharers = question.local_ranks;
  const MemoryAnswer answer = fit_threads(question, threads_);
  threads_ = answer.threads;
  if (!answer.note.empty()) log_.push_back(answer.note);
}

NodeDataset Session::open_stored(const std::string& split) {
  DataSource source = data_source(config_.data, split);
  // Labels of later parts must be known to the network; the first part tells how many there are.
  if (outputs_ > 0 && !compares_values(config_.loss.kind))
    source.classes = std::max<std::int64_t>(2, outputs_);
  if (purpose_ != Purpose::kPredict) source.targets = target_rule(config_.loss.kind);
  const auto ranks = static_cast<std::size_t>(communicator_.local_size());
  source.cache_bytes = std::min(source.cache_bytes, allowed_memory() / ranks / kCacheShare);
  // The other ranks of the node wait meanwhile, so that one may use what all of them share.
  const int threads = choose_threads(0, 1, 0, read_core_facts()).threads;
  NodeDataset data = open_on_node(source, communicator_,
                                  config_.data.in_memory ? allowed_memory() / 4 : 0, threads);
  log_.push_back(fmt::format("data: {} {}: {} rows of {} {}; {}", config_.data.file, split,
                             data.data->rows(), data.data->sample_shape().to_string(),
                             name_of(data.data->x_type()), data.access));
  return data;
}

void Session::resolve_outputs(const std::string& split) {
  const Dataset& data = *data_.data;
  if (purpose_ != Purpose::kPredict && data.target() == TargetKind::kClass)
    classes_ = {config_.loss.kind, data.class_count(),
                fmt::format("{} {}", config_.data.file, split)};
  ModelTable& table = config_.model.table;
  const bool of_classes = purpose_ == Purpose::kTrain && table.get<std::int64_t>("outputs", 0) == 0;
  resolve_from_data(config_, data, purpose_);
  outputs_ = table.get<std::int64_t>("outputs", 0);
  if (classes_.classes == 0 || of_classes) return;
  network_outputs(config_.loss.kind, TargetKind::kClass, 1, classes_.classes);  // of this loss?
  check_output({outputs_});  // before transforms mix labels of classes that it does not know
}

void Session::check_output(const Shape& output) const {
  if (classes_.classes == 0 || output.rank() != 1) return;
  if (purpose_ == Purpose::kTrain)
    check_trained_outputs(classes_, config_.model.table, output[0]);
  else
    check_evaluated_outputs(classes_, output[0]);
}

// Transforms belong to training; a size that they give belongs to the network.
void Session::augment(Purpose purpose) {
  AugmentOptions options = read_augmentation(config_.data);
  options.seed = config_.run.seed;
  const Dataset& data = *data_.data;
  stored_sample_ = data.sample_shape();
  sample_ = augmented_shape(options, stored_sample_);
  if (purpose != Purpose::kTrain) {
    data_ = evaluated(data_);
    return;
  }
  if (config_.data.augment.empty()) return;
  if (options.mix.any() && data.target() == TargetKind::kClass &&
      config_.loss.kind != LossKind::kCrossEntropy)
    throw Error(
        "{}: mixed labels are probabilities of classes, which loss \"{}\" does not take; set "
        "loss.kind = \"cross_entropy\"",
        options.mix_where, name_of(config_.loss.kind));
  augmentation_ = std::make_shared<const Augmentation>(std::move(options), data, outputs_);
}

NodeDataset Session::evaluated(NodeDataset data) const {
  if (sample_ != stored_sample_ && data.data->sample_shape() == stored_sample_)
    data.data = centre_view(std::move(data.data), sample_);
  return data;
}

Blueprint Session::make_blueprint(Purpose purpose, const NetworkFactory& networks) {
  const Dataset& data = *data_.data;
  Blueprint blueprint;
  blueprint.sample = sample_;
  blueprint.x_type = data.x_type();
  blueprint.target = augmentation_ ? augmentation_->target() : data.target();
  blueprint.target_columns =
      augmentation_ ? augmentation_->target_columns() : data.target_columns();
  blueprint.seed = config_.run.seed;
  blueprint.direct_convolutions = config_.model.convolution == ConvolutionChoice::kDirect;
  if (config_.data.normalize)
    set_normalization(blueprint, config_.data.mean, config_.data.std);
  else
    set_normalization(blueprint, {}, {});
  blueprint.make_network = [this, networks, sample = blueprint.sample] {
    return networks(config_, sample, outputs_);
  };
  blueprint.check_output = [this](const Shape& output) { check_output(output); };
  if (purpose != Purpose::kPredict)
    blueprint.make_loss = [this] { return make_loss(config_.loss, config_.training.top_k); };
  return blueprint;
}

}  // namespace lockstep
