#include "launch/lockstep_main.h"

#include <cstdio>
#include <filesystem>

#include "kernels/core/error.h"
#include "launch/commands.h"
#include "launch/job.h"
#include "launch/version.h"

namespace lockstep {

int lockstep_main(int argc, char** argv, std::vector<NetworkEntry> own_networks) {
  try {
    const Networks networks = all_networks(std::move(own_networks));
    CLI::App app{
        "lockstep trains neural networks data-parallel under mpirun, with the same bits on any\n"
        "number of ranks and any processor.\n\n"
        "  mkdir -p data && lockstep prepare fashion-mnist -o data/fashion-mnist.h5\n"
        "  mpirun -np 2 lockstep train launch/configs/fashion-mnist.toml --out runs/first\n"
        "  lockstep evaluate runs/first\n",
        std::filesystem::path(argv[0]).filename().string()};
    bool verbose = false;
    CLI::Option* const more = app.add_flag(
        "--verbose", verbose, "With --version: the CUDA plug-in, its libraries and the GPUs");
    more->needs(app.set_version_flag(
        "--version", [&verbose] { return verbose ? verbose_version_text() : version_text(); }));
    app.require_subcommand(1);
    app.fallthrough(false);
    Action action;
    add_prepare(app, action);
    add_inspect(app, action, networks);
    add_check(app, action, networks);
    add_train(app, action, networks);
    add_evaluate(app, action, networks);
    add_predict(app, action, networks);
    add_export(app, action, networks);
    add_compare(app, action);
    add_bench(app, action, networks);
    add_completion(app, action);
    CLI11_PARSE(app, argc, argv);
    return action();
  } catch (const std::exception& error) {
    fmt::print(stderr, "lockstep: {}\n", error.what());
    return kExitError;
  }
}

}  // namespace lockstep
