// Draws "label [####    ] 50 %" over itself.
#include "io/base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace lockstep {

Progress::Progress(std::string label, std::int64_t total)
    : label_(std::move(label)),
      total_(std::max<std::int64_t>(total, 1)),
      terminal_(::isatty(STDERR_FILENO) == 1),
      next_(std::chrono::steady_clock::now() + std::chrono::milliseconds(200)) {}

Progress::~Progress() {
  if (terminal_) std::fputs("\r\033[K", stderr);
}

void Progress::advance(std::int64_t amount) {
  done_ += amount;
  if (!terminal_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return;
  next_ = now + std::chrono::milliseconds(100);
  draw();
}

void Progress::draw() const {
  constexpr std::int64_t kWidth = 40;
  const std::int64_t filled = std::min(kWidth, kWidth * done_ / total_);
  fmt::print(stderr, "\r{} [{:#<{}}{: <{}}] {:3d} %", label_, "", filled, "", kWidth - filled,
             std::min<std::int64_t>(100, 100 * done_ / total_));
  std::fflush(stderr);
}

}  // namespace lockstep
