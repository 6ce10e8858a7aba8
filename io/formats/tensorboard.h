// TensorBoard event files: TFRecords of the protocol buffers Event, Summary and HParamsPluginData,
// written by hand (tensorboard/compat/proto/{event,summary}.proto,
// plugins/hparams/plugin_data.proto; core/lib/io/record_writer.cc of TensorFlow for the records).
// Nothing of TensorFlow is needed.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "kernels/core/tensor.h"

namespace lockstep {

// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), and the form that TFRecords store: rotated
// right by 15 bits plus a constant, since a checksum of data that hold their checksum says little.
std::uint32_t crc32c(std::string_view bytes);
std::uint32_t masked_crc32c(std::string_view bytes);

// Counts of values between equally wide limits; sums in the order of the values.
struct Histogram {
  static constexpr std::size_t kBuckets = 30;
  double min = 0, max = 0, count = 0, sum = 0, sum_squares = 0;
  std::array<double, kBuckets> counts{};

  static Histogram of(std::span<const float> values);  // finite, at least one
  double limit(std::size_t bucket) const;              // the bucket's right edge
};

using HyperParameter = std::variant<bool, double, std::string>;

class EventFile {
 public:
  // A new file in the folder, named events.out.tfevents.<time>.<number>.lockstep so that names are
  // in the order of time. Readers drop what earlier files say of steps from `first_step` on: the
  // steps that a run which was stopped after its last checkpoint takes once more.
  EventFile(const std::string& folder, std::int64_t first_step);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  static bool any_in(const std::string& folder);  // whether it holds an event file

  const std::string& path() const { return path_; }

  // Each is in the file when the call returns. Throws Error naming the file.
  void scalar(const std::string& tag, std::int64_t step, double value);
  void image(const std::string& tag, std::int64_t step, const Tensor& pixels);  // uint8 (H, W, C)
  void histogram(const std::string& tag, std::int64_t step, const Histogram& histogram);
  // Once a run: its parameters, and the tags of the scalars that the HParams page shows beside
  // them.
  void hyper_parameters(const std::string& name,
                        const std::vector<std::pair<std::string, HyperParameter>>& parameters,
                        const std::vector<std::string>& metrics);
  void finished();  // the session that hyper_parameters began has come to its end

 private:
  void value(std::int64_t step, const std::string& value);  // a Summary of one Value
  void record(const std::string& data);

  std::string path_;
  int descriptor_ = -1;
};

}  // namespace lockstep
