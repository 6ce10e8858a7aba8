// Fuzz target: configs and overrides. The first line is an override ("" for none), the rest is the
// file. What is accepted must come back the same from the text that lockstep writes of it.
#include "runtime/config/config.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(input.find('\n'), input.size());
  std::vector<std::string> overrides;
  if (end > 0) overrides.push_back(input.substr(0, end));
  std::string text, mathematical;
  const bool read = lockstep::fuzz::accepted([&] {
    const auto config = lockstep::parse_config(
        end < input.size() ? std::string_view(input).substr(end + 1) : "", "fuzz.toml", overrides);
    text = lockstep::to_toml(config);
    mathematical = lockstep::mathematical_toml(config);
  });
  if (!read) return 0;
  const bool again = lockstep::fuzz::accepted([&] {
    const auto config = lockstep::parse_config(text, "written.toml");
    if (lockstep::to_toml(config) != text) lockstep::fuzz::finding("another config:\n" + text);
    if (lockstep::mathematical_toml(config) != mathematical)
      lockstep::fuzz::finding("another mathematics:\n" + mathematical);
  });
  if (!again) lockstep::fuzz::finding("refused what it wrote:\n" + text);
  return 0;
}
