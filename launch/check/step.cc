// lockstep check step CONFIG [--row N | --rows A,B,C-D] : one training step on given rows, every
// intermediate shown and every gradient compared with finite differences.
#include <charconv>
#include <numeric>

#include "io/dataset/row_subset.h"
#include "launch/check/check.h"
#include "launch/check/step_report.h"
#include "launch/networks.h"
#include "runtime/communication/node_dataset.h"
#include "runtime/run/session.h"
#include "runtime/step/trainer.h"

namespace lockstep {

namespace {

struct StepArguments {
  std::string config, rows = "0", split, save;
  std::vector<std::string> overrides;
};

std::int64_t parse_row(const std::string& text, const std::string& all) {
  std::int64_t row = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), row);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || row < 0)
    throw Error("--rows {}: '{}' is no row; expected rows as in 0,3,7-9", all, text);
  return row;
}

// "0,3,7-9", counted from 0.
std::vector<std::int64_t> parse_rows(const std::string& text) {
  constexpr std::int64_t kMostRows = 4096;
  std::vector<std::int64_t> rows;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    const std::size_t dash = part.find('-');
    const std::int64_t first = parse_row(part.substr(0, dash), text);
    const std::int64_t last =
        dash == std::string::npos ? first : parse_row(part.substr(dash + 1), text);
    if (last < first || last - first >= kMostRows)
      throw Error("--rows {}: '{}' is no range of at most {} rows", text, part, kMostRows);
    for (std::int64_t more = 0; more <= last - first; ++more) rows.push_back(first + more);
    begin = end + 1;
  }
  return rows;
}

// One shard on one worker: then the trainer's step is the traced one.
Config one_shard_config(const StepArguments& arguments, std::size_t rows) {
  Config config = load_config(arguments.config, arguments.overrides);
  if (config.data.file.empty())
    throw Error("{}: 'data.file' is missing: a step needs rows", arguments.config);
  config.training.batch = static_cast<std::int64_t>(rows);
  config.training.phases.clear();  // the step is one of the whole network
  if (config.training.epochs == 0 && config.training.steps == 0) config.training.epochs = 1;
  config.run.shards = 1;
  config.run.threads = 1;
  if (!arguments.split.empty()) config.data.train = arguments.split;
  return config;
}

void set_start(const Config& config, ParamSet& params, Backend& backend) {
  params.initialize(backend, config.run.seed);
  set_initial_weights(config, params, backend);
}

ShardBatch read_batch(const Dataset& data) {
  ShardBatch batch;
  batch.rows = data.rows();
  std::vector<std::int64_t> rows(static_cast<std::size_t>(data.rows()));
  std::iota(rows.begin(), rows.end(), 0);
  batch.x = host_tensor(data.sample_shape().with_rows(batch.rows), data.x_type());
  batch.y = data.target() == TargetKind::kClass
                ? host_tensor({batch.rows}, DType::kInt64)
                : host_tensor({batch.rows, data.target_columns()}, DType::kFloat32);
  if (data.has_weight()) batch.weight = host_tensor({batch.rows}, DType::kFloat32);
  data.read(rows, batch.x, batch.y, batch.weight);
  batch.sample_ids = host_tensor({batch.rows}, DType::kInt64);
  std::ranges::copy(rows, batch.sample_ids.span<std::int64_t>().begin());
  return batch;
}

// "with penalties, clipped to norm 0.1 (from 2.5)"; "" where gradients stay what they are.
std::string changes_of_gradients(const Config& config, double norm) {
  std::string changes;
  const auto add = [&](const std::string& words) {
    changes += (changes.empty() ? "" : ", ") + words;
  };
  if (config.loss.l1 > 0 || config.loss.l2 > 0) add("with penalties");
  if (config.training.clip_norm > 0)
    add(fmt::format("clipped to norm {:.6g} (it is {:.6g})", config.training.clip_norm, norm));
  if (config.training.clip_value > 0)
    add(fmt::format("clipped to values of at most {:.6g}", config.training.clip_value));
  return changes;
}

