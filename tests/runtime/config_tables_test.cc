// Tables in a config's lists: layers, groups of parameters, phases of training.
#include <gtest/gtest.h>

#include "runtime/config/phases.h"
#include "tests/runtime/config_errors.h"

namespace lockstep {
namespace {

// Tables inside an array keep their places, and come back out of every text.
TEST(ConfigTables, TablesInArrays) {
  const std::string text =
      "[model]\nb = [1, 2]\n[[model.layers]]\nkind = \"linear\"\nfeatures = 8\n"
      "[[model.layers]]\nkind = \"residual\"\nlayers = [{ kind = \"relu\" }]\n";
  const Config config = parse_config(text, "net.toml");
  EXPECT_EQ(config.model.network, kLayersNetwork);
  const auto& layers = std::get<ConfigValue::Array>(config.model.table.find("layers")->value.value);
  const auto& first = std::get<ConfigTable>(layers.at(0).value);
  EXPECT_EQ(first.where, "net.toml:3");
  EXPECT_EQ(first.items.at(0).entry.where, "net.toml:5");  // by key: features before kind
  const std::string written = to_toml(config);
  EXPECT_NE(written.find("layers = [\n  { features = 8, kind = \"linear\" },\n"
                         "  { kind = \"residual\", layers = [{ kind = \"relu\" }] },\n]\n"),
            std::string::npos)
      << written;
  EXPECT_EQ(to_toml(parse_config(written, "again.toml")), written);
  EXPECT_EQ(mathematical_toml(parse_config(mathematical_toml(config), "again.toml")),
            mathematical_toml(config));
}

TEST(ConfigTables, OverridesReachIntoTables) {
  const std::string text =
      "[model]\nlayers = [{ kind = \"linear\", features = 8 }, "
      "{ kind = \"residual\", layers = [{ kind = \"dropout\", p = 0.5 }] }]\n";
  const auto parsed = [&](const std::vector<std::string>& overrides) {
    return parse_config(text, "net.toml", overrides);
  };
  const std::vector<ConfigDifference> differences = differing_mathematical_keys(
      parsed({}), parsed({"model.layers[0].features=9", "model.layers[1].layers[0].p=0.25",
                          "model.layers[0].bias=false"}));
  ASSERT_EQ(differences.size(), 3u);
  EXPECT_EQ(differences[0].key, "model.layers[0].features");
  EXPECT_EQ(differences[0].before, "8");
  EXPECT_EQ(differences[0].after, "9");
  EXPECT_EQ(differences[1].key, "model.layers[1].layers[0].p");
  EXPECT_EQ(differences[2].before, "(absent)");
  EXPECT_TRUE(
      differing_mathematical_keys(parsed({}), parsed({"model.layers[0].features=8"})).empty());

  const auto refused = [&](const std::string& override_text) {
    return error_of([&] { parsed({override_text}); });
  };
  EXPECT_EQ(refused("model.layers[2].p=1"),
            "override 'model.layers[2].p=1': 'model.layers' has 2 elements, counted from 0");
  EXPECT_EQ(refused("model.layer[0].p=1"),
            "override 'model.layer[0].p=1': there is no 'model.layer'");
  for (const char* text_of_key : {"model.layers[x].p=1", "model.layers[0]=1", "model.layers[0=1",
                                  "model.layers[].p=1", "model.layers[99999999999999999999].p=1"})
    EXPECT_NE(refused(text_of_key).find("expected a key as in model.layers[2].features"),
              std::string::npos)
        << refused(text_of_key);
}

TEST(ConfigTables, GroupsAreChecked) {
  const auto error_of = [](const std::string& groups) {
    return text_error("[model]\nnetwork = \"mlp\"\n[[optimizer.groups]]\n" + groups);
  };
  EXPECT_NE(error_of("lr_scale = 2\n").find("optimizer.groups[0].match is missing"),
            std::string::npos);
  EXPECT_NE(error_of("match = \"a\"\n").find("changes nothing"), std::string::npos);
  EXPECT_NE(error_of("match = \"a\"\nlr_scale = -1\n").find("groups[0].lr_scale must be"),
            std::string::npos);
  EXPECT_NE(error_of("match = 3\nlr_scale = 1\n").find("an array of strings"), std::string::npos);
  EXPECT_NE(error_of("match = \"a\"\nlr_scal = 1\n").find("did you mean 'lr_scale'?"),
            std::string::npos);
}

TEST(ConfigTables, PhasesAreChecked) {
  const auto error_of = [](const std::string& phases) {
    return text_error("[model]\nnetwork = \"mlp\"\n" + phases);
  };
  const auto says = [&](const std::string& phases, const std::string& words) {
    const std::string error = error_of(phases);
    EXPECT_NE(error.find(words), std::string::npos) << error;
  };
  const std::string phase = "[[training.phases]]\n";
  says("[training]\nepochs = 1\n" + phase + "epochs = 1\n", "exclude each other");
  says(phase + "lr = 1\n", "training.phases[0] needs epochs or steps");
  says(phase + "epochs = 1\nsteps = 1\n", "training.phases[0] needs epochs or steps");
  says(phase + "epochs = 1\n" + phase + "epochs = 0\n", "training.phases[1].epochs must be");
  says(phase + "epochs = 1\ntrain = []\n", "training.phases[0].train must be");
  says(phase + "epochs = 1\nbatch_norm = \"off\"\n", "one of \"auto\", \"frozen\"");
  says(phase + "epochs = 1\nschedule = 3\n", "must be a table");
  says(phase + "epochs = 1\nschedule = {kind = \"cosine\", gamma = 0.5}\n",
       "'schedule.gamma' does not belong");
  says(phase + "epochs = 1\nschedul = {}\n", "did you mean 'schedule'?");
}

TEST(ConfigTables, PhasesHaveRatesAndSchedulesOfTheirOwn) {
  const Config config = parse_config(
      "[model]\nnetwork = \"mlp\"\n[optimizer]\nlr = 0.5\n[schedule]\nkind = \"exponential\"\n"
      "[[training.phases]]\ntrain = \"head\"\nsteps = 7\n"
      "[[training.phases]]\nepochs = 2\nlr = 0.25\n[training.phases.schedule]\nkind = "
      "\"cosine\"\nfinal_lr = 0.125\n",
      "p.toml");
  const std::vector<Phase> phases = training_phases(config);
  ASSERT_EQ(phases.size(), 2u);
  EXPECT_EQ(phases[0].train, std::vector<std::string>{"head"});
  EXPECT_EQ(phases[0].where, "p.toml:8: training.phases[0].train");
  EXPECT_EQ(phases[0].lr, 0.5);
  EXPECT_EQ(phases[0].schedule.kind, ScheduleKind::kExponential);
  EXPECT_EQ(phases[0].length(100), 7);
  EXPECT_EQ(phases[1].train, std::vector<std::string>{"all"});
  EXPECT_EQ(phases[1].lr, 0.25);
  EXPECT_EQ(phases[1].schedule.final_lr, 0.125);
  EXPECT_EQ(phases[1].length(100), 200);
  EXPECT_EQ(to_toml(parse_config(to_toml(config), "resolved")), to_toml(config));
  EXPECT_EQ(training_phases(parse_config("[model]\nnetwork = \"mlp\"\n", "p.toml")).size(), 1u);
}

}  // namespace
}  // namespace lockstep
