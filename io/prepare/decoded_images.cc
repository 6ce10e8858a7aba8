#include "io/prepare/decoded_images.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "io/base/file.h"
#include "io/base/progress.h"

namespace lockstep {
namespace {

// Lets threads wait until what they need fits beside what others have.
class MemoryBudget {
 public:
  explicit MemoryBudget(std::uint64_t bytes) : bytes_(bytes) {}

  void take(std::uint64_t bytes) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return taken_ == 0 || taken_ + bytes <= bytes_; });
    taken_ += bytes;
  }
  void give_back(std::uint64_t bytes) {
    {
      const std::lock_guard lock(mutex_);
      taken_ -= bytes;
    }
    changed_.notify_all();
  }
  std::uint64_t bytes() const { return bytes_; }

 private:
  std::uint64_t bytes_, taken_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
};

class Share {
 public:
  Share(MemoryBudget& budget, std::uint64_t bytes) : budget_(budget), bytes_(bytes) {
    budget_.take(bytes_);
  }
  ~Share() { budget_.give_back(bytes_); }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;

 private:
  MemoryBudget& budget_;
  std::uint64_t bytes_;
};

bool looks_like_image(const std::string& name) {
  std::string extension = name.substr(std::min(name.rfind('.'), name.size()));
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* known : {".jpg", ".jpeg", ".jpe", ".jfif", ".png"})
    if (extension == known) return true;
  return false;
}

enum class Outcome : std::uint8_t { kDecoded, kBroken, kNoImage };

// What one thread keeps from one image to the next.
class Worker {
 public:
  Worker(const FitOptions& fit, const DecodeLimits& limits, MemoryBudget& budget)
      : fit_(fit), limits_(limits), budget_(budget) {
    pixels_.resize(static_cast<std::size_t>(fit.size * fit.size * fit.channels));
  }

  // Throws Error where the file is an image, or looks like one, and cannot be read.
  Outcome decode(const ListedImage& image) {
    const FileReader file(image.path);
    std::byte beginning[kKindBytes];
    const std::span<std::byte> head =
        std::span(beginning).first(std::min<std::size_t>(kKindBytes, file.size()));
    file.read_at(0, head);
    if (image_kind(head) == ImageKind::kNone && !looks_like_image(image.name))
      return Outcome::kNoImage;
    if (file.size() > budget_.bytes()) refuse(image, file.size());
    bytes_.resize(file.size());
    file.read_at(0, bytes_);
    EncodedImage encoded(bytes_, image.path, limits_.max_pixels);
    const std::uint64_t needed = file.size() + encoded.working_bytes(fit_.channels);
    if (needed > budget_.bytes()) refuse(image, needed);
    const Share share(budget_, needed);
    decoder_.decode_fitted(encoded, fit_, pixels_.data());
    if (needed > kKeptBytes) {
      decoder_ = ImageDecoder();
      bytes_ = std::vector<std::byte>();
    }
    return Outcome::kDecoded;
  }

  std::span<const std::byte> pixels() const { return std::as_bytes(std::span(pixels_)); }

 private:
  static constexpr std::uint64_t kKeptBytes = std::uint64_t{32} << 20;

  [[noreturn]] void refuse(const ListedImage& image, std::uint64_t bytes) const {
    throw Error("{}: decoding takes {} bytes; --max-memory allows {}", image.path, bytes,
                budget_.bytes());
  }

  const FitOptions& fit_;
  const DecodeLimits& limits_;
  MemoryBudget& budget_;
  ImageDecoder decoder_;
  std::vector<std::byte> bytes_;
  std::vector<std::uint8_t> pixels_;
};

class DecodedRows final : public RowSource {
 public:
  DecodedRows(DecodedImages images, const FitOptions& fit)
      : images_(std::move(images)),
        layout_{.rows = static_cast<std::int64_t>(images_.images.size()),
                .sample = {fit.size, fit.size, fit.channels},
                .x_type = DType::kUInt8,
                .target = TargetKind::kClass} {}

  const RowLayout& layout() const override { return layout_; }
  void read(std::span<const std::int64_t> rows, const RowBlock& to) override {
    const std::size_t bytes = layout_.x_bytes();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto row = static_cast<std::size_t>(rows[i]);
      images_.pixels->read_at(images_.slots[row] * bytes, {to.x.raw() + i * bytes, bytes});
      to.y.data<std::int64_t>()[i] = images_.images[row].label;
    }
  }
  std::vector<std::int64_t> labels() override {
    std::vector<std::int64_t> labels;
    for (const ListedImage& image : images_.images) labels.push_back(image.label);
    return labels;
  }
  std::vector<std::string> names(std::span<const std::int64_t> rows) override {
    std::vector<std::string> names;
    for (const std::int64_t row : rows)
      names.push_back(images_.images[static_cast<std::size_t>(row)].name);
    return names;
  }

 private:
  DecodedImages images_;
  RowLayout layout_;
};

}  // namespace

DecodedImages decode_images(const std::vector<ListedImage>& images, const FitOptions& fit,
                            const DecodeLimits& limits, const std::string& output) {
  const std::size_t row_bytes = static_cast<std::size_t>(fit.size * fit.size * fit.channels);
  DecodedImages decoded;
  decoded.pixels = std::make_shared<ScratchFile>(output);
  MemoryBudget budget(limits.memory);
  std::vector<Outcome> outcomes(images.size(), Outcome::kDecoded);
  std::vector<std::string> reasons(images.size());
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;  // of what follows
  Progress progress("decoding images", static_cast<std::int64_t>(images.size()));
  std::exception_ptr failure;

  const auto work = [&] {
    try {
      Worker worker(fit, limits, budget);
      for (std::size_t i = next++; i < images.size(); i = next++) {
        try {
          outcomes[i] = worker.decode(images[i]);
        } catch (const Error& error) {
          outcomes[i] = Outcome::kBroken;
          reasons[i] = error.what();
        }
        if (outcomes[i] == Outcome::kDecoded)
          decoded.pixels->write_at(i * row_bytes, worker.pixels());
        const std::lock_guard lock(mutex);
        progress.advance(1);
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      next = images.size();
    }
  };
  std::vector<std::jthread> threads;
  for (int i = 1; i < limits.threads; ++i) threads.emplace_back(work);
  work();
  threads.clear();  // joins them
  if (failure) std::rethrow_exception(failure);

  for (std::size_t i = 0; i < images.size(); ++i) switch (outcomes[i]) {
      case Outcome::kDecoded:
        decoded.images.push_back(images[i]);
        decoded.slots.push_back(i);
        break;
      case Outcome::kBroken:
        decoded.broken.push_back(std::move(reasons[i]));
        break;
      case Outcome::kNoImage:
        decoded.no_images.push_back(images[i].name);
    }
  return decoded;
}

std::shared_ptr<RowSource> rows_of(DecodedImages images, const FitOptions& fit) {
  return std::make_shared<DecodedRows>(std::move(images), fit);
}

}  // namespace lockstep
