#include "io/inspection/contact_sheet.h"

#include <algorithm>
#include <cstring>

#include "io/dataset/row_source.h"
#include "io/formats/png.h"
#include "io/inspection/bitmap_font.h"
#include "io/inspection/image_drawing.h"
#include "io/inspection/labels.h"

namespace lockstep {

namespace {

constexpr std::int64_t kGap = 4, kTextScale = 2, kColumns = 10;

struct SheetRow {
  std::string caption;
  std::vector<std::int64_t> rows;  // of the dataset
};

// `count` of `rows`, evenly spread.
std::vector<std::int64_t> spread(std::span<const std::int64_t> rows, std::int64_t count) {
  const auto there = static_cast<std::int64_t>(rows.size());
  count = std::min(count, there);
  std::vector<std::int64_t> chosen;
  for (std::int64_t i = 0; i < count; ++i)
    chosen.push_back(rows[static_cast<std::size_t>(i * there / count)]);
  return chosen;
}

std::vector<SheetRow> rows_by_class(const Dataset& dataset, std::span<const std::int64_t> labels,
                                    std::int64_t count) {
  std::vector<std::vector<std::int64_t>> members;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const auto label = static_cast<std::size_t>(labels[row]);
    if (label >= members.size()) members.resize(label + 1);
    members[label].push_back(static_cast<std::int64_t>(row));
  }
  const std::vector<std::string>& names = dataset.info().classes;
  std::vector<SheetRow> sheet;
  for (std::size_t label = 0; label < members.size(); ++label) {
    std::string caption = std::to_string(label);
    if (label < names.size() && names[label] != caption) caption += " " + names[label];
    sheet.push_back({std::move(caption), spread(members[label], count)});
  }
  return sheet;
}

std::vector<SheetRow> rows_of_ten(const Dataset& dataset, std::int64_t count) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(dataset.rows()));
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i);
  const std::vector<std::int64_t> chosen = spread(all, count);
  std::vector<SheetRow> sheet;
  for (std::size_t begin = 0; begin < chosen.size(); begin += kColumns) {
    const std::size_t end = std::min(begin + static_cast<std::size_t>(kColumns), chosen.size());
    sheet.push_back({fmt::format("row {}", chosen[begin]),
                     {chosen.begin() + static_cast<std::ptrdiff_t>(begin),
                      chosen.begin() + static_cast<std::ptrdiff_t>(end)}});
  }
  return sheet;
}

Tensor draw_sheet(const std::vector<SheetRow>& sheet, const Tensor& x, const GreyLevels& levels) {
  const DrawingScale scale(x.shape().without_rows());
  const std::int64_t height = scale.of(x.shape()[1]), width = scale.of(x.shape()[2]);
  const std::int64_t line = std::max(height, kGlyphHeight * kTextScale) + kGap;
  std::size_t letters = 0, columns = 0;
  for (const SheetRow& row : sheet) {
    letters = std::max(letters, row.caption.size());
    columns = std::max(columns, row.rows.size());
  }
  const std::int64_t caption =
      kGap + static_cast<std::int64_t>(letters) * kGlyphAdvance * kTextScale + kGap;
  const Tensor image =
      host_tensor({kGap + line * static_cast<std::int64_t>(sheet.size()),
                   caption + (width + kGap) * static_cast<std::int64_t>(columns), 3},
                  DType::kUInt8);
  std::memset(image.raw(), 255, image.bytes());
  std::int64_t index = 0, top = kGap;
  for (const SheetRow& row : sheet) {
    draw_text(image, top + (line - kGap - kGlyphHeight * kTextScale) / 2, kGap, kTextScale,
              row.caption);
    std::int64_t left = caption;
    for (std::size_t i = 0; i < row.rows.size(); ++i, ++index, left += width + kGap)
      draw_image(image, top, left, x, index, scale, levels);
    top += line;
  }
  return image;
}

}  // namespace

std::string write_contact_sheet(const ContactSheetOptions& options, const std::string& png) {
  const std::unique_ptr<Dataset> dataset = Dataset::open(options.source);
  const Shape sample = dataset->sample_shape();
  check_drawable(*dataset, fmt::format("'{}' of '{}'", options.source.x, options.source.group));
  if (options.count < 1) throw Error("--count = {}: at least one image is needed", options.count);

  const bool classes = dataset->target() == TargetKind::kClass;
  std::vector<SheetRow> sheet =
      classes ? rows_by_class(*dataset, labels_of(options.source, *dataset), options.count)
              : rows_of_ten(*dataset, options.count);
  const DrawingScale scale(sample);
  const auto fitting = static_cast<std::size_t>(
      kMostSheetPixels / (std::max(scale.of(sample[0]), kGlyphHeight * kTextScale) + kGap));
  const auto across = static_cast<std::size_t>(kMostSheetPixels / 2 / (scale.of(sample[1]) + kGap));
  const std::size_t all = sheet.size();
  if (sheet.size() > fitting) sheet.resize(fitting);
  std::vector<std::int64_t> rows;
  for (SheetRow& row : sheet) {
    if (row.rows.size() > across) row.rows.resize(across);
    rows.insert(rows.end(), row.rows.begin(), row.rows.end());
  }
  const RowLayout layout = layout_of(*dataset);
  RowBlock block(layout, static_cast<std::int64_t>(rows.size()));
  dataset->read(rows, block.x, block.y, block.weight);
  const GreyLevels levels = find_levels(block.x);
  const Tensor image = draw_sheet(sheet, block.x, levels);
  write_png(png, image);

  std::string line = fmt::format("{}: {} of {} images", png, rows.size(), dataset->rows());
  if (classes) line += fmt::format(", {} of {} classes", sheet.size(), all);
  if (levels.least != 0 || levels.most != 255)
    line +=
        fmt::format(", values from {:.6g} (black) to {:.6g} (white)", levels.least, levels.most);
  return line;
}

}  // namespace lockstep
