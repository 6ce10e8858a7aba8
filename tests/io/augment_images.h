// Images that the tests of augmentation share.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "io/augment/image_span.h"
#include "io/dataset/dataset.h"

namespace lockstep {

// An image with memory of its own.
template <typename T>
struct OwnedImage {
  OwnedImage(std::int64_t height, std::int64_t width, std::int64_t channels)
      : pixels(static_cast<std::size_t>(height * width * channels)),
        height(height),
        width(width),
        channels(channels) {}

  ImageSpan image() {
    return {reinterpret_cast<std::byte*>(pixels.data()), dtype_of<T>(), height, width, channels};
  }
  T& at(std::int64_t y, std::int64_t x, std::int64_t c) {
    return pixels[static_cast<std::size_t>((y * width + x) * channels + c)];
  }

  std::vector<T> pixels;
  std::int64_t height, width, channels;
};

template <typename T>
OwnedImage<T> random_image(std::mt19937& random, std::int64_t height, std::int64_t width,
                           std::int64_t channels) {
  OwnedImage<T> result(height, width, channels);
  for (T& pixel : result.pixels) pixel = static_cast<T>(random() % 256);
  return result;
}

// (N, H, W, C) of random levels with random labels of `classes` or, for 0, two columns of values.
struct MemoryRows : Dataset {
  MemoryRows(std::mt19937& random, std::int64_t rows, const Shape& sample, DType type,
             std::int64_t classes, bool weighted = false)
      : x_(host_tensor(sample.with_rows(rows), type)), sample_(sample), classes_(classes) {
    for (std::int64_t i = 0; i < x_.elements(); ++i) {
      if (type == DType::kUInt8)
        x_.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(random());
      else
        x_.data<float>()[i] = static_cast<float>(random() % 2048) / 64 - 16;
    }
    y_ = classes > 0 ? host_tensor({rows}, DType::kInt64) : host_tensor({rows, 2}, DType::kFloat32);
    for (std::int64_t i = 0; i < y_.elements(); ++i) {
      if (classes > 0)
        y_.data<std::int64_t>()[i] = static_cast<std::int64_t>(random()) % classes;
      else
        y_.data<float>()[i] = static_cast<float>(random() % 100);
    }
    if (!weighted) return;
    weight_ = host_tensor({rows}, DType::kFloat32);
    for (float& weight : weight_.span<float>()) weight = static_cast<float>(random() % 3);
  }

  const DatasetInfo& info() const override { return info_; }
  std::int64_t rows() const override { return x_.rows(); }
  Shape sample_shape() const override { return sample_; }
  DType x_type() const override { return x_.dtype(); }
  TargetKind target() const override {
    return classes_ > 0 ? TargetKind::kClass : TargetKind::kValues;
  }
  std::int64_t target_columns() const override { return classes_ > 0 ? 1 : 2; }
  std::int64_t class_count() const override { return classes_; }
  bool has_weight() const override { return weight_.defined(); }
  std::string access() const override { return "made up"; }
  std::size_t row_bytes() const override { return 0; }
  bool packed() const override { return chunk_rows_ > 1; }
  std::int64_t chunk_of(std::int64_t row) const override { return row / chunk_rows_; }
  std::string checksum() const override { return ""; }
  void read(std::span<const std::int64_t> rows, Tensor& x, Tensor& y,
            Tensor& weight) const override {
    const auto copy = [&](const Tensor& from, const Tensor& to) {
      const std::size_t bytes = from.bytes() / static_cast<std::size_t>(from.rows());
      for (std::size_t i = 0; i < rows.size(); ++i)
        std::copy_n(from.raw() + static_cast<std::size_t>(rows[i]) * bytes, bytes,
                    to.raw() + i * bytes);
    };
    copy(x_, x);
    copy(y_, y);
    if (weight_) copy(weight_, weight);
  }

  Tensor x_, y_, weight_;
  std::int64_t chunk_rows_ = 1;  // that are unpacked together

 private:
  DatasetInfo info_;
  Shape sample_;
  std::int64_t classes_;
};

}  // namespace lockstep
