#include "io/inspection/contact_sheet.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "io/dataset/row_source.h"
#include "io/formats/png.h"
#include "io/inspection/bitmap_font.h"
#include "io/inspection/labels.h"

namespace lockstep {

namespace {

constexpr std::int64_t kSmallSide = 56, kLargeSide = 112;  // of an image on the sheet, about
constexpr std::int64_t kGap = 4, kTextScale = 2, kColumns = 10;
constexpr std::int64_t kMostPixels = 16000;  // along a side: what viewers open

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

// How image pixels become pixels of the sheet: enlarged by a whole factor, or averaged over boxes.
struct Scale {
  std::int64_t enlarge = 1, shrink = 1;

  explicit Scale(const Shape& sample) {
    const std::int64_t side = std::max(sample[0], sample[1]);
    enlarge = std::max<std::int64_t>(1, kSmallSide / side);
    shrink = (side + kLargeSide - 1) / kLargeSide;
  }
  std::int64_t of(std::int64_t side) const { return (side + shrink - 1) / shrink * enlarge; }
};

// Values of the chosen images as grey levels from 0 to 255.
struct Levels {
  double least = 0, most = 255;

  std::uint8_t of(double value) const {
    return static_cast<std::uint8_t>(
        std::lround(std::clamp((value - least) / (most - least), 0.0, 1.0) * 255));
  }
};

double value_at(const Tensor& x, std::int64_t element) {
  return x.dtype() == DType::kUInt8 ? static_cast<double>(x.data<std::uint8_t>()[element])
                                    : static_cast<double>(x.data<float>()[element]);
}

// Bytes are shown as they are unless they use the lower half alone (digits of 16 grey levels);
// floats from their least to their largest.
Levels find_levels(const Tensor& x) {
  double least = value_at(x, 0), most = least;
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    least = std::min(least, value_at(x, i));
    most = std::max(most, value_at(x, i));
  }
  if (x.dtype() == DType::kUInt8) return {0, most < 128 && most > 0 ? most : 255};
  return {least, most > least ? most : least + 1};
}

// Image `index` of x with its upper left corner at (top, left).
void draw_image(const Tensor& sheet, std::int64_t top, std::int64_t left, const Tensor& x,
                std::int64_t index, const Scale& scale, const Levels& levels) {
  const std::int64_t height = x.shape()[1], width = x.shape()[2], channels = x.shape()[3];
  const auto mean = [&](std::int64_t row, std::int64_t column, std::int64_t c) {
    double sum = 0;
    std::int64_t count = 0;
    for (std::int64_t h = row; h < std::min(row + scale.shrink, height); ++h)
      for (std::int64_t w = column; w < std::min(column + scale.shrink, width); ++w, ++count)
        sum += value_at(x, ((index * height + h) * width + w) * channels + c);
    return sum / static_cast<double>(count);
  };
  for (std::int64_t h = 0; h < scale.of(height); ++h)
    for (std::int64_t w = 0; w < scale.of(width); ++w)
      for (std::int64_t c = 0; c < 3; ++c)
        sheet.data<std::uint8_t>()[((top + h) * sheet.shape()[1] + left + w) * 3 + c] =
            levels.of(mean(h / scale.enlarge * scale.shrink, w / scale.enlarge * scale.shrink,
                           std::min(c, channels - 1)));
}

Tensor draw_sheet(const std::vector<SheetRow>& sheet, const Tensor& x, const Levels& levels) {
  const Scale scale(x.shape().without_rows());
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
  const bool drawable = sample.rank() == 3 && (sample[2] == 1 || sample[2] == 3);
  if (!drawable || dataset->x_type() == DType::kInt64)
    throw Error(
        "'{}' of '{}': samples {} of {} cannot be shown; images are (height, width, channels) with "
        "one channel or three",
        options.source.x, options.source.group, sample.to_string(), name_of(dataset->x_type()));
  if (options.count < 1) throw Error("--count = {}: at least one image is needed", options.count);

  const bool classes = dataset->target() == TargetKind::kClass;
  std::vector<SheetRow> sheet =
      classes ? rows_by_class(*dataset, labels_of(options.source, *dataset), options.count)
              : rows_of_ten(*dataset, options.count);
  const Scale scale(sample);
  const auto fitting = static_cast<std::size_t>(
      kMostPixels / (std::max(scale.of(sample[0]), kGlyphHeight * kTextScale) + kGap));
  const auto across = static_cast<std::size_t>(kMostPixels / 2 / (scale.of(sample[1]) + kGap));
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
  const Levels levels = find_levels(block.x);
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
