// Config: one TOML file and its overrides as plain structs, one per table, named after it. What
// keys there are, their checks and their help stand in one table, config_schema.cc. Every key is
// either mathematical (the bits of the run depend on it: stored in checkpoints, compared on resume)
// or operational. Paths are relative to the working directory.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "io/dataset/file_names.h"

namespace lockstep {

struct ConfigItem;

// A table inside an array, as [[model.layers]] makes them. Two are equal whose keys and values are.
struct ConfigTable {
  std::vector<ConfigItem> items;  // by key
  std::string where;              // "digits.toml:12"
};

// A value as TOML writes it; dates are refused.
struct ConfigValue {
  using Array = std::vector<ConfigValue>;
  std::variant<bool, std::int64_t, double, std::string, Array, ConfigTable> value;
};
bool operator==(const ConfigValue& a, const ConfigValue& b);
bool operator==(const ConfigTable& a, const ConfigTable& b);

// A key's value and where it was written: "digits.toml:12", "override optimizer.lr=0.1".
struct ConfigEntry {
  ConfigValue value;
  std::string where;
};
struct ConfigItem {
  std::string key;
  ConfigEntry entry;
};

// The keys of [model] that belong to the network. Dotted keys stand for tables inside it. Reading
// marks a key as known; what no one has read when the network stands is unknown_keys(). Reading is
// safe from several threads.
class ModelTable {
 public:
  ModelTable();
  bool has(std::string_view key) const;
  const ConfigEntry* find(std::string_view key) const;  // null where it is absent
  // T: bool, std::int64_t, double, std::string, or a std::vector of one of the last three. Throws
  // Error naming the place, the expected and the found type. An integer serves where a double is
  // expected.
  template <typename T>
  T get(std::string_view key, const T& fallback) const;
  template <typename T>
  T require(std::string_view key) const;  // Error where the key is absent

  // One message per unread key: "digits.toml:7: unknown key 'model.width'; did you mean
  // 'model.widths'?". Keys that were asked for, given or not, are the known ones.
  std::vector<std::string> unknown_keys() const;

  void set(std::string key, ConfigEntry entry);
  const std::map<std::string, ConfigEntry, std::less<>>& entries() const { return entries_; }

 private:
  template <typename T>
  T read(std::string_view key, const ConfigEntry& entry) const;

