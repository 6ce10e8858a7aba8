// `lockstep bench loader`: rows a second of the loader in shuffled order, beside what the same
// number of threads reach with nothing around: plain pread of the same rows into as much memory,
// or for deflated chunks zlib alone on the same chunks, already in memory. Of a config
// with data.augment, what that costs a sample, too.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep {

struct BenchLoaderOptions {
  std::string file;                    // a data file, or a config whose training part is read
  std::vector<std::string> overrides;  // of the config
  std::string split = "/train";        // of a data file
  std::int64_t batch = 256;
  int threads = 0;  // 0: the cores that this process may use
  int rounds = 9;   // of either, by turns; medians are reported
  std::string json;
};

int bench_loader(const BenchLoaderOptions& options);

}  // namespace lockstep
