// The `lockstep` executable: reads the command line, runs one subcommand, prints one error.
#include <cstdio>

#include "kernels/core/error.h"
#include "launch/commands.h"
#include "launch/job.h"
#include "launch/version.h"

int main(int argc, char** argv) {
  using namespace lockstep;
  CLI::App app{
      "lockstep trains neural networks data-parallel under mpirun, with the same bits on any\n"
      "number of ranks and any processor.\n\n"
      "  mkdir -p data && lockstep prepare fashion-mnist -o data/fashion-mnist.h5\n"
      "  mpirun -np 2 lockstep train launch/configs/fashion-mnist.toml --out runs/first\n"
      "  lockstep evaluate runs/first\n",
      "lockstep"};
  app.set_version_flag("--version", version_text());
  app.require_subcommand(1);
  app.fallthrough(false);
  Action action;
  add_prepare(app, action);
  add_inspect(app, action);
  add_check(app, action);
  add_train(app, action);
  add_evaluate(app, action);
  add_predict(app, action);
  add_export(app, action);
  add_bench(app, action);
  CLI11_PARSE(app, argc, argv);
  try {
    return action();
  } catch (const std::exception& error) {
    fmt::print(stderr, "lockstep: {}\n", error.what());
    return kExitError;
  }
}
