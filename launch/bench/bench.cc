// lockstep bench: step (the real training loop, timed), ops (single operations), loader (rows);
// images, overlap, predict, allreduce and scaling have files of their own.
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "io/base/file.h"
#include "kernels/core/profile.h"
#include "launch/bench/bench_allreduce.h"
#include "launch/bench/bench_gpu_ops.h"
#include "launch/bench/bench_images.h"
#include "launch/bench/bench_loader.h"
#include "launch/bench/bench_ops.h"
#include "launch/bench/bench_overlap.h"
#include "launch/bench/bench_predict.h"
#include "launch/bench/bench_scaling.h"
#include "launch/bench/bench_summary.h"
#include "launch/commands.h"
#include "launch/job.h"
#include "launch/networks.h"
#include "launch/number_checks.h"
#include "runtime/step/trainer.h"

namespace lockstep {

namespace {

struct BenchStepArguments {
  std::string config, json;
  std::vector<std::string> overrides;
  std::int64_t steps = 300, warm_up = 50;
  int rounds = 5;
  bool profile = false;
};

// Steps of the real loop: rows from the data file, forward, backward, exchange, update.
int bench_step(const BenchStepArguments& arguments, const Networks& networks) {
  const auto configure = [&] {
    const Config config = load_config(arguments.config, arguments.overrides);
    require_for_training(config);
    return config;
  };
  return run_job(configure, [&](const Config& config, Communicator& communicator) {
    Config timed = config;
    timed.training.steps = arguments.warm_up + arguments.steps * arguments.rounds;
    timed.training.epochs = 0;
    timed.training.phases.clear();  // steps are those of the whole network
    Session session(timed, Purpose::kTrain, timed.data.train, communicator, networks.make);
    const BatchPlan plan{session.data().data->rows() * timed.data.copies, timed.training.batch,
                         session.config().run.shards, timed.training.drop_last};
    Trainer trainer(session.config(), session.team(), session.data(), plan,
                    whole_run(session.config(), plan), session.augmentation());
    trainer.restore(0, [&](float*, std::vector<float*>) {
      session.team().params().initialize(session.backend(), timed.run.seed);
    });

    for (std::int64_t i = 0; i < arguments.warm_up; ++i) trainer.step();
    std::vector<double> rates, step_ms;
    std::vector<Profile> profiles(session.team().workers().size());
    if (arguments.profile)
      for (Worker& worker : session.team().workers())
        for (Stream* const stream : worker.streams())
          stream->set_profile(&profiles[static_cast<std::size_t>(worker.index)]);
    for (int round = 0; round < arguments.rounds; ++round) {
      const auto start = std::chrono::steady_clock::now();
      auto previous = start;
      double rows = 0;
      for (std::int64_t i = 0; i < arguments.steps; ++i) {
        rows += trainer.step().total.rows;
        const auto now = std::chrono::steady_clock::now();
        step_ms.push_back(std::chrono::duration<double, std::milli>(now - previous).count());
        previous = now;
      }
      rates.push_back(rows / std::chrono::duration<double>(previous - start).count());
    }
    if (communicator.rank() != 0) return 0;

    std::sort(step_ms.begin(), step_ms.end());
    const double quartiles = step_ms[step_ms.size() * 3 / 4] - step_ms[step_ms.size() / 4];
    const nlohmann::ordered_json json{
        {"config", arguments.config},
        {"ranks", communicator.size()},
        {"threads", session.threads()},
        {"shards", session.config().run.shards},
        {"gradient_bytes", session.team().params().elements() * 4},
        {"batch", timed.training.batch},
        {"isa", session.backend().isa()},
        {"samples_per_second", median(rates)},
        {"samples_per_second_min", *std::min_element(rates.begin(), rates.end())},
        {"samples_per_second_max", *std::max_element(rates.begin(), rates.end())},
        {"step_ms",
         {{"median", median(step_ms)},
          {"min", step_ms.front()},
          {"max", step_ms.back()},
          {"spread", quartiles}}},
        {"memory_mib", peak_memory_mib()}};
    for (const std::string& line : session.log()) fmt::print("{}\n", line);
    fmt::print(
        "{} rank{} x {} thread{}, {} shards, batch {}: {} rounds of {} steps\n"
        "  samples/s  median {:>10.0f}   min {:>10.0f}   max {:>10.0f}\n"
        "  step ms    median {:>10.3f}   min {:>10.3f}   max {:>10.3f}   quartiles apart {:.3f}\n"
        "  memory     {:.1f} MiB, peak of rank 0\n",
        communicator.size(), communicator.size() == 1 ? "" : "s", session.threads(),
        session.threads() == 1 ? "" : "s", session.config().run.shards, timed.training.batch,
        arguments.rounds, arguments.steps, median(rates),
        rates.empty() ? 0 : *std::min_element(rates.begin(), rates.end()),
        *std::max_element(rates.begin(), rates.end()), median(step_ms), step_ms.front(),
        step_ms.back(), quartiles, peak_memory_mib());
    if (arguments.profile) {
      std::vector<const Profile*> workers;
      for (const Profile& profile : profiles) workers.push_back(&profile);
      fmt::print("{}", profile_table(workers));
    }
    if (!arguments.json.empty()) write_text(arguments.json, json.dump(1) + "\n");
    return 0;
  });
}

}  // namespace

void add_bench(CLI::App& app, Action& action, const Networks& networks) {
  CLI::App* bench = app.add_subcommand("bench", "measure this machine");
  bench->require_subcommand(1);
  bench->footer(
      "Examples:\n"
      "  mpirun -np 2 lockstep bench step launch/configs/fashion-mnist.toml --json step.json\n"
      "  lockstep bench ops conv\n"
      "  mpirun -np 2 lockstep bench allreduce\n"
      "  lockstep bench scaling launch/configs/fashion-mnist.toml --ranks 1,2,4\n");

  auto step = std::make_shared<BenchStepArguments>();
  CLI::App* command = bench->add_subcommand("step", "steps of the real training loop");
  command->add_option("config", step->config, "TOML file")->required();
  command->add_option("overrides", step->overrides, "key=value");
  command->add_option("--steps", step->steps, "steps a round")
      ->capture_default_str()
      ->check(kPositive);
  command->add_option("--warm-up", step->warm_up, "steps before the first round")
      ->capture_default_str()
      ->check(kNotNegative);
  command->add_option("--rounds", step->rounds, "rounds; their median rate is reported")
      ->capture_default_str()
      ->check(kPositive);
  command->add_flag("--profile", step->profile,
                    "where the time of this rank's workers goes, by name");
  command->add_option("--json", step->json, "write the figures to this file too");
  command->footer(
      "Example:\n  lockstep bench step launch/configs/fashion-mnist.toml run.threads=2\n");
  command->callback([step, &networks, &action] {
    action = [step, &networks] { return bench_step(*step, networks); };
  });

  auto ops = std::make_shared<BenchOpsOptions>();
  command =
      bench->add_subcommand("ops", "single operations, as a share of what the machine can do");
  auto gpu_ops = std::make_shared<BenchGpuOpsOptions>();
  auto on_gpu = std::make_shared<std::string>("cpu");
  command->add_option("filter", ops->filter, "a part of the cases' names, such as conv_forward");
  command->add_option("--device", *on_gpu, "cpu, on one thread, or cuda, beside a device copy")
      ->capture_default_str()
      ->check(CLI::IsMember({"cpu", "cuda"}));
  command->add_option("--mib", gpu_ops->mib, "of the largest tensor on a GPU")
      ->capture_default_str()
      ->check(kPositive);
  command->add_option("--sample-ms", gpu_ops->sample_ms, "of one reading of the clock on a GPU")
      ->capture_default_str()
      ->check(kPositive);
  command->add_option("--isa", ops->isa, "auto, avx512, avx2, neon or generic")
      ->capture_default_str();
  command
      ->add_option("--products", ops->products,
                   "operands of linear layers and convolutions: float32, bfloat16, bfloat16-dots "
                   "or bfloat16-fma")
      ->capture_default_str();
  command->add_option("--repetitions", ops->repetitions, "readings; their median is reported")
      ->capture_default_str()
      ->check(kPositive);
  command->add_option("--json", ops->json, "write the figures to this file too");
  command->add_flag_callback(
      "--no-verify", [ops] { ops->verify = false; },
      "do not check results against the reference first");
  command->add_flag_callback(
      "--no-peer", [ops] { ops->peer = false; }, "do not time oneDNN beside");
  command->footer(
      "Examples:\n"
      "  lockstep bench ops linear --repetitions 21\n"
      "  lockstep bench ops batch_norm --device cuda\n");
  command->callback([ops, gpu_ops, on_gpu, &action] {
    gpu_ops->filter = ops->filter;
    gpu_ops->repetitions = ops->repetitions;
    gpu_ops->json = ops->json;
    if (*on_gpu == "cuda")
      action = [gpu_ops] { return bench_gpu_ops(*gpu_ops); };
    else
      action = [ops] { return bench_ops(*ops); };
  });

  auto loader = std::make_shared<BenchLoaderOptions>();
  command = bench->add_subcommand("loader", "shuffled rows a second, beside plain reading");
  command->add_option("file", loader->file, "HDF5 file, or a config in TOML")->required();
  command->add_option("overrides", loader->overrides, "key=value, of a config");
  command->add_option("--split", loader->split, "group of an HDF5 file")->capture_default_str();
  command->add_option("--batch", loader->batch, "rows of a step")
      ->capture_default_str()
      ->check(kPositive);
  command->add_option("--threads", loader->threads, "reader threads; 0: one a core")
      ->capture_default_str()
      ->check(kNotNegative);
  command->add_option("--rounds", loader->rounds, "rounds; their median rate is reported")
      ->capture_default_str()
      ->check(kPositive);
  command->add_option("--json", loader->json, "write the figures to this file too");
  command->footer("Example:\n  lockstep bench loader data/fashion-mnist.h5 --threads 2\n");
  command->callback([loader, &action] { action = [loader] { return bench_loader(*loader); }; });
  add_bench_images(*bench, action);
  add_bench_overlap(*bench, action, networks);
  add_bench_predict(*bench, action, networks);
  add_bench_allreduce(*bench, action);
  add_bench_scaling(*bench, action);
}

}  // namespace lockstep
