// Configs: what a file and its overrides give, every message of bad input, and the texts that come
// back out.
#include "runtime/config/config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "kernels/core/error.h"
#include "runtime/config/config_schema.h"
#include "tests/runtime/config_errors.h"

namespace lockstep {
namespace {

constexpr std::string_view kText = R"(
[run]
name = "test"
seed = 7
threads = 2

[data]
file = "data/test.h5"
validation = "/validation"

[model]
network = "mlp"
widths = [128, 64]
activation = "relu"
dropout = 1

[model.initial]
"0.weight" = [[1, 2.5], [3, 4]]
scale = 2

[optimizer]
kind = "sgd"
lr = 1e-1
momentum = 0.9

[training]
epochs = 4
batch = 100
)";

Config parse(const std::vector<std::string>& overrides = {}) {
  return parse_config(kText, "test.toml", overrides);
}

std::string override_error(const std::vector<std::string>& overrides) {
  return error_of([&] { parse(overrides); });
}

TEST(Config, ReadsTheFile) {
  const Config config = parse();
  EXPECT_EQ(config.run.name, "test");
  EXPECT_EQ(config.run.seed, 7u);
  EXPECT_EQ(config.run.threads, 2);
  EXPECT_EQ(config.run.shards, 0);
  EXPECT_EQ(config.data.validation, "/validation");
  EXPECT_EQ(config.model.network, "mlp");
  EXPECT_EQ(config.optimizer.kind, OptimizerKind::kSgd);
  EXPECT_EQ(config.optimizer.lr, 0.1);
  EXPECT_EQ(config.training.epochs, 4);
  EXPECT_EQ(config.training.batch, 100);
  EXPECT_EQ(config.checkpoint.keep, 2);
  EXPECT_NO_THROW(require_for_training(config));
}

TEST(Config, InitialValuesKeepTheirShape) {
  const Config config = parse();
  const InitialValue& matrix = config.model.initial.at("0.weight");
  EXPECT_EQ(matrix.shape, (std::vector<std::int64_t>{2, 2}));
  EXPECT_EQ(matrix.values, (std::vector<double>{1, 2.5, 3, 4}));
  EXPECT_TRUE(config.model.initial.at("scale").shape.empty());
}

TEST(Config, NetworkKeysAreTypedAndUnreadOnesNamed) {
  const Config config = parse({"model.widht=3", "model.bias=true"});
  const ModelTable& table = config.model.table;
  using Integers = std::vector<std::int64_t>;
  EXPECT_EQ(table.get<Integers>("widths", {}), (Integers{128, 64}));
  EXPECT_EQ(table.get<std::string>("activation", "tanh"), "relu");
  EXPECT_EQ(table.get<double>("dropout", 0.0), 1.0);
  EXPECT_EQ(table.get<std::int64_t>("outputs", 5), 5);
  EXPECT_TRUE(table.require<bool>("bias"));
  EXPECT_EQ(error_of([&] { table.get<bool>("activation", false); }),
            "test.toml:14: 'model.activation' must be true or false, found the string \"relu\"");
  EXPECT_EQ(error_of([&] { table.require<double>("rate"); }),
            "'model.rate' is missing: the network needs a number");
  const std::vector<std::string> unknown = Config(config).model.table.unknown_keys();
  ASSERT_EQ(unknown.size(), 1u);
  EXPECT_EQ(unknown[0],
            "override model.widht=3: unknown key 'model.widht'; did you mean "
            "'model.widths'?");
}

TEST(Config, PenaltiesAndLimitsOfTheGradient) {
  const Config config =
      parse({"loss={kind = \"huber\", delta = 0.5, scale = 0.5, l1 = 0.1, l2 = 0.2}",
             "training.clip_value=2", "optimizer.kind=rmsprop", "optimizer.momentum=0.9",
             "optimizer.centered=true"});
  EXPECT_EQ(config.loss.kind, LossKind::kHuber);
  EXPECT_EQ(config.loss.delta + config.loss.scale + config.loss.l1 + config.loss.l2, 1.3);
  EXPECT_EQ(config.training.clip_value, 2);
  EXPECT_TRUE(config.optimizer.centered);
  const std::string both = override_error({"training.clip_value=1", "training.clip_norm=1"});
  EXPECT_EQ(both,
            "override training.clip_value=1: 'training.clip_norm' and 'training.clip_value' "
            "exclude each other; give one");
  EXPECT_NE(override_error({"loss.delta=1"}).find("does not belong to loss.kind"),
            std::string::npos);
  EXPECT_NE(override_error({"optimizer.lr_decay=1"}).find("does not belong"), std::string::npos);
}

TEST(Config, EpsilonsDefaultIsThatOfTheKind) {
  const auto eps = [](const std::string& optimizer,
                      const std::vector<std::string>& overrides = {}) {
    return parse_config("model.network = \"mlp\"\n[optimizer]\n" + optimizer, "a.toml", overrides)
        .optimizer.eps;
  };
  EXPECT_EQ(eps("kind = \"adam\""), 1e-8);
  EXPECT_EQ(eps("kind = \"rmsprop\""), 1e-8);
  EXPECT_EQ(eps("kind = \"adagrad\""), 1e-10);
  EXPECT_EQ(eps("kind = \"adagrad\"\neps = 1e-8"), 1e-8);
  EXPECT_EQ(eps("kind = \"adam\"", {"optimizer.kind=adagrad"}), 1e-10);
  const Config config = parse_config("model.network = \"mlp\"\noptimizer.kind = \"adagrad\"", "a");
  EXPECT_NE(to_toml(config).find("eps = 1e-10"), std::string::npos) << to_toml(config);
}

TEST(Config, OverridesAreTomlElseText) {
  const Config config =
      parse({"run.device=cpu", "data.file=a b/c=d.h5", "optimizer.lr=0.5", "optimizer.lr=2",
             "run.shards=16", "run.threads=auto", "model.widths=[3, 4]", "loss={kind = \"mse\"}",
             "run.name=2024-01-01"});
  EXPECT_EQ(config.run.device, DeviceKind::kCpu);
  EXPECT_EQ(config.data.file, "a b/c=d.h5");
  EXPECT_EQ(config.optimizer.lr, 2);
  EXPECT_EQ(config.run.shards, 16);
  EXPECT_EQ(config.run.threads, 0);
  EXPECT_EQ(config.model.table.get<std::vector<std::int64_t>>("widths", {}).size(), 2u);
  EXPECT_EQ(config.loss.kind, LossKind::kMse);
  EXPECT_EQ(config.run.name, "2024-01-01");
}

TEST(Config, OverridesDisplaceWhatCannotStandBesideThem) {
  const Config steps = parse({"training.steps=10"});
  EXPECT_EQ(steps.training.steps, 10);
  EXPECT_EQ(steps.training.epochs, 0);
  const Config adam = parse({"optimizer.kind=adam"});
  EXPECT_EQ(to_toml(adam).find("momentum"), std::string::npos);
  EXPECT_NE(override_error({"optimizer.beta1=0.8", "optimizer.kind=sgd"}).find("does not belong"),
            std::string::npos);
  EXPECT_NE(override_error({"training.steps=1", "training.epochs=1"}).find("exclude each other"),
            std::string::npos);
}

TEST(Config, UnknownKeysNameTheNearestAndTheLine) {
  EXPECT_EQ(text_error("[model]\nnetwork = \"mlp\"\n[optimizer]\nlrr = 1\n"),
            "test.toml:4: unknown key 'optimizer.lrr'; did you mean 'optimizer.lr'?");
  EXPECT_EQ(text_error("[optimiser]\nlr = 1\n"),
            "test.toml:1: unknown table 'optimiser'; did you mean 'optimizer'?");
  EXPECT_EQ(text_error("batch = 1\n"),
            "test.toml:1: unknown key 'batch'; did you mean 'training.batch'?");
  EXPECT_EQ(text_error("[model]\nnetwrok = \"mlp\"\n"),
            "test.toml:2: unknown key 'model.netwrok'; did you mean 'model.network'?");
  EXPECT_EQ(text_error("[run]\n"),
            "test.toml: 'model.network' is missing (or [[model.layers]], a table a layer)");
  EXPECT_EQ(text_error("run = 3\n"), "test.toml:1: 'run' is a table, found the integer 3");
  EXPECT_EQ(override_error({"training.early_stoping.patience=3"}),
            "override training.early_stoping.patience=3: unknown key "
            "'training.early_stoping.patience'; did you mean 'training.early_stopping.patience'?");
  EXPECT_EQ(override_error({"epochs"}),
            "override 'epochs': expected key=value, as in optimizer.lr=0.1");
}

TEST(Config, SyntaxErrorsNameLineAndColumn) {
  EXPECT_TRUE(text_error("[run]\nname = \n").starts_with("test.toml:2:8: "))
      << text_error("[run]\nname = \n");
  EXPECT_TRUE(text_error("[run]\nseed = 1\nseed = 2\n").starts_with("test.toml:3:"));
  EXPECT_NE(text_error("[run]\nname = 2024-01-01\n").find("a date or time"), std::string::npos);
}

TEST(Config, TypesAndRanges) {
  const auto ends = [](const std::string& override_text, const std::string& end) {
    const std::string error = override_error({override_text});
    EXPECT_EQ(error, "override " + override_text + ": " + end);
  };
  ends("training.batch=0", "'training.batch' must be at least 1, found 0");
  ends("training.batch=-8", "'training.batch' must be at least 1, found -8");
  ends("training.batch=1.5", "'training.batch' must be an integer, found the number 1.5");
  ends("training.epochs=0", "'training.epochs' must be at least 1, found 0");
  ends("optimizer.lr=nan", "'optimizer.lr' must be finite, found nan");
  ends("optimizer.lr=inf", "'optimizer.lr' must be finite, found inf");
  ends("optimizer.lr=-0.1", "'optimizer.lr' must be at least 0, found -0.1");
  ends("optimizer.lr=fast", "'optimizer.lr' must be a number, found the string \"fast\"");
  ends("optimizer.momentum=1", "'optimizer.momentum' must be at least 0 and below 1, found 1");
  ends("run.seed=-1", "'run.seed' must be at least 0, found -1");
  ends("run.shards=3", "'run.shards' must be a power of two or \"auto\", found 3");
  ends("run.shards=0", "'run.shards' must be a power of two or \"auto\", found 0");
  ends("run.shards=few", "'run.shards' must be an integer or \"auto\", found the string \"few\"");
  ends("run.threads=0", "'run.threads' must be at least 1 or \"auto\", found 0");
  ends("run.device=gpu",
       "'run.device' must be one of \"auto\", \"cpu\", \"cuda\", found the string \"gpu\"");
  ends("run.isa=sse",
       "'run.isa' must be one of \"auto\", \"avx512\", \"avx2\", \"neon\", \"generic\", found "
       "the string \"sse\"");
  ends("run.reduction=slow",
       "'run.reduction' must be one of \"tree\", \"fast\", found the string \"slow\"");
  ends("training.drop_last=1", "'training.drop_last' must be true or false, found the integer 1");
  ends("loss.class_weights=[1, -2]", "'loss.class_weights' must be at least 0, found -2");
  ends("data.file=3", "'data.file' must be a string or an array of strings, found the integer 3");
  ends("model.initial.a=[[1, 2], [3]]", "the rows of 'model.initial.a' differ in length or depth");
  ends("model.initial.a=[[1, 2], 3]", "the rows of 'model.initial.a' differ in length or depth");
  ends("model.initial.a=[1, \"x\"]",
       "'model.initial.a' must hold finite numbers, found the string \"x\"");
}

TEST(Config, KeysThatWouldDoNothingAreErrors) {
  EXPECT_EQ(override_error({"optimizer.beta1=0.5"}),
            "override optimizer.beta1=0.5: 'optimizer.beta1' does not belong to optimizer.kind = "
            "\"sgd\"; leave it out");
  EXPECT_NE(override_error({"training.early_stopping.mode=max"}).find("does nothing without"),
            std::string::npos);
  EXPECT_NE(override_error({"training.early_stopping.patience=2", "data.validation="})
                .find("data.validation"),
            std::string::npos);
  EXPECT_NE(override_error({"training.early_stopping.patience=2", "checkpoint.best=accuracy"})
                .find("'checkpoint.best' is \"accuracy\""),
            std::string::npos);
  EXPECT_EQ(parse({"training.early_stopping.patience=2", "checkpoint.best=accuracy",
                   "training.early_stopping.metric=accuracy"})
                .checkpoint.best,
            "accuracy");
  EXPECT_NE(override_error({"optimizer.nesterov=true", "optimizer.momentum=0"}).find("momentum"),
            std::string::npos);
  EXPECT_NE(override_error({"schedule.kind=step"}).find("schedule.every_epochs"),
            std::string::npos);
  EXPECT_NE(override_error({"schedule.kind=multi_step"}).find("milestones"), std::string::npos);
  EXPECT_NE(override_error({"schedule.kind=multi_step", "schedule.milestones_steps=[5, 2]"})
                .find("must ascend"),
            std::string::npos);
  EXPECT_NE(override_error({"data.mean=[0.5]"}).find("'data.std' 0"), std::string::npos);
}

TEST(Config, TrainingNeedsMore) {
  const Config bare = parse_config("[model]\nnetwork = \"mlp\"\n", "test.toml");
  EXPECT_NE(error_of([&] { require_for_training(bare); }).find("data.file"), std::string::npos);
  EXPECT_NE(text_error("[model]\nnetwork = \"mlp\"\n[training]\nepochs = 1\nsteps = 2\n")
                .find("exclude each other"),
            std::string::npos);
}

TEST(Config, ResolvedTextReadsBack) {
  for (const std::vector<std::string>& overrides : std::vector<std::vector<std::string>>{
           {},
           {"optimizer.kind=adamw", "optimizer.lr=0.1234567890123"},
           {"schedule.kind=one_cycle", "run.name=\"a\\\"b\\n\""},
           {"schedule.kind=step", "schedule.every_epochs=2"},
           {"training.early_stopping.patience=3", "run.shards=32"},
           {"optimizer.groups=[{match=\"fc*\", lr_scale=0.5}, {match=[\"a\"], weight_decay=0}]"},
           {"data.mean=[0.5]", "data.std=[1e-9]"}}) {
    const std::string text = to_toml(parse(overrides));
    EXPECT_EQ(to_toml(parse_config(text, "resolved")), text);
    const std::string mathematical = mathematical_toml(parse(overrides));
    EXPECT_EQ(mathematical_toml(parse_config(mathematical, "mathematical")), mathematical);
  }
}

TEST(Config, OperationalKeysLeaveTheMathematicalTextAlone) {
  const std::string text = mathematical_toml(parse());
  EXPECT_EQ(mathematical_toml(parse({"run.threads=1", "run.isa=generic", "run.name=other",
                                     "data.file=elsewhere.h5", "checkpoint.keep=9",
                                     "run.transport=messages", "log.every_steps=3"})),
            text);
  for (const char* change : {"run.seed=8", "run.shards=4", "optimizer.lr=0.2", "training.batch=99",
                             "model.widths=[128]", "model.initial.scale=3", "data.normalize=false"})
    EXPECT_NE(mathematical_toml(parse({change})), text) << change;
}

TEST(Config, DifferencesNameKeysAndValues) {
  EXPECT_TRUE(
      differing_mathematical_keys(parse(), parse({"run.threads=1", "run.shards=8"})).empty());
  const auto differences = differing_mathematical_keys(
      parse({"run.shards=8"}), parse({"run.shards=16", "optimizer.kind=adam"}));
  std::map<std::string, std::pair<std::string, std::string>> by_key;
  for (const ConfigDifference& difference : differences)
    by_key[difference.key] = {difference.before, difference.after};
  EXPECT_EQ(by_key.at("run.shards"), std::make_pair(std::string("8"), std::string("16")));
  EXPECT_EQ(by_key.at("optimizer.kind"),
            std::make_pair(std::string("\"sgd\""), std::string("\"adam\"")));
  EXPECT_EQ(by_key.at("optimizer.momentum").second, "(absent)");
  EXPECT_EQ(by_key.at("optimizer.beta1").first, "(absent)");
}

TEST(Config, DefaultsPassTheirOwnChecks) {
  for (const ConfigKey& key : config_schema()) {
    Config config;
    const auto value = resolved_value(key, config);
    if (value) {
      EXPECT_NO_THROW(set_key(key, {*value, "default"}, config)) << key.path;
    }
    EXPECT_EQ(find_key(key.path), &key) << "twice: " << key.path;
    EXPECT_NE(config_help().find(std::string(key.name())), std::string::npos) << key.path;
    EXPECT_FALSE(key.help.empty()) << key.path;
  }
}

TEST(Config, EarlyStoppingsDirectionFollowsTheMetric) {
  EXPECT_FALSE((EarlyStoppingConfig{.metric = "loss"}).maximise());
  EXPECT_TRUE((EarlyStoppingConfig{.metric = "accuracy"}).maximise());
  EXPECT_FALSE((EarlyStoppingConfig{.metric = "accuracy", .mode = StopMode::kMin}).maximise());
}

TEST(Config, ShippedConfigsAreComplete) {
  const std::filesystem::path root = std::filesystem::path(__FILE__).parent_path() / "../..";
  int count = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(root / "launch/configs")) {
    if (file.path().extension() != ".toml") continue;
    EXPECT_NO_THROW(require_for_training(load_config(file.path().string()))) << file.path();
    ++count;
  }
  EXPECT_GE(count, 4);
}

TEST(NearestName, ByEditDistance) {
  EXPECT_EQ(nearest_name("weigths", {"widths", "weights", "bias"}), "weights");
  EXPECT_EQ(nearest_name("zebra", {"widths", "weights"}), "");
  EXPECT_EQ(nearest_name("x", {}), "");
}

}  // namespace
}  // namespace lockstep
