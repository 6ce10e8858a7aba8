#include "io/formats/tensorboard.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>

#include "io/formats/png.h"
#include "io/formats/protobuf.h"

namespace lockstep {

namespace {

// Field numbers of the messages, by their names there.
namespace event_field {
constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
}
namespace value_field {
constexpr int kTag = 1, kSimpleValue = 2, kImage = 4, kHisto = 5, kMetadata = 9;
}
namespace hparams_field {
constexpr int kExperiment = 2, kSessionStart = 3, kSessionEnd = 4;
}

constexpr std::int64_t kStart = 1;    // SessionLog.SessionStatus.START
constexpr std::int64_t kSuccess = 1;  // hparams Status

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

constexpr std::array<std::uint32_t, 256> crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
    table[byte] = crc;
  }
  return table;
}

template <typename Bits>
std::string little_endian(Bits bits) {
  std::string text;
  for (std::size_t i = 0; i < sizeof bits; ++i) text += static_cast<char>(bits >> (8 * i));
  return text;
}

// A google.protobuf.Value.
ProtoMessage to_message(const HyperParameter& parameter) {
  ProtoMessage value;
  if (const bool* flag = std::get_if<bool>(&parameter))
    value.integer(4, *flag ? 1 : 0);
  else if (const double* number = std::get_if<double>(&parameter))
    value.real(2, *number);
  else
    value.bytes(3, std::get<std::string>(parameter));
  return value;
}

// The Value by which the HParams plug-in is told something.
ProtoMessage hparams_value(const std::string& tag, int field, const ProtoMessage& content) {
  ProtoMessage plugin, metadata, value;
  plugin.bytes(1, "hparams").bytes(2, ProtoMessage().message(field, content).text());
  metadata.message(1, plugin);
  value.bytes(value_field::kTag, tag).message(value_field::kMetadata, metadata);
  return value;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<std::uint32_t, 256> kTable = crc_table();
  std::uint32_t crc = ~0u;
  for (const char byte : bytes)
    crc = (crc >> 8) ^ kTable[(crc ^ static_cast<std::uint8_t>(byte)) & 0xff];
  return ~crc;
}

std::uint32_t masked_crc32c(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8u;
}

Histogram Histogram::of(std::span<const float> values) {
  LOCKSTEP_CHECK(!values.empty(), "a histogram of {} values", values.size());
  Histogram result;
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  result.min = *min;
  result.max = *max;
  result.count = static_cast<double>(values.size());
  const double scale = result.max > result.min ? kBuckets / (result.max - result.min) : 0;
  for (const float single : values) {
    const double value = single;
    result.sum += value;
    result.sum_squares += value * value;
    const auto bucket = static_cast<std::size_t>((value - result.min) * scale);
    ++result.counts[std::min(bucket, kBuckets - 1)];
  }
  return result;
}

double Histogram::limit(std::size_t bucket) const {
  if (bucket + 1 == kBuckets) return max;
  return min + (max - min) * static_cast<double>(bucket + 1) / kBuckets;
}

EventFile::EventFile(const std::string& folder, std::int64_t first_step) {
  const auto seconds = static_cast<std::int64_t>(now());
  for (int number = 0; descriptor_ < 0; ++number) {
    path_ = fmt::format("{}/events.out.tfevents.{:010}.{:04}.lockstep", folder, seconds, number);
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && errno != EEXIST)
      throw Error("{}: cannot open for writing: {}", path_, std::generic_category().message(errno));
  }
  record(ProtoMessage()
             .real(event_field::kWallTime, now())
             .bytes(event_field::kFileVersion, "brain.Event:2")
             .text());
  if (first_step == 0) return;
  const ProtoMessage start = ProtoMessage().integer(1, kStart);
  record(ProtoMessage()
             .real(event_field::kWallTime, now())
             .integer(event_field::kStep, first_step)
             .message(event_field::kSessionLog, start)
             .text());
}

bool EventFile::any_in(const std::string& folder) {
  const std::filesystem::directory_iterator files(folder);
  return std::any_of(begin(files), end(files), [](const auto& entry) {
    return entry.path().filename().string().starts_with("events.out.tfevents.");
  });
}

EventFile::~EventFile() {
  ::close(descriptor_);
}

void EventFile::scalar(const std::string& tag, std::int64_t step, double value) {
  this->value(step, ProtoMessage()
                        .bytes(value_field::kTag, tag)
                        .single(value_field::kSimpleValue, static_cast<float>(value))
                        .text());
}

void EventFile::image(const std::string& tag, std::int64_t step, const Tensor& pixels) {
  ProtoMessage image;  // the third field is the number of channels
  image.integer(1, pixels.shape()[0])
      .integer(2, pixels.shape()[1])
      .integer(3, pixels.shape()[2])
      .bytes(4, encode_png(pixels));
  value(step,
        ProtoMessage().bytes(value_field::kTag, tag).message(value_field::kImage, image).text());
}

void EventFile::histogram(const std::string& tag, std::int64_t step, const Histogram& histogram) {
  std::array<double, Histogram::kBuckets> limits;
  for (std::size_t i = 0; i < limits.size(); ++i) limits[i] = histogram.limit(i);
  ProtoMessage message;
  message.real(1, histogram.min)
      .real(2, histogram.max)
      .real(3, histogram.count)
      .real(4, histogram.sum)
      .real(5, histogram.sum_squares)
      .packed(6, limits)
      .packed(7, histogram.counts);
  value(step,
        ProtoMessage().bytes(value_field::kTag, tag).message(value_field::kHisto, message).text());
}

void EventFile::hyper_parameters(
    const std::string& name, const std::vector<std::pair<std::string, HyperParameter>>& parameters,
    const std::vector<std::string>& metrics) {
  ProtoMessage experiment, session;
  experiment.real(3, now());
  for (const auto& [key, parameter] : parameters) {
    const std::int64_t type = std::holds_alternative<std::string>(parameter) ? 1
                              : std::holds_alternative<bool>(parameter)      ? 2
                                                                             : 3;
    experiment.message(4, ProtoMessage().bytes(1, key).integer(4, type));
    session.message(1, ProtoMessage().bytes(1, key).message(2, to_message(parameter)));
  }
  for (const std::string& tag : metrics)
    experiment.message(5, ProtoMessage().message(1, ProtoMessage().bytes(2, tag)));
  experiment.bytes(6, name);
  session.bytes(4, name).real(5, now());
  value(0, hparams_value("_hparams_/experiment", hparams_field::kExperiment, experiment).text());
  value(
      0,
      hparams_value("_hparams_/session_start_info", hparams_field::kSessionStart, session).text());
}

void EventFile::finished() {
  ProtoMessage end;
  end.integer(1, kSuccess).real(2, now());
  value(0, hparams_value("_hparams_/session_end_info", hparams_field::kSessionEnd, end).text());
}

void EventFile::value(std::int64_t step, const std::string& value) {
  record(ProtoMessage()
             .real(event_field::kWallTime, now())
             .integer(event_field::kStep, step)
             .message(event_field::kSummary, ProtoMessage().bytes(1, value))
             .text());
}

// Length and data, each followed by its checksum.
void EventFile::record(const std::string& data) {
  const std::string length = little_endian(static_cast<std::uint64_t>(data.size()));
  const std::string text =
      length + little_endian(masked_crc32c(length)) + data + little_endian(masked_crc32c(data));
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0)
      throw Error("{}: cannot write: {}", path_, std::generic_category().message(errno));
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace lockstep
