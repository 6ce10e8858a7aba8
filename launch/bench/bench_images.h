// `lockstep bench images`: files a second of a folder, read, decoded and resized as `prepare images`
// does it, by as many threads.
#pragma once

#include "launch/commands.h"

namespace lockstep {

void add_bench_images(CLI::App& bench, Action& action);

}  // namespace lockstep
