#include "io/augment/centre_view.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

namespace lockstep {

namespace {

constexpr double kCentreShare = 0.875;

// One axis of an image, whose other axes are `outer` before it and `inner` behind it; in float, for
// values that the loops of Resizer do not take.
template <typename From, typename Store>
void resize_axis(const From* from, std::int64_t outer, std::int64_t size, std::int64_t inner,
                 std::int64_t whole, std::int64_t begin, std::int64_t count, const Store& store) {
  for (std::int64_t place = 0; place < count; ++place) {
    const TriangleWeights taps = triangle_weights(begin + place, size, whole);
    for (std::int64_t o = 0; o < outer; ++o)
      for (std::int64_t i = 0; i < inner; ++i) {
        double sum = 0;
        const From* near = from + (o * size + taps.begin) * inner + i;
        for (std::size_t t = 0; t < taps.weights.size(); ++t, near += inner)
          sum += taps.weights[t] * static_cast<double>(*near);
        store((o * count + place) * inner + i, sum);
      }
  }
}

template <typename T>
void resize_values(const T* from, const Shape& stored, const ResizePlan& plan, T* to) {
  std::vector<float> between(static_cast<std::size_t>(stored[0] * plan.part_width * stored[2]));
  resize_axis(from, stored[0], stored[1], stored[2], plan.width, plan.left, plan.part_width,
              [&](std::int64_t i, double value) {
                between[static_cast<std::size_t>(i)] = static_cast<float>(value);
              });
  resize_axis(between.data(), 1, stored[0], plan.part_width * stored[2], plan.height, plan.top,
              plan.part_height, [&](std::int64_t i, double value) {
                to[i] = static_cast<T>(std::is_integral_v<T> ? std::nearbyint(value) : value);
              });
}

class CentreView final : public Dataset {
 public:
  CentreView(std::shared_ptr<const Dataset> dataset, const Shape& sample)
      : dataset_(std::move(dataset)), sample_(sample) {
    const Shape stored = dataset_->sample_shape();
    LOCKSTEP_CHECK(stored.rank() == 3 && sample.rank() == 3 && stored[2] == sample[2],
                   "a view of {} as {}", stored.to_string(), sample.to_string());
    plan_ = centre_plan(stored[0], stored[1], sample[0], sample[1]);
  }

  const DatasetInfo& info() const override { return dataset_->info(); }
  std::int64_t rows() const override { return dataset_->rows(); }
  Shape sample_shape() const override { return sample_; }
  DType x_type() const override { return dataset_->x_type(); }
  TargetKind target() const override { return dataset_->target(); }
  std::int64_t target_columns() const override { return dataset_->target_columns(); }
  std::int64_t class_count() const override { return dataset_->class_count(); }
  bool has_weight() const override { return dataset_->has_weight(); }
  std::string access() const override { return dataset_->access(); }
  std::size_t cache_bytes() const override { return dataset_->cache_bytes(); }
  std::size_t row_bytes() const override {
    const auto bytes = [&](const Shape& shape) {
      return static_cast<std::size_t>(shape.elements()) * size_of(x_type());
    };
    return dataset_->row_bytes() - bytes(dataset_->sample_shape()) + bytes(sample_);
  }
  std::string checksum() const override { return dataset_->checksum(); }

  void read(std::span<const std::int64_t> rows, Tensor& x, Tensor& y,
            Tensor& weight) const override {
    const Shape stored = dataset_->sample_shape();
    Tensor whole = host_tensor(stored.with_rows(static_cast<std::int64_t>(rows.size())), x_type());
    dataset_->read(rows, whole, y, weight);
    Resizer resizer;
    for (std::int64_t row = 0; row < whole.rows(); ++row) {
      const Tensor from = whole.slice(row, row + 1), to = x.slice(row, row + 1);
      if (x_type() == DType::kFloat32)
        resize_values(from.data<float>(), stored, plan_, to.data<float>());
      else if (stored[2] > kMostResizeChannels)
        resize_values(from.data<std::uint8_t>(), stored, plan_, to.data<std::uint8_t>());
      else
        resizer.resize(
            {from.data<std::uint8_t>(), stored[0], stored[1], stored[2], stored[1] * stored[2]},
            plan_, to.data<std::uint8_t>());
    }
  }

 private:
  std::shared_ptr<const Dataset> dataset_;
  Shape sample_;
  ResizePlan plan_;
};

// How long the axis becomes that decides, of which `wanted` places are cut out.
std::int64_t resized_side(std::int64_t stored, std::int64_t wanted) {
  if (stored <= wanted) return wanted;
  const auto larger =
      static_cast<std::int64_t>(std::nearbyint(static_cast<double>(wanted) / kCentreShare));
  return std::min(stored, larger);
}

}  // namespace

ResizePlan centre_plan(std::int64_t stored_height, std::int64_t stored_width, std::int64_t height,
                       std::int64_t width) {
  // The axis along which the stored image is the smaller one, compared with the result, decides.
  const bool by_height = stored_height * width <= stored_width * height;
  const std::int64_t stored = by_height ? stored_height : stored_width;
  const std::int64_t side = resized_side(stored, by_height ? height : width);
  const auto other = [&](std::int64_t size, std::int64_t least) {
    return std::max(least, size * side / stored);
  };
  return by_height ? ResizePlan::centre(side, other(stored_width, width), height, width)
                   : ResizePlan::centre(other(stored_height, height), side, height, width);
}

std::shared_ptr<const Dataset> centre_view(std::shared_ptr<const Dataset> dataset,
                                           const Shape& sample) {
  return std::make_shared<CentreView>(std::move(dataset), sample);
}

}  // namespace lockstep
