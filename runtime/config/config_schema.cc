#include "runtime/config/config_schema.h"

#include <array>
#include <bit>
#include <span>

#include "runtime/config/config_value.h"

namespace lockstep {

namespace {

using Names = std::span<const std::string_view>;  // by the enumeration's value

Names names(DeviceKind) {
  static constexpr std::array<std::string_view, 3> kNames{"auto", "cpu", "cuda"};
  return kNames;
}
Names names(Reduction) {
  static constexpr std::array<std::string_view, 2> kNames{"tree", "fast"};
  return kNames;
}
Names names(ExchangeType) {
  static constexpr std::array<std::string_view, 2> kNames{"float32", "bfloat16"};
  return kNames;
}
Names names(Precision) {
  static constexpr std::array<std::string_view, 3> kNames{"float32", "bfloat16", "tf32"};
  return kNames;
}
Names names(IsaChoice) {
  static constexpr std::array<std::string_view, 5> kNames{"auto", "avx512", "avx2", "neon",
                                                          "generic"};
  return kNames;
}
Names names(TransportChoice) {
  static constexpr std::array<std::string_view, 2> kNames{"auto", "messages"};
  return kNames;
}
Names names(AxesChoice) {
  static constexpr std::array<std::string_view, 2> kNames{"nhwc", "nchw"};
  return kNames;
}
Names names(ConvolutionChoice) {
  static constexpr std::array<std::string_view, 2> kNames{"auto", "direct"};
  return kNames;
}
Names names(LossKind) {
  static constexpr std::array<std::string_view, 6> kNames{
      "cross_entropy", "binary_cross_entropy", "mse", "l1", "huber", "hinge"};
  return kNames;
}
Names names(OptimizerKind) {
  static constexpr std::array<std::string_view, 5> kNames{"sgd", "adam", "adamw", "rmsprop",
                                                          "adagrad"};
  return kNames;
}
Names names(ScheduleKind) {
  static constexpr std::array<std::string_view, 7> kNames{
      "constant", "step", "multi_step", "exponential", "linear", "cosine", "one_cycle"};
  return kNames;
}
Names names(StopMode) {
  static constexpr std::array<std::string_view, 3> kNames{"auto", "min", "max"};
  return kNames;
}

template <typename Enum>
std::string_view name_in_table(Enum value) {
  return names(value)[static_cast<std::size_t>(value)];
}

template <typename Accessor>
ConfigKey make_key(std::string path, KeyRole role, std::string help, Accessor field) {
  ConfigKey key;
  key.path = std::move(path);
  key.role = role;
  key.help = std::move(help);
  using Field = std::remove_cvref_t<decltype(field(std::declval<Config&>()))>;
  if constexpr (std::is_enum_v<Field>) {
    std::vector<std::string> choices;
    for (const std::string_view name : names(Field{})) choices.emplace_back(name);
    key.one_of(std::move(choices));
    key.set = [field](Config& config, const ConfigValue& value) {
      const auto* text = std::get_if<std::string>(&value.value);
      const Names known = names(Field{});
      for (std::size_t i = 0; text != nullptr && i < known.size(); ++i) {
        if (known[i] != *text) continue;
        field(config) = static_cast<Field>(i);
        return true;
      }
      return false;
    };
    key.get = [field](const Config& config) {
      return ConfigValue{std::string(name_of(field(config)))};
    };
  } else {
    key.expected = type_name(Field{});
    key.set = [field](Config& config, const ConfigValue& value) {
      return convert(value, field(config));
    };
    key.get = [field](const Config& config) { return to_value(field(config)); };
  }
  return key;
}

bool is_power_of_two(double value) {
  return value >= 1 && std::has_single_bit(static_cast<std::uint64_t>(value));
}

bool below_one(double value) {
  return value >= 0 && value < 1;
}

// The path of a key is the path of its field.
#define LOCKSTEP_KEY(role, field, help) \
  keys.emplace_back(make_key(           \
      #field, role, help, [](auto& config) -> auto& { return config.field; }))

void add_run_and_data(std::vector<ConfigKey>& keys) {
  constexpr KeyRole kMath = KeyRole::kMathematical;
  constexpr KeyRole kOperational = KeyRole::kOperational;
  LOCKSTEP_KEY(kOperational, run.name, "name of the run; its folder is runs/<name>-<date>-<time>");
  LOCKSTEP_KEY(kMath, run.seed, "of weights, order of samples, dropout").at_least(0);
  LOCKSTEP_KEY(kOperational, run.device,
               "where to compute; auto: on GPUs where every rank has one, else on the CPU");
  LOCKSTEP_KEY(kOperational, run.share_gpu,
               "more ranks than GPUs: some compute on one GPU, and exchange over the host");
  LOCKSTEP_KEY(kMath, run.shards, "virtual shards of a batch, at least as many as ranks")
      .within("a power of two", is_power_of_two)
      .integer_or_auto();
  LOCKSTEP_KEY(kOperational, run.threads, "worker threads of a rank; auto: the cores it may use")
      .at_least(1)
      .integer_or_auto();
  LOCKSTEP_KEY(kOperational, run.replicas,
               "shards of a rank that run at a time on its GPU, each in memory of its own; auto: 1")
      .at_least(1)
      .integer_or_auto();
  LOCKSTEP_KEY(
      kMath, run.reduction,
      "tree: the same bits anywhere; fast: one sum by MPI a bucket, other rounding on other "
      "ranks");
  LOCKSTEP_KEY(kMath, run.exchange_type,
               "what gradients travel as; bfloat16 belongs to reduction = \"fast\"");
  LOCKSTEP_KEY(kMath, run.precision,
               "operands of linear layers and of convolutions other than Winograd's, and on a GPU "
               "activations in bfloat16; all else is float32; bfloat16 needs avx512_bf16 or a GPU, "
               "tf32 a GPU");
  LOCKSTEP_KEY(kOperational, run.isa, "instruction set of the CPU kernels; never changes results");
  LOCKSTEP_KEY(kOperational, run.transport,
               "between ranks: shared memory inside a node (auto), or messages everywhere");
  LOCKSTEP_KEY(kOperational, run.memory_mib,
               "MiB for all ranks of a node; auto: what the control group allows")
      .at_least(1)
      .integer_or_auto();
  LOCKSTEP_KEY(kOperational, run.ranks_per_node,
               "every so many ranks of a node behave as if on one of their own; 0: as they sit")
      .within("at least 0 and at most 65536", [](double v) { return v >= 0 && v <= 65536; });
  LOCKSTEP_KEY(kOperational, run.patience_seconds,
               "a wait for other ranks longer than this ends the job")
      .above(0);

  LOCKSTEP_KEY(kOperational, data.file,
               "HDF5 file; several as one dataset: a list of paths, or a glob");
  LOCKSTEP_KEY(kOperational, data.train, "group of the training part");
  LOCKSTEP_KEY(kMath, data.validation, "group evaluated while training; empty: none");
  LOCKSTEP_KEY(kOperational, data.test, "group that evaluate and predict read");
  LOCKSTEP_KEY(kOperational, data.x, "dataset of inputs, inside the group or an absolute path");
  LOCKSTEP_KEY(kOperational, data.y, "dataset of targets");
  LOCKSTEP_KEY(kOperational, data.weight, "dataset of weights of rows, used where it exists");
  LOCKSTEP_KEY(kOperational, data.axes, "order of the axes of images in the file");
  LOCKSTEP_KEY(kOperational, data.in_memory,
               "one copy a node in memory, where a quarter of what is allowed holds it");
  LOCKSTEP_KEY(kMath, data.normalize, "inputs minus mean, over std, where those are known");
  LOCKSTEP_KEY(kMath, data.mean, "per channel or column; not given: the file's").optional();
  LOCKSTEP_KEY(kMath, data.std, "per channel or column; not given: the file's")
      .at_least(0)
      .optional();
  LOCKSTEP_KEY(kMath, data.augment,
               "[[data.augment]]: random transforms of training samples, a table each")
      .optional();
  LOCKSTEP_KEY(kMath, data.copies, "random versions of every training sample in an epoch")
      .at_least(1);
}

void add_model_and_loss(std::vector<ConfigKey>& keys) {
  constexpr KeyRole kMath = KeyRole::kMathematical;
  LOCKSTEP_KEY(kMath, model.network, "name of the network; its own keys stand beside this one");
  LOCKSTEP_KEY(KeyRole::kOperational, model.weights, "safetensors file to start from; empty: seed");
  LOCKSTEP_KEY(kMath, model.convolution,
               "auto: by Winograd's transforms where they are faster; direct: smaller errors");

  LOCKSTEP_KEY(kMath, loss.kind, "loss, computed from logits");
  LOCKSTEP_KEY(kMath, loss.label_smoothing, "share of the target spread over all classes")
      .within("at least 0 and below 1", below_one)
      .only_for({"cross_entropy"});
  LOCKSTEP_KEY(kMath, loss.class_weights, "one weight a class; not given: all 1")
      .at_least(0)
      .optional()
      .only_for({"cross_entropy"});
  LOCKSTEP_KEY(kMath, loss.delta, "|error| up to which the loss is a square")
      .above(0)
      .only_for({"huber"});
  LOCKSTEP_KEY(kMath, loss.scale, "factor of the loss; 0.5 makes mse half the squared error")
      .above(0);
  LOCKSTEP_KEY(kMath, loss.l1,
               "penalty l1 Σ|w|: the gradient grows by l1 sign(w); the loss shown is without it")
      .at_least(0);
  LOCKSTEP_KEY(kMath, loss.l2, "penalty l2/2 Σw²: the gradient grows by l2 w; as above")
      .at_least(0);
}

void add_optimizer_and_schedule(std::vector<ConfigKey>& keys) {
  constexpr KeyRole kMath = KeyRole::kMathematical;
  LOCKSTEP_KEY(kMath, optimizer.kind, "update rule");
  LOCKSTEP_KEY(kMath, optimizer.lr, "learning rate; never depends on the number of ranks")
      .at_least(0);
  LOCKSTEP_KEY(kMath, optimizer.momentum, "share of the last update that is kept")
      .within("at least 0 and below 1", below_one)
      .only_for({"sgd", "rmsprop"});
  LOCKSTEP_KEY(kMath, optimizer.dampening, "share of the gradient left out of the momentum")
      .within("at least 0 and below 1", below_one)
      .only_for({"sgd"});
  LOCKSTEP_KEY(kMath, optimizer.nesterov, "Nesterov's momentum").only_for({"sgd"});
  LOCKSTEP_KEY(kMath, optimizer.beta1, "decay of the mean of gradients")
      .within("at least 0 and below 1", below_one)
      .only_for({"adam", "adamw"});
  LOCKSTEP_KEY(kMath, optimizer.beta2, "decay of the mean of squared gradients")
      .within("at least 0 and below 1", below_one)
      .only_for({"adam", "adamw"});
  LOCKSTEP_KEY(kMath, optimizer.eps,
               "added to the root of the squared gradients; of adagrad by default 1e-10")
      .above(0)
      .only_for({"adam", "adamw", "rmsprop", "adagrad"});
  LOCKSTEP_KEY(kMath, optimizer.alpha, "decay of the mean of squared gradients")
      .within("at least 0 and below 1", below_one)
      .only_for({"rmsprop"});
  LOCKSTEP_KEY(kMath, optimizer.centered, "divide by the spread of gradients, not by their size")
      .only_for({"rmsprop"});
  LOCKSTEP_KEY(kMath, optimizer.lr_decay, "the rate is lr / (1 + (step - 1) lr_decay)")
      .at_least(0)
      .only_for({"adagrad"});
  LOCKSTEP_KEY(kMath, optimizer.initial_accumulator, "what sums of squared gradients start from")
      .at_least(0)
      .only_for({"adagrad"});
  LOCKSTEP_KEY(kMath, optimizer.weight_decay,
               "adamw: weights shrink by lr times this; others: L2, added to the gradient")
      .at_least(0);
  LOCKSTEP_KEY(kMath, optimizer.decay_norms_and_biases,
               "false: weight_decay, loss.l1 and loss.l2 leave biases and norms alone");
  LOCKSTEP_KEY(kMath, optimizer.groups,
               "parameters by name, the first that fits counts: { match = \"layer1.*\", "
               "lr_scale = 0.1, weight_decay = 0 }")
      .optional();

  LOCKSTEP_KEY(kMath, schedule.kind, "course of the learning rate");
  LOCKSTEP_KEY(kMath, schedule.warmup_steps, "the rate rises from 0 over so many steps")
      .at_least(0)
      .optional()
      .instead_of("schedule.warmup_epochs");
  LOCKSTEP_KEY(kMath, schedule.warmup_epochs, "the same in epochs")
      .at_least(0)
      .optional()
      .instead_of("schedule.warmup_steps");
  LOCKSTEP_KEY(kMath, schedule.every_steps, "the rate is multiplied by gamma every so many steps")
      .at_least(1)
      .optional()
      .only_for({"step"})
      .instead_of("schedule.every_epochs");
  LOCKSTEP_KEY(kMath, schedule.every_epochs, "the same in epochs")
      .at_least(1)
      .optional()
      .only_for({"step"})
      .instead_of("schedule.every_steps");
  LOCKSTEP_KEY(kMath, schedule.milestones_steps, "the rate is multiplied by gamma at these steps")
      .at_least(1)
      .optional()
      .only_for({"multi_step"})
      .instead_of("schedule.milestones_epochs");
  LOCKSTEP_KEY(kMath, schedule.milestones_epochs, "the same in epochs")
      .at_least(1)
      .optional()
      .only_for({"multi_step"})
      .instead_of("schedule.milestones_steps");
  LOCKSTEP_KEY(kMath, schedule.gamma, "factor; exponential: once an epoch")
      .above(0)
      .only_for({"step", "multi_step", "exponential"});
  LOCKSTEP_KEY(kMath, schedule.final_lr, "the rate at the end")
      .at_least(0)
      .only_for({"linear", "cosine"});
  LOCKSTEP_KEY(kMath, schedule.pct_start, "share of the steps in which the rate rises")
      .within("at least 0 and at most 1", [](double v) { return v >= 0 && v <= 1; })
      .only_for({"one_cycle"});
  LOCKSTEP_KEY(kMath, schedule.div_factor, "the cycle begins at lr over this")
      .above(0)
      .only_for({"one_cycle"});
  LOCKSTEP_KEY(kMath, schedule.final_div_factor, "and ends at its first rate over this")
      .above(0)
      .only_for({"one_cycle"});
}

void add_training(std::vector<ConfigKey>& keys) {
  constexpr KeyRole kMath = KeyRole::kMathematical;
  constexpr KeyRole kOperational = KeyRole::kOperational;
  LOCKSTEP_KEY(kMath, training.epochs, "passes over the training part")
      .at_least(1)
      .optional()
      .instead_of("training.steps");
  LOCKSTEP_KEY(kMath, training.steps, "updates, instead of epochs")
      .at_least(1)
      .optional()
      .instead_of("training.epochs");
  LOCKSTEP_KEY(kMath, training.batch,
               "rows of an update, over all ranks; where nothing is trained, 32 if not given")
      .at_least(1)
      .optional();
  LOCKSTEP_KEY(kMath, training.drop_last, "leave out the last batch of an epoch if it is short");
  LOCKSTEP_KEY(kMath, training.clip_norm, "largest norm of the gradient; 0: not clipped")
      .at_least(0);
  LOCKSTEP_KEY(kMath, training.clip_value, "largest |element| of the gradient; 0: not clipped")
      .at_least(0);
  LOCKSTEP_KEY(kMath, training.evaluate_every, "epochs from one evaluation to the next")
      .at_least(1);
  LOCKSTEP_KEY(kMath, training.top_k, "also report the top-k accuracy; 0: no").at_least(0);
  LOCKSTEP_KEY(kMath, training.ema,
               "decay of a moving average of weights and running statistics, which evaluation, the "
               "best checkpoint and export then take; 0: none")
      .within("at least 0 and below 1", below_one);
  LOCKSTEP_KEY(kMath, training.phases,
               "one after another, instead of epochs: { train = [\"head\"], epochs = 1, lr = 0.01, "
               "schedule = {...} }; train: names as in optimizer.groups, \"head\" or \"all\" (the "
               "default); batch_norm = \"frozen\": running statistics rest")
      .optional();
  LOCKSTEP_KEY(kMath, training.early_stopping.metric, "of the validation part")
      .one_of({"loss", "accuracy", "top_k", "rmse", "mae"});
  LOCKSTEP_KEY(kMath, training.early_stopping.patience,
               "stop after so many evaluations without a better value; not given: never")
      .at_least(1)
      .optional();
  LOCKSTEP_KEY(kMath, training.early_stopping.mode, "which value is better; auto: by the metric");
  LOCKSTEP_KEY(kMath, training.early_stopping.restore_best, "end with the weights of the best");

  LOCKSTEP_KEY(kOperational, checkpoint.every_steps,
               "steps between checkpoints; 0: by epochs alone")
      .at_least(0);
  LOCKSTEP_KEY(kOperational, checkpoint.every_epochs,
               "epochs between checkpoints; 0: by steps alone")
      .at_least(0);
  LOCKSTEP_KEY(kOperational, checkpoint.keep, "the newest so many stay, and the best").at_least(1);
  LOCKSTEP_KEY(kMath, checkpoint.best,
               "metric of the validation part by which one is the best; early stopping has its own")
      .one_of({"loss", "accuracy", "top_k", "rmse", "mae"});
  LOCKSTEP_KEY(kOperational, log.every_steps, "steps between lines of metrics; 0: one an epoch")
      .at_least(0);
  LOCKSTEP_KEY(kOperational, log.tensorboard,
               "TensorBoard events in the run folder: metrics, images, hyper-parameters");
  LOCKSTEP_KEY(kOperational, log.histogram_epochs,
               "epochs between TensorBoard histograms of weights and gradients; 0: none")
      .at_least(0);
  LOCKSTEP_KEY(kOperational, log.parameters,
               "small parameters shown after every epoch, with the gradients of its last step")
      .optional();
}
#undef LOCKSTEP_KEY

std::vector<ConfigKey> make_schema() {
  std::vector<ConfigKey> keys;
  add_run_and_data(keys);
  add_model_and_loss(keys);
  add_optimizer_and_schedule(keys);
  add_training(keys);
  return keys;
}

}  // namespace

std::string_view name_of(DeviceKind value) {
  return name_in_table(value);
}
std::string_view name_of(Reduction value) {
  return name_in_table(value);
}
std::string_view name_of(Precision value) {
  return name_in_table(value);
}
std::string_view name_of(ExchangeType value) {
  return name_in_table(value);
}
std::string_view name_of(IsaChoice value) {
  return name_in_table(value);
}
std::string_view name_of(TransportChoice value) {
  return name_in_table(value);
}
std::string_view name_of(AxesChoice value) {
  return name_in_table(value);
}
std::string_view name_of(ConvolutionChoice value) {
  return name_in_table(value);
}
std::string_view name_of(LossKind value) {
  return name_in_table(value);
}
std::string_view name_of(OptimizerKind value) {
  return name_in_table(value);
}
std::string_view name_of(ScheduleKind value) {
  return name_in_table(value);
}
std::string_view name_of(StopMode value) {
  return name_in_table(value);
}

const std::vector<ConfigKey>& config_schema() {
  static const std::vector<ConfigKey> schema = make_schema();
  return schema;
}

}  // namespace lockstep
