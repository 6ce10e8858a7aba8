#include "io/inspection/augment_sheet.h"

#include <algorithm>
#include <cstring>

#include "io/augment/preview.h"
#include "io/formats/png.h"
#include "io/inspection/bitmap_font.h"
#include "io/inspection/image_drawing.h"

namespace lockstep {

namespace {

constexpr std::int64_t kGap = 4, kTextScale = 2, kSmallText = kGlyphHeight + 1;
constexpr std::int64_t kMostLetters = 20;  // of what stands under an image

class Labels {
 public:
  Labels(const Dataset& dataset, const RowBlock& rows) : names_(dataset.info().classes) {
    if (dataset.target() == TargetKind::kClass) labels_ = rows.y;
  }
  explicit operator bool() const { return labels_.defined(); }
  std::string of(std::int64_t row) const {
    const auto label = static_cast<std::size_t>(labels_.data<std::int64_t>()[row]);
    return label < names_.size() ? names_[label] : std::to_string(label);
  }

 private:
  std::vector<std::string> names_;
  Tensor labels_;
};

std::string share_text(double share, const std::string& label) {
  return fmt::format("{:.2f} {}", share, label);
}

// A version's place on the sheet: an image, and what is said of it, may be the wider.
std::int64_t version_width(std::int64_t image, const Labels& labels, std::int64_t rows) {
  std::int64_t letters = 0;
  for (std::int64_t row = 0; row < rows; ++row)
    letters = std::max(letters, static_cast<std::int64_t>(share_text(1, labels.of(row)).size()));
  return std::max(image, std::min(letters, kMostLetters) * kGlyphAdvance);
}

void draw_shares(const Tensor& sheet, std::int64_t top, std::int64_t left, std::int64_t width,
                 const Labels& labels, std::int64_t row, const Augmentation::Pair& pair) {
  const double own = static_cast<double>(pair.mix.share) / Mix::kWhole;
  const auto letters = static_cast<std::size_t>(width / kGlyphAdvance);
  const auto line = [&](double share, std::int64_t of) {
    return share_text(share, labels.of(of)).substr(0, letters);
  };
  draw_text(sheet, top, left, 1, line(own, row));
  if (pair.mix.share < Mix::kWhole)
    draw_text(sheet, top + kSmallText, left, 1, line(1 - own, pair.partner));
}

}  // namespace

std::string write_augment_sheet(const Dataset& dataset, const Augmentation& augmentation,
                                std::int64_t count, std::int64_t versions, const std::string& png) {
  check_drawable(dataset, "data.x");
  const Shape stored_shape = dataset.sample_shape(), shape = augmentation.sample_shape();
  const DrawingScale stored_scale(stored_shape), scale(shape);
  const std::int64_t first = stored_scale.of(stored_shape[1]);
  const std::int64_t height = std::max(stored_scale.of(stored_shape[0]), scale.of(shape[0]));
  const std::int64_t line = height + kGap + (augmentation.mixes() ? 2 * kSmallText : 0);
  count = std::min({count, dataset.rows(), kMostSheetPixels / line});
  if (count < 1) throw Error("--count: at least one image is needed");

  std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    ids[static_cast<std::size_t>(i)] = i * dataset.rows() / count;
  RowBlock stored(layout_of(dataset), count);
  dataset.read(ids, stored.x, stored.y, stored.weight);
  const Labels labels(dataset, stored);
  const GreyLevels levels = find_levels(stored.x);
  std::int64_t width = scale.of(shape[1]);
  if (labels && augmentation.mixes()) width = version_width(width, labels, count);

  std::vector<std::string> captions;
  std::size_t letters = 0;
  for (std::int64_t row = 0; row < count; ++row) {
    const std::int64_t id = ids[static_cast<std::size_t>(row)];
    std::string caption =
        labels ? fmt::format("row {} {}", id, labels.of(row)) : fmt::format("row {}", id);
    letters = std::max(letters, caption.size());
    captions.push_back(std::move(caption));
  }
  const std::int64_t left =
      kGap + static_cast<std::int64_t>(letters) * kGlyphAdvance * kTextScale + kGap;
  const std::int64_t right = left + first + 3 * kGap;  // of the stored image
  const Tensor sheet =
      host_tensor({kGap + line * count, right + versions * (width + kGap), 3}, DType::kUInt8);
  std::memset(sheet.raw(), 255, sheet.bytes());
  const auto top_of = [&](std::int64_t row) { return kGap + line * row; };
  for (std::int64_t row = 0; row < count; ++row) {
    draw_text(sheet, top_of(row) + (height - kGlyphHeight * kTextScale) / 2, kGap, kTextScale,
              captions[static_cast<std::size_t>(row)]);
    draw_image(sheet, top_of(row), left, stored.x, row, stored_scale, levels);
  }
  for (std::int64_t epoch = 0; epoch < versions; ++epoch) {
    const Preview version = preview(stored, augmentation, epoch, ids);
    const std::int64_t at = right + epoch * (width + kGap);
    for (std::int64_t row = 0; row < count; ++row) {
      draw_image(sheet, top_of(row), at, version.x, row, scale, levels);
      if (labels && !version.pairs.empty())
        draw_shares(sheet, top_of(row) + height + 2, at, width, labels, row,
                    version.pairs[static_cast<std::size_t>(row)]);
    }
  }
  write_png(png, sheet);
  return fmt::format("{}: {} of {} samples; the stored image, then epochs 1 to {}", png, count,
                     dataset.rows(), versions);
}

}  // namespace lockstep
