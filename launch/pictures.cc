#include "launch/pictures.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>

#include "io/dataset/tensor_dataset.h"
#include "io/inspection/principal_plane.h"
#include "io/inspection/scatter.h"
#include "launch/score_table.h"
#include "models/head.h"
#include "runtime/communication/agreement.h"
#include "runtime/run/activations.h"

namespace lockstep {

namespace {

void require_classes(Session& session, const RowResults& rows, const char* option) {
  const bool classes = rows.targets.dtype() == DType::kInt64 ||
                       session.config().loss.kind == LossKind::kCrossEntropy;
  if (!classes || !rows.predicted)
    throw AgreedError(
        fmt::format("{} colours rows by their class, but the targets are values", option));
}

std::vector<std::string> names_of(std::span<const std::int64_t> labels,
                                  const std::vector<std::string>& names) {
  std::vector<std::string> classes;
  for (std::int64_t label = 0; label <= *std::max_element(labels.begin(), labels.end()); ++label)
    classes.push_back(class_name(names, label));
  return classes;
}

std::string title_of(const PictureTitle& title, const RowResults& rows) {
  return fmt::format("{}: {} rows of {}", title.run, rows.targets.rows(), title.split);
}

// Of rows of two numbers.
std::vector<std::array<double, 2>> points_of(const Dataset& data) {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(data.rows()));
  std::iota(ids.begin(), ids.end(), std::int64_t{0});
  Tensor x = host_tensor({data.rows(), 2}, DType::kFloat32), y, weight;
  if (data.target() == TargetKind::kClass)
    y = host_tensor({data.rows()}, DType::kInt64);
  else
    y = host_tensor({data.rows(), data.target_columns()}, DType::kFloat32);
  if (data.has_weight()) weight = host_tensor({data.rows()}, DType::kFloat32);
  data.read(ids, x, y, weight);
  std::vector<std::array<double, 2>> points(ids.size());
  for (std::size_t i = 0; i < points.size(); ++i)
    points[i] = {x.data<float>()[2 * i], x.data<float>()[2 * i + 1]};
  return points;
}

}  // namespace

Tensor labels_of(const Tensor& targets) {
  if (targets.dtype() == DType::kInt64) return targets;
  const std::int64_t columns = targets.shape().back();
  const Tensor labels = host_tensor({targets.rows()}, DType::kInt64);
  for (std::int64_t row = 0; row < targets.rows(); ++row) {
    const float* const values = targets.data<float>() + row * columns;
    labels.data<std::int64_t>()[row] = std::max_element(values, values + columns) - values;
  }
  return labels;
}

std::string draw_embedding(Session& session, const EvaluationOptions& options,
                           const RowResults& rows, const PictureTitle& title,
                           const std::string& png) {
  require_classes(session, rows, "--embedding");
  const std::optional<std::string> head = head_scope(session.team().params());
  if (!head || head->empty())
    throw AgreedError(
        "--embedding shows what the last linear layer gets from hidden ones, and this network has "
        "none");
  const Activations hidden = inputs_of_layer(session.team(), session.data(), options, *head);
  if (session.team().communicator().rank() != 0) return "";
  const PrincipalPlane plane = principal_plane(hidden.values);
  const auto axis = [&](const char* which, std::size_t i) {
    return fmt::format("{} principal axis, {:.1f} % of the variance", which, 100 * plane.share[i]);
  };
  const Tensor labels = labels_of(rows.targets);
  const std::span<const std::int64_t> of_row = labels.span<std::int64_t>();
  write_scatter({title_of(title, rows),
                 {axis("first", 0), axis("second", 1)},
                 plane.places,
                 of_row,
                 names_of(of_row, session.data().data->info().classes),
                 PlotSquare::around(plane.places),
                 {}},
                png);
  return fmt::format(
      "{}: the {} outputs of layer '{}' for {} rows, on their two principal axes ({:.1f} % of the "
      "variance)\n",
      png, hidden.values.shape()[1], hidden.layer, hidden.values.rows(),
      100 * (plane.share[0] + plane.share[1]));
}

std::string draw_boundary(Session& session, const EvaluationOptions& options,
                          const RowResults& rows, const PictureTitle& title,
                          const std::string& png) {
  require_classes(session, rows, "--boundary");
  const Dataset& data = *session.data().data;
  if (data.sample_shape() != Shape{2} || data.x_type() != DType::kFloat32)
    throw AgreedError(
        fmt::format("--boundary shows rows of two numbers, as points of a plane; these are {} {}",
                    data.sample_shape().to_string(), name_of(data.x_type())));
  const std::vector<std::array<double, 2>> points = points_of(data);
  const PlotSquare square = PlotSquare::around(points);
  const Tensor places = host_tensor({kPlotCells * kPlotCells, 2}, DType::kFloat32);
  for (std::int64_t cell = 0; cell < places.rows(); ++cell) {
    const auto [x, y] = middle_of_cell(square, cell);
    places.data<float>()[2 * cell] = static_cast<float>(x);
    places.data<float>()[2 * cell + 1] = static_cast<float>(y);
  }
  const NodeDataset grid{tensor_dataset(places, data.info()), true, {}};
  const RowResults map = predict(session.team(), grid, options);
  if (session.team().communicator().rank() != 0) return "";
  const Tensor labels = labels_of(rows.targets);
  const std::span<const std::int64_t> of_row = labels.span<std::int64_t>();
  write_scatter({title_of(title, rows),
                 {"the first column", "the second; behind: what each place is taken for"},
                 points,
                 of_row,
                 names_of(of_row, data.info().classes),
                 square,
                 map.predicted.span<std::int64_t>()},
                png);
  return fmt::format("{}: {} rows, before the class that each place is taken for\n", png,
                     rows.targets.rows());
}

}  // namespace lockstep
