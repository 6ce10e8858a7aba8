#include "runtime/config/augment_kinds.h"

#include <algorithm>
#include <optional>

#include "io/augment/affine.h"
#include "io/augment/colour.h"
#include "io/augment/crop.h"
#include "io/augment/erasing.h"
#include "runtime/config/config_value.h"

namespace lockstep {

namespace {

constexpr double kMostDegrees = 360, kMostLevel = 1e9, kMostAlpha = 1000, kMostFactor = 100;
constexpr std::int64_t kMostSide = 16384;

template <typename T, typename... Arguments>
void add_step(const TableKeys& keys, AugmentOptions& options, Arguments&&... arguments) {
  if (options.mix.any())
    throw Error("{}", keys.message("kind", "stands behind " + options.mix_where +
                                               ": mixup and cutmix come last"));
  options.steps.push_back(
      {std::make_shared<T>(std::forward<Arguments>(arguments)...), keys.place("kind")});
}

Interval interval(const TableKeys& keys, std::string_view key, double low, double high) {
  const std::vector<double> bounds = keys.numbers(key, low, high);
  if (bounds.size() != 2 || bounds[0] > bounds[1])
    throw Error("{}", keys.message(key, "must be two numbers: [least, most]"));
  return {bounds[0], bounds[1]};
}

// A number n stands for [middle - n, middle + n], cut off at `low`.
Interval around(const TableKeys& keys, std::string_view key, double middle, double low,
                double high) {
  const std::vector<double> bounds = keys.numbers(key, low, high);
  if (bounds.size() > 1) return interval(keys, key, low, high);
  if (bounds[0] < 0)
    throw Error("{}", keys.message(key,
                                   "must be two numbers, [least, most], or one that is not "
                                   "negative"));
  return {std::max(low, middle - bounds[0]), middle + bounds[0]};
}

std::optional<ImageSize> size(const TableKeys& keys) {
  if (!keys.has("size")) return std::nullopt;
  const auto [height, width] = keys.pair("size");
  if (std::max(height, width) > kMostSide)
    throw Error("{}", keys.message("size", fmt::format("is at most {}", kMostSide)));
  return ImageSize{height, width};
}

double fill(const TableKeys& keys) {
  return keys.number("fill", -kMostLevel, kMostLevel);
}

void refuse_nothing(const TableKeys& keys, bool something, const std::string& cure) {
  if (!something) throw Error("{}", keys.message("kind", "does nothing as it stands: " + cure));
}

void add_resized_crop(const TableKeys& keys, AugmentOptions& options) {
  const Interval scale = interval(keys, "scale", 1e-4, 1);
  const Interval ratio = interval(keys, "ratio", 1e-2, 1e2);
  add_step<RandomResizedCrop>(keys, options, size(keys), scale, ratio);
}

void add_crop(const TableKeys& keys, AugmentOptions& options) {
  const std::int64_t padding = keys.integer("padding", 0);
  if (padding > kMostSide)
    throw Error("{}", keys.message("padding", fmt::format("is at most {}", kMostSide)));
  refuse_nothing(keys, keys.has("size") || padding > 0, "give 'padding', 'size' or both");
  add_step<RandomCrop>(keys, options, size(keys), padding, fill(keys));
}

template <RandomFlip::Axis axis>
void add_flip(const TableKeys& keys, AugmentOptions& options) {
  add_step<RandomFlip>(keys, options, axis, keys.number("p", 0, 1));
}

void add_rotation(const TableKeys& keys, AugmentOptions& options) {
  const Interval turn = around(keys, "degrees", 0, -kMostDegrees, kMostDegrees);
  RandomAffineOptions affine;
  affine.degrees = {-turn.high, -turn.low};
  affine.fill = fill(keys);
  add_step<RandomAffine>(keys, options, affine);
}

void add_affine(const TableKeys& keys, AugmentOptions& options) {
  RandomAffineOptions affine;
  affine.degrees = around(keys, "degrees", 0, -kMostDegrees, kMostDegrees);
  const std::vector<double> shift = keys.numbers("translate", 0, 1);
  if (shift.size() > 2)
    throw Error("{}", keys.message("translate", "must be one share, or two: [x, y]"));
  affine.translate_x = shift.front();
  affine.translate_y = shift.back();
  affine.scale = interval(keys, "scale", 1e-2, 1e2);
  affine.shear = around(keys, "shear", 0, -89, 89);
  affine.fill = fill(keys);
  refuse_nothing(
      keys, keys.has("degrees") || keys.has("translate") || keys.has("scale") || keys.has("shear"),
      "give 'degrees', 'translate', 'scale' or 'shear'");
  add_step<RandomAffine>(keys, options, affine);
}

void add_colour_jitter(const TableKeys& keys, AugmentOptions& options) {
  ColourJitterOptions jitter;
  jitter.brightness = around(keys, "brightness", 1, 0, kMostFactor);
  jitter.contrast = around(keys, "contrast", 1, 0, kMostFactor);
  jitter.saturation = around(keys, "saturation", 1, 0, kMostFactor);
  jitter.hue = around(keys, "hue", 0, -0.5, 0.5);
  refuse_nothing(
      keys,
      keys.has("brightness") || keys.has("contrast") || keys.has("saturation") || keys.has("hue"),
      "give 'brightness', 'contrast', 'saturation' or 'hue'");
  add_step<ColourJitter>(keys, options, jitter);
}

void add_erasing(const TableKeys& keys, AugmentOptions& options) {
  RandomErasingOptions erasing;
  erasing.p = keys.number("p", 0, 1);
  erasing.scale = interval(keys, "scale", 0, 1);
  erasing.ratio = interval(keys, "ratio", 1e-2, 1e2);
  erasing.levels = keys.numbers("value", -kMostLevel, kMostLevel);
  add_step<RandomErasing>(keys, options, erasing);
}

void add_cutout(const TableKeys& keys, AugmentOptions& options) {
  add_step<Cutout>(keys, options, keys.integer("size"), keys.number("p", 0, 1),
                   keys.numbers("value", -kMostLevel, kMostLevel));
}

void add_mix(const TableKeys& keys, double MixOptions::*alpha, double MixOptions::*p,
             AugmentOptions& options) {
  if (options.mix.*alpha > 0) throw Error("{}", keys.message("kind", "is listed twice"));
  options.mix.*alpha = keys.number("alpha", 1e-3, kMostAlpha);
  options.mix.*p = keys.number("p", 0, 1);
}

void add_mixup(const TableKeys& keys, AugmentOptions& options) {
  add_mix(keys, &MixOptions::mixup_alpha, &MixOptions::mixup_p, options);
}

void add_cutmix(const TableKeys& keys, AugmentOptions& options) {
  add_mix(keys, &MixOptions::cutmix_alpha, &MixOptions::cutmix_p, options);
}

const TableKey kSize{"size", "(the size of its input)", "of the result: n, or [height, width]"};
const TableKey kFill{"fill", "0", "level of what lies outside of the image"};
const TableKey kP{"p", "0.5", "how often"};
const TableKey kValue{"value", "0", "level painted: a number, or one a channel"};

const std::vector<AugmentKind>& table() {
  static const std::vector<AugmentKind> kinds{
      {"random_resized_crop",
       "part of the image, stretched (RandomResizedCrop)",
       {kSize,
        {"scale", "[0.08, 1]", "share of the area, least and most"},
        {"ratio", "[0.75, 1.3333333333333333]", "width / height, least and most"}},
       add_resized_crop},
      {"random_crop",
       "part of the padded image (RandomCrop)",
       {kSize, {"padding", "0", "pixels of the level 'fill' on all sides"}, kFill},
       add_crop},
      {"horizontal_flip",
       "left and right exchanged (RandomHorizontalFlip)",
       {kP},
       add_flip<RandomFlip::Axis::kHorizontal>},
      {"vertical_flip",
       "upside down (RandomVerticalFlip)",
       {kP},
       add_flip<RandomFlip::Axis::kVertical>},
      {"rotation",
       "about the middle (RandomRotation)",
       {{"degrees", "", "d stands for [-d, d]; anticlockwise"}, kFill},
       add_rotation},
      {"affine",
       "rotation, shift, scale and shear (RandomAffine)",
       {{"degrees", "0", "d stands for [-d, d]; clockwise"},
        {"translate", "0", "largest shift, as a share of the side: s, or [x, y]"},
        {"scale", "[1, 1]", "least and most"},
        {"shear", "0", "degrees along x; d stands for [-d, d]"},
        kFill},
       add_affine},
      {"colour_jitter",
       "of uint8 images, in random order (ColorJitter)",
       {{"brightness", "0", "b stands for factors from 1 - b to 1 + b; or [least, most]"},
        {"contrast", "0", "the same"},
        {"saturation", "0", "the same"},
        {"hue", "0", "turns of the colour circle, up to 0.5; h stands for [-h, h]"}},
       add_colour_jitter},
      {"random_erasing",
       "a box painted over (RandomErasing)",
       {kP,
        {"scale", "[0.02, 0.33]", "share of the area, least and most"},
        {"ratio", "[0.3, 3.3]", "height / width, least and most"},
        kValue},
       add_erasing},
      {"cutout",
       "a square painted over, its middle anywhere",
       {{"size", "", "side in pixels"}, {"p", "1", "how often"}, kValue},
       add_cutout},
      {"mixup",
       "with another sample of the shard, pixel by pixel; the targets too",
       {{"alpha", "1", "shares are drawn from Beta(alpha, alpha)"}, {"p", "1", "how often"}},
       add_mixup},
      {"cutmix",
       "a box from another sample of the shard; beside mixup: one or the other",
       {{"alpha", "1", "shares are drawn from Beta(alpha, alpha)"}, {"p", "1", "how often"}},
       add_cutmix}};
  return kinds;
}

const AugmentKind& kind_of(const ConfigTable& table_read, const std::string& path) {
  std::vector<std::string> names;
  for (const AugmentKind& kind : table()) names.emplace_back(kind.name);
  const auto item = std::ranges::find(table_read.items, "kind", &ConfigItem::key);
  if (item == table_read.items.end())
    throw Error("{}: {}.kind is missing: one of {}", table_read.where, path,
                fmt::join(names, ", "));
  const auto* name = std::get_if<std::string>(&item->entry.value.value);
  const std::string text = name != nullptr ? *name : describe(item->entry.value);
  const auto found = std::ranges::find(table(), text, &AugmentKind::name);
  if (name != nullptr && found != table().end()) return *found;
  const std::string near = nearest_name(text, names);
  throw Error("{}: {}.kind: there is no '{}'{}; it is one of {} (data.normalize normalises)",
              item->entry.where, path, text,
              near.empty() ? "" : fmt::format(" (did you mean '{}'?)", near),
              fmt::join(names, ", "));
}

}  // namespace

std::span<const AugmentKind> augment_kinds() {
  return table();
}

std::string augment_kinds_help() {
  std::string text;
  for (const AugmentKind& kind : table()) {
    text += fmt::format("  {:<20}{}\n", kind.name, kind.help);
    for (const TableKey& key : kind.keys)
      text += fmt::format("  {:<20}  {} = {}: {}\n", "", key.name,
                          key.fallback.empty() ? "(required)" : key.fallback, key.help);
  }
  return text;
}

AugmentOptions read_augmentation(const DataConfig& data) {
  AugmentOptions options;
  for (std::size_t i = 0; i < data.augment.size(); ++i) {
    const ConfigTable& entry = data.augment[i];
    const std::string path = fmt::format("data.augment[{}]", i);
    const AugmentKind& kind = kind_of(entry, path);
    const TableKeys keys(entry, kind.keys, path);
    keys.check_known({"kind"}, fmt::format("the kind '{}'", kind.name));
    const std::size_t before = options.steps.size();
    kind.add(keys, options);
    const std::string where = fmt::format("{}: {} ({})", entry.where, path, kind.name);
    if (options.steps.size() > before)
      options.steps.back().where = where;
    else
      options.mix_where = where;
  }
  return options;
}

}  // namespace lockstep
