// Runs a fuzz target over the files of its corpus, where the build has no libFuzzer: the
// regression test of what fuzzing once found.
#include <filesystem>
#include <vector>

#include "io/base/file.h"
#include "tests/fuzz/fuzz.h"

namespace {

void replay(const std::filesystem::path& path) {
  std::printf("%s\n", path.filename().c_str());
  std::fflush(stdout);  // the last name is the culprit's if this one ends the program
  const std::string bytes = lockstep::read_text(path.string());
  // A copy of exact size, so that sanitizers see a byte read beyond it.
  const std::vector<std::uint8_t> input(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

}  // namespace

int main(int count, char** arguments) {
  std::size_t files = 0;
  for (int i = 1; i < count; ++i) {
    const std::string argument = arguments[i];
    if (argument.starts_with("-")) continue;  // libFuzzer's options
    for (const auto& entry : std::filesystem::directory_iterator(argument)) {
      if (!entry.is_regular_file()) continue;
      replay(entry.path());
      ++files;
    }
  }
  if (files == 0) lockstep::fuzz::finding("no corpus: name its folder");
  return 0;
}
