// The rows that predict is given: a split of a dataset file, a CSV file, images.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/dataset/description.h"
#include "io/formats/csv.h"
#include "launch/trained.h"

namespace lockstep {

struct PredictInput {
  std::shared_ptr<const Dataset> data;  // null: the dataset file of the config
  std::vector<std::string> files;       // by row, for images; else empty
};

// What the trained network knows of its data: of a run folder its data.json, else of the dataset
// file that the config names, whose outputs and normalisation it writes into the config; else what
// num_classes, in_channels and image_size say of pictures of bytes. Throws Error where none does.
DataDescription trained_data(const ModelArguments& arguments, Config& config);

// `data`: one .csv, or .jpg and .png files and folders of them (in the order of their names). The
// columns of a CSV are encoded as those of the training's were; where these did not come from a
// CSV, it must hold one number a column and as many columns as a sample has values. Images become
// samples as `prepare images` made the training's of files; where it did not, they must have a
// sample's size. `resize`, unless 0, sets the shorter side before the centre is cut out.
PredictInput read_predict_input(const std::vector<std::string>& data, const CsvOptions& csv,
                                const DataDescription& trained, std::int64_t resize);

// Whether these are read by read_predict_input; otherwise they are a dataset file.
bool is_csv_or_images(const std::vector<std::string>& data);

}  // namespace lockstep
