// CIFAR-10 (Krizhevsky 2009), binary version: files of records, each a label's byte and 32 x 32
// bytes of red, of green and of blue.
#include <algorithm>
#include <array>
#include <filesystem>
#include <sstream>

#include "io/base/file.h"
#include "io/prepare/prepare.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSide = 32, kChannels = 3, kClasses = 10;
constexpr std::size_t kPlane = kSide * kSide, kRecord = 1 + kPlane * kChannels;

class Cifar10Rows final : public RowSource {
 public:
  explicit Cifar10Rows(const std::vector<std::string>& files) {
    for (const std::string& path : files) {
      const auto file = std::make_shared<FileReader>(path);
      if (file->size() == 0 || file->size() % kRecord != 0)
        throw Error("{}: {} bytes are no records of {} bytes each; fetch or unpack it again", path,
                    file->size(), kRecord);
      const std::uint64_t records = file->size() / kRecord;
      for (std::uint64_t record = 0; record < records; ++record) {
        std::array<std::byte, 1> label{};
        file->read_at(record * kRecord, label);
        const auto value = std::to_integer<std::int64_t>(label[0]);
        if (value >= kClasses)
          throw Error("{}: record {} has the label {}; CIFAR-10 has {} classes", path, record,
                      value, kClasses);
        labels_.push_back(value);
        places_.push_back({file, record});
      }
    }
    layout_ = {.rows = static_cast<std::int64_t>(labels_.size()),
               .sample = {kSide, kSide, kChannels},
               .x_type = DType::kUInt8,
               .target = TargetKind::kClass};
  }

  const RowLayout& layout() const override { return layout_; }
  std::vector<std::int64_t> labels() override { return labels_; }
  void read(std::span<const std::int64_t> rows, const RowBlock& to) override {
    std::array<std::byte, kRecord> record;
    std::byte* pixel = to.x.raw();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto row = static_cast<std::size_t>(rows[i]);
      places_[row].file->read_at(places_[row].record * kRecord, record);
      for (std::size_t place = 0; place < kPlane; ++place)
        for (std::size_t c = 0; c < kChannels; ++c) *pixel++ = record[1 + c * kPlane + place];
      to.y.data<std::int64_t>()[i] = labels_[row];
    }
  }

 private:
  struct Place {
    std::shared_ptr<FileReader> file;
    std::uint64_t record;
  };
  std::vector<Place> places_;
  std::vector<std::int64_t> labels_;
  RowLayout layout_;
};

fs::path find_folder(const std::string& given) {
  if (fs::is_regular_file(given))
    throw Error("{}: unpack it first (tar -xzf '{}'), and name the folder that it makes", given,
                given);
  for (const fs::path& folder : {fs::path(given), fs::path(given) / "cifar-10-batches-bin"})
    if (fs::exists(folder / "data_batch_1.bin")) return folder;
  if (fs::exists(fs::path(given) / "data_batch_1"))
    throw Error(
        "{}: this is CIFAR-10's version for Python; the binary version is read "
        "(cifar-10-binary.tar.gz)",
        given);
  throw Error(
      "{}: it holds no data_batch_1.bin; name the folder that cifar-10-binary.tar.gz is "
      "unpacked to",
      given);
}

std::vector<std::string> read_classes(const std::string& path) {
  std::istringstream text(read_text(path));
  std::vector<std::string> names;
  for (std::string line; std::getline(text, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  if (names.size() != kClasses)
    throw Error("{}: {} names of classes, not {}", path, names.size(), kClasses);
  return names;
}

}  // namespace

void prepare_cifar10(const Cifar10Options& options, const PrepareOptions& common) {
  check_output(common.output, common.write.force);
  const fs::path folder = find_folder(options.folder);
  std::vector<std::string> batches;
  for (int i = 1; i <= 5; ++i) batches.push_back(folder / fmt::format("data_batch_{}.bin", i));
  const auto train = std::make_shared<Cifar10Rows>(batches);
  const auto test =
      std::make_shared<Cifar10Rows>(std::vector<std::string>{folder / "test_batch.bin"});
  DatasetContents contents;
  contents.info.task = "classification";
  contents.info.source = "cifar10: data_batch_1.bin to data_batch_5.bin, test_batch.bin";
  contents.info.classes = read_classes(folder / "batches.meta.txt");
  write_parts(train, plan_split(*train, common), common, std::move(contents), test);
}

}  // namespace lockstep
