// The lockstep executable as a function, for programs that add networks of their own: every command
// (train, evaluate, predict, inspect, bench, ...) then knows them by their names.
//
//   int main(int argc, char** argv) {
//     return lockstep::lockstep_main(argc, argv, {{"mine", "what it is", {keys...}, make_mine}});
//   }
#pragma once

#include <vector>

#include "models/zoo.h"

namespace lockstep {

// Reads the command line, runs one command, prints one error. The result is the exit code.
int lockstep_main(int argc, char** argv, std::vector<NetworkEntry> own_networks = {});

}  // namespace lockstep