// One step of the trainer itself: the parameters after it, and the gradients that it used.
void take_step(Session& session, const NodeDataset& data, const StepTracer& tracer,
               StepReportInput& report) {
  const Config& config = session.config();
  const BatchPlan plan{data.data->rows(), config.training.batch, 1, false};
  Trainer trainer(config, session.team(), data, plan, whole_run(config, plan), nullptr);
  trainer.restore(0, [&](float*, const std::vector<float*>&) {
    set_start(config, session.team().params(), session.backend());
  });
  trainer.keep_gradients(true);
  const StepResult step = trainer.step();
  report.lr = step.lr;
  report.changes = changes_of_gradients(config, step.gradient_norm);
  for (const Param& param : session.team().params().all()) {
    report.updated[param.name] = tracer.in_file_order(param, param.value);
    if (report.changes.empty() || param.spec.kind != ParamKind::kTrainable) continue;
    const Tensor host = host_tensor({param.elements}, DType::kFloat32);
    std::ranges::copy(trainer.gradient({param.offset, param.offset + param.elements}),
                      host.span<float>().begin());
    Tensor gradient = session.backend().empty({param.elements});
    session.backend().copy(host, gradient);
    report.applied[param.name] = tracer.in_file_order(param, gradient);
  }
}

int check_step(const StepArguments& arguments, const Networks& networks) {
  const std::vector<std::int64_t> rows = parse_rows(arguments.rows);
  const Config config = one_shard_config(arguments, rows.size());
  const auto communicator = make_self_communicator();
  Session session(config, Purpose::kTrain, config.data.train, *communicator, networks.make);
  if (session.backend().activation_type() != DType::kFloat32)
    throw Error(
        "check step compares gradients with finite differences, for which activations in {} are "
        "too coarse: set run.precision = \"float32\"",
        name_of(session.backend().activation_type()));
  const NodeDataset data =
      session.evaluated({row_subset(session.data().data, rows), true, {}});  // rows as they are

  StepTracer tracer(session.blueprint(), data.data->rows(), session.backend());
  set_start(session.config(), tracer.params(), session.backend());
  const StepTrace trace = tracer.trace(read_batch(*data.data));
  StepReportInput report{trace, {}, {}, std::string(name_of(config.loss.kind)), 0, {}};
  take_step(session, data, tracer, report);

  fmt::print("one step of {} on row{} {} of {} {}\n\n{}", arguments.config,
             rows.size() == 1 ? "" : "s", arguments.rows, config.data.file, config.data.train,
             step_report(report));
  if (!arguments.save.empty()) {
    save_step(report, arguments.save);
    fmt::print("\n{}: every tensor in full, as .npy\n", arguments.save);
  }
  bool agree = !trace.input_gradient || trace.input_differences.agree;
  for (const TracedParameter& parameter : trace.parameters)
    agree = agree && (!parameter.gradient || parameter.differences.agree);
  if (agree) return 0;
  fmt::print("\nsome gradients are not those of finite differences\n");
  return 1;
}

}  // namespace

void add_check_step(CLI::App* check, Action& action, const Networks& networks) {
  auto arguments = std::make_shared<StepArguments>();
  CLI::App* command = check->add_subcommand(
      "step", "one training step on a few rows: every output, gradient and update");
  command->add_option("config", arguments->config, "TOML file")->required();
  command->add_option("overrides", arguments->overrides, "key=value");
  command
      ->add_option("--row,--rows", arguments->rows,
                   "rows of the split, counted from 0: 5, or 0,3,7-9")
      ->capture_default_str();
  command->add_option("--split", arguments->split, "group of the data file (default data.train)");
  command->add_option("--save", arguments->save, "folder for every tensor in full, as .npy");
  command->footer(
      "Gradients are those of the loss, the mean over the rows, and are compared with central\n"
      "differences (of large tensors a few elements). Exit code 1 where they do not agree. Where\n"
      "loss.l1, loss.l2, clip_norm or clip_value change them, the update's are shown too.\n"
      "Examples:\n"
      "  lockstep check step launch/configs/course/sigmoid-by-hand.toml\n"
      "  lockstep check step launch/configs/digits.toml --rows 0-7 --save step\n");
  command->callback([arguments, &networks, &action] {
    action = [arguments, &networks] { return check_step(*arguments, networks); };
  });
}

}  // namespace lockstep
