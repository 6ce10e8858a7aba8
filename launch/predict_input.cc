#include "launch/predict_input.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <optional>

#include "io/base/file.h"
#include "io/dataset/tensor_dataset.h"
#include "io/images/decode.h"
#include "io/prepare/csv_encoding.h"
#include "models/image_network.h"
#include "runtime/run/run_folder.h"

namespace lockstep {

namespace {

namespace fs = std::filesystem;

std::string lower_extension(const std::string& path) {
  std::string extension = fs::path(path).extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension;
}

bool is_image(const std::string& path) {
  const std::string extension = lower_extension(path);
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

// The images among the names and in the folders that are named.
std::vector<std::string> image_files(const std::vector<std::string>& data) {
  std::vector<std::string> files;
  for (const std::string& name : data) {
    if (!fs::is_directory(name)) {
      if (!is_image(name))
        throw Error("--data {}: neither .jpg nor .png; images are not mixed with other data", name);
      files.push_back(name);
      continue;
    }
    std::vector<std::string> inside;
    for (const fs::directory_entry& entry : fs::directory_iterator(name))
      if (is_image(entry.path().string())) inside.push_back(entry.path().string());
    if (inside.empty()) throw Error("--data {}: the folder holds no .jpg or .png file", name);
    std::sort(inside.begin(), inside.end());
    files.insert(files.end(), inside.begin(), inside.end());
  }
  return files;
}

// How images become samples: as `prepare images` made the training's, or as `resize` says; nothing
// where they must have the samples' size.
std::optional<FitOptions> fit_for(const DataDescription& trained, std::int64_t resize) {
  std::optional<FitOptions> fit = fit_from_json(trained.encoding);
  if (resize == 0) return fit;
  if (!fit) fit = {.size = trained.sample[0], .channels = trained.sample[2]};
  fit->shorter = resize;
  if (trained.sample[0] != trained.sample[1] || resize < fit->size)
    throw Error("--resize {}: a sample of {} cannot be cut out of its centre", resize,
                trained.sample.to_string());
  return fit;
}

Tensor read_images(const std::vector<std::string>& files, const DataDescription& trained,
                   std::int64_t resize) {
  const Shape& sample = trained.sample;
  if (sample.rank() != 3 || sample[2] > 4)
    throw Error(
        "{}: the network takes samples of {}, which are no images (H, W, C) of up to 4 channels",
        files.front(), sample.to_string());
  if (trained.x_type != DType::kUInt8)
    throw Error(
        "{}: the network was trained on images of {}, image files hold bytes: their scale is not "
        "known. Convert them to a dataset file as the training's were",
        files.front(), name_of(trained.x_type));
  const Tensor x =
      host_tensor(sample.with_rows(static_cast<std::int64_t>(files.size())), DType::kUInt8);
  const std::optional<FitOptions> fit = fit_for(trained, resize);
  std::byte* to = x.raw();
  for (const std::string& file : files) {
    const Tensor image = fit ? read_image(file, *fit) : read_image(file, sample[2]);
    if (image.shape() != sample)
      throw Error(
          "{}: the image has {} x {} pixels, the network takes {} x {}; scale it with "
          "--resize",
          file, image.shape()[1], image.shape()[0], sample[1], sample[0]);
    std::memcpy(to, image.raw(), image.bytes());
    to += image.bytes();
  }
  return x;
}

// One number a cell, the columns in their order.
Tensor plain_numbers(const CsvTable& table, const DataDescription& trained) {
  const auto columns = static_cast<std::int64_t>(table.columns().size());
  if (trained.sample != Shape{columns})
    throw Error(
        "{}: {} columns, but the network takes samples of {}; its training data did not come "
        "from a CSV file, so there must be one column a value",
        table.path(), columns, trained.sample.to_string());
  const auto rows = static_cast<std::int64_t>(table.rows());
  const Tensor x = host_tensor({rows, columns}, DType::kFloat32);
  float* to = x.data<float>();
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::size_t column = 0; column < table.columns().size(); ++column)
      *to++ = static_cast<float>(number_in(table, row, column));
  return x;
}

Tensor read_table(const std::string& file, const CsvOptions& format,
                  const DataDescription& trained) {
  const CsvTable table = CsvTable::read(file, format);
  if (trained.encoding.empty() || fit_from_json(trained.encoding)) {
    if (trained.x_type != DType::kFloat32)
      throw Error("{}: the network takes samples of {} {}, a CSV holds numbers", file,
                  name_of(trained.x_type), trained.sample.to_string());
    return plain_numbers(table, trained);
  }
  std::vector<std::int64_t> rows(table.rows());
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  const Tensor x = CsvEncoding(trained.encoding).encode(table, rows);
  if (x.shape().without_rows() != trained.sample)
    throw Error("{}: its columns become {}, but the network takes samples of {}", file,
                x.shape().without_rows().to_string(), trained.sample.to_string());
  return x;
}

// Of pictures, as the keys of their network say it.
DataDescription described_by_keys(const std::string& where, const Config& config) {
  const std::optional<NetworkInput> input = input_of_keys(config.model.table);
  if (!input)
    throw Error(
        "{}: neither data.json of a run nor data.file tells what the network's samples look like; "
        "set data.file to the dataset that it was trained on, or model.num_classes and "
        "model.image_size of a network for pictures",
        where);
  if (config.data.normalize && config.data.mean.empty())
    throw Error(
        "{}: without data.file nothing tells how samples are normalised; set data.mean and "
        "data.std to those that the weights were trained with, or data.normalize = false",
        where);
  DataDescription description;
  description.sample = input->sample;
  description.x_type = DType::kUInt8;
  description.task = "classification";
  return description;
}

}  // namespace

DataDescription trained_data(const ModelArguments& arguments, Config& config) {
  if (fs::is_directory(arguments.run_or_config)) {
    const RunFolder folder = RunFolder::open(arguments.run_or_config);
    if (fs::exists(folder.data_file()))
      return description_from_json(read_text(folder.data_file()), folder.data_file());
  }
  if (config.data.file.empty()) return described_by_keys(arguments.run_or_config, config);
  const auto data = Dataset::open(data_source(config.data, config.data.train));
  resolve_from_data(config, *data, Purpose::kPredict);
  return describe(*data);
}

bool is_csv_or_images(const std::vector<std::string>& data) {
  return std::any_of(data.begin(), data.end(), [](const std::string& name) {
    const std::string extension = lower_extension(name);
    return extension == ".csv" || is_image(name) || fs::is_directory(name);
  });
}

PredictInput read_predict_input(const std::vector<std::string>& data, const CsvOptions& csv,
                                const DataDescription& trained, std::int64_t resize) {
  PredictInput input;
  DatasetInfo info;
  info.task = trained.task;
  info.classes = trained.classes;
  if (data.size() == 1 && lower_extension(data.front()) == ".csv") {
    input.data = tensor_dataset(read_table(data.front(), csv, trained), info);
    return input;
  }
  if (std::any_of(data.begin(), data.end(),
                  [](const std::string& name) { return lower_extension(name) == ".csv"; }))
    throw Error("--data takes one .csv file at a time");
  input.files = image_files(data);
  input.data = tensor_dataset(read_images(input.files, trained, resize), info);
  return input;
}

}  // namespace lockstep
