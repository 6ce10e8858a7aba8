// lockstep prepare KIND ... -o FILE.h5
#include "launch/prepare/kind.h"

namespace lockstep {

void add_prepare(CLI::App& app, Action& action) {
  CLI::App* prepare = app.add_subcommand("prepare", "make a dataset file");
  prepare->require_subcommand(1);
  prepare->footer(
      "Examples:\n"
      "  lockstep prepare fashion-mnist -o fashion-mnist.h5\n"
      "  lockstep prepare images pets/ --validation 0.1 --test 0.1 -o pets.h5\n"
      "  lockstep prepare csv table.csv --target price --task regression -o table.h5\n"
      "Each kind has a --help of its own.\n");
  add_prepare_idx(prepare, action);
  add_prepare_images(prepare, action);
  add_prepare_csv(prepare, action);
  add_prepare_npy(prepare, action);
  add_prepare_repack(prepare, action);
  add_prepare_synthetic(prepare, action);
}

}  // namespace lockstep