  struct Known;  // the keys asked for, behind a lock; copies of a table share it
  std::map<std::string, ConfigEntry, std::less<>> entries_;
  std::shared_ptr<Known> known_;
};

// One line of [model.initial]: a parameter's values in the file order of weights (PyTorch's).
struct InitialValue {
  std::vector<std::int64_t> shape;  // empty for a single number
  std::vector<double> values;       // row-major
  std::string where;
};

enum class DeviceKind { kAuto, kCpu, kCuda };
enum class Reduction { kTree, kFast };
enum class ExchangeType { kFloat32, kBFloat16 };
enum class Precision { kFloat32, kBFloat16, kTf32 };
enum class IsaChoice { kAuto, kAvx512, kAvx2, kNeon, kGeneric };
enum class TransportChoice { kAuto, kMessages };
enum class AxesChoice { kNhwc, kNchw };
enum class ConvolutionChoice { kAuto, kDirect };
enum class LossKind { kCrossEntropy, kBinaryCrossEntropy, kMse, kL1, kHuber, kHinge };
enum class OptimizerKind { kSgd, kAdam, kAdamW, kRmsprop, kAdagrad };
enum class ScheduleKind { kConstant, kStep, kMultiStep, kExponential, kLinear, kCosine, kOneCycle };
enum class StopMode { kAuto, kMin, kMax };

// The name that the config uses: "adamw", "one_cycle", "auto".
std::string_view name_of(DeviceKind value);
std::string_view name_of(Reduction value);
std::string_view name_of(ExchangeType value);
std::string_view name_of(Precision value);
std::string_view name_of(IsaChoice value);
std::string_view name_of(TransportChoice value);
std::string_view name_of(AxesChoice value);
std::string_view name_of(ConvolutionChoice value);
std::string_view name_of(LossKind value);
std::string_view name_of(OptimizerKind value);
std::string_view name_of(ScheduleKind value);
std::string_view name_of(StopMode value);

struct RunConfig {
  std::string name = "run";
  std::uint64_t seed = 0;
  DeviceKind device = DeviceKind::kAuto;
  bool share_gpu = false;     // more than one rank may compute on a GPU
  std::int64_t shards = 0;    // V, a power of two; 0: "auto", resolved once and then stored
  std::int64_t threads = 0;   // worker threads of a rank; 0: "auto"
  std::int64_t replicas = 0;  // shards of a rank that run at a time on a GPU; 0: "auto"
  Reduction reduction = Reduction::kTree;
  ExchangeType exchange_type = ExchangeType::kFloat32;  // bfloat16: with kFast alone
  Precision precision = Precision::kFloat32;
  IsaChoice isa = IsaChoice::kAuto;
  TransportChoice transport = TransportChoice::kAuto;
  std::int64_t memory_mib = 0;      // that the ranks of a node may use together; 0: "auto"
  std::int64_t ranks_per_node = 0;  // behave as if every so many sat on a node; 0: as they sit
  double patience_seconds = 300;
};

struct DataConfig {
  FileNames file;  // one path, a list of paths, globs
  std::string train = "/train";
  std::string validation;  // empty: no evaluation while training
  std::string test = "/test";
  std::string x = "x", y = "y", weight = "weight";  // inside the group, or absolute
  AxesChoice axes = AxesChoice::kNhwc;
  bool in_memory = true;               // where a quarter of the allowed memory holds them
  bool normalize = true;               // by mean and std, where they are given here or in the file
  std::vector<double> mean{}, std{};   // per channel or column; empty: those of the file
  std::vector<ConfigTable> augment{};  // of training samples: see augment_kinds.h
  std::int64_t copies = 1;  // of every training sample in an epoch, each augmented in its own way
};

// model.network of a config that lists [[model.layers]] instead of naming a network.
inline constexpr const char* kLayersNetwork = "layers";

struct ModelConfig {
  std::string network;
  std::string weights;  // a safetensors file to start from; empty: initialised from the seed
  ConvolutionChoice convolution = ConvolutionChoice::kAuto;
  ModelTable table;                                          // the network's own keys
  std::map<std::string, InitialValue, std::less<>> initial;  // by parameter name
};

struct LossConfig {
  LossKind kind = LossKind::kCrossEntropy;
  double label_smoothing = 0;
  std::vector<double> class_weights{};  // empty: all 1
  double delta = 1;                     // huber
  double scale = 1;                     // factor of the loss; 0.5 of mse: half the squared error
  double l1 = 0, l2 = 0;                // the gradient grows by l1 sign(w) + l2 w
};

// PyTorch's default of optimizer.eps for AdaGrad, which parsing fills in; 1e-8 for the others.
inline constexpr double kAdagradEps = 1e-10;

struct OptimizerConfig {
  OptimizerKind kind = OptimizerKind::kAdam;
  double lr = 1e-3;
  double momentum = 0;                           // sgd, rmsprop
  double dampening = 0;                          // sgd
  bool nesterov = false;                         // sgd
  double beta1 = 0.9, beta2 = 0.999;             // adam, adamw
  double eps = 1e-8;                             // all but sgd; adagrad: kAdagradEps
  double alpha = 0.99;                           // rmsprop
  bool centered = false;                         // rmsprop
  double lr_decay = 0, initial_accumulator = 0;  // adagrad
  double weight_decay = 0;  // adamw: decoupled; others: L2, added to the gradient
  bool decay_norms_and_biases = true;
  std::vector<ConfigTable> groups{};  // see parameter_groups.h
};

struct ScheduleConfig {
  ScheduleKind kind = ScheduleKind::kConstant;
  std::int64_t warmup_steps = 0, warmup_epochs = 0;  // at most one of the two
  std::int64_t every_steps = 0, every_epochs = 0;    // step: exactly one of the two
  std::vector<std::int64_t> milestones_steps{}, milestones_epochs{};  // multi_step: one of the two
  double gamma = 0.1;                                               // step, multi_step, exponential
  double final_lr = 0;                                              // linear, cosine
  double pct_start = 0.3, div_factor = 25, final_div_factor = 1e4;  // one_cycle
};

struct EarlyStoppingConfig {
  std::string metric = "loss";  // of the validation part
  std::int64_t patience = 0;    // evaluations without a better value; 0: no early stopping
  StopMode mode = StopMode::kAuto;
  bool restore_best = true;
  bool maximise() const;  // mode, with "auto" decided by the metric
};

struct TrainingConfig {
  std::int64_t epochs = 0, steps = 0;  // exactly one is set
  std::int64_t batch = 0;              // global: over all ranks
  bool drop_last = false;
  double clip_norm = 0;             // global norm of the gradient; 0: no clipping
  double clip_value = 0;            // of each element; 0: no clipping
  std::int64_t evaluate_every = 1;  // epochs, where data.validation is set
  std::int64_t top_k = 0;           // also report top-k accuracy; 0: no
  double ema = 0;                   // decay of the weights' moving average; 0: none is kept
  EarlyStoppingConfig early_stopping;
  std::vector<ConfigTable> phases{};  // see phases.h; then neither epochs nor steps is set
};

struct CheckpointConfig {
  std::int64_t every_steps = 0, every_epochs = 1;  // 0: not by this measure
  std::int64_t keep = 2;                           // the newest so many, and the best
  std::string best = "loss";  // by which metric of the validation part, without early stopping
};

struct LogConfig {
  std::int64_t every_steps = 0;           // a line of metrics every so many steps; 0: one an epoch
  bool tensorboard = false;               // event files in the run folder
  std::int64_t histogram_epochs = 0;      // epochs from one histogram to the next; 0: none
  std::vector<std::string> parameters{};  // shown after every epoch, with their gradients
};

// The keys of a table, checked as those of [schedule] are; the others have their defaults.
ScheduleConfig read_schedule(const ConfigTable& table);

struct Config {
  RunConfig run;
  DataConfig data;
  ModelConfig model;
  LossConfig loss;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  TrainingConfig training;
  CheckpointConfig checkpoint;
  LogConfig log;
};

// Overrides: "key=value", the value parsed as TOML, else taken as a string. An override also
// removes what the file says and can no longer hold: epochs beside steps, keys of another kind.
// "model.layers[2].features=20" changes one key of one table of an array. All throw Error with file
// and line: syntax, unknown keys (with the nearest known one), types, ranges, keys that do not
// belong to the chosen kind.
Config load_config(const std::string& file, const std::vector<std::string>& overrides = {});
Config parse_config(std::string_view text, const std::string& name,
                    const std::vector<std::string>& overrides = {});
// The metric of the validation part by which a checkpoint is the best, and which way: early
// stopping's where that is asked for, else checkpoint.best.
struct BestRule {
  std::string metric;
  bool maximise = false;
};
BestRule best_rule(const Config& config);

// What training needs beyond a network: data, a batch, exactly one of epochs and steps.
void require_for_training(const Config& config);

// Every key, resolved, in a fixed order; parses back to the same config.
std::string to_toml(const Config& config);
// The mathematical keys alone, as TOML in a fixed order: for hashes, checkpoints and comparison.
std::string mathematical_toml(const Config& config);

struct ConfigDifference {
  std::string key;            // "optimizer.lr"
  std::string before, after;  // as TOML; "(absent)" where one side lacks it
};
// Mathematical keys that differ. run.shards = "auto" agrees with any number.
std::vector<ConfigDifference> differing_mathematical_keys(const Config& before,
                                                          const Config& after);

// All keys with type, default, role and one line of help, a table a paragraph.
std::string config_help();

// The candidate with the smallest edit distance to `word`, or "" where none is near.
std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace lockstep
