// What TensorBoard is shown of a run, where log.tensorboard asks for it: metrics and learning rate,
// the first training images, the config as hyper-parameters, histograms of weights and gradients.
// Tags: train/loss, validation/accuracy, batch/loss, lr, weights/<name>, gradients/<name>.
#pragma once

#include <span>
#include <string>

#include "io/augment/augmentation.h"
#include "io/dataset/dataset.h"
#include "io/formats/tensorboard.h"
#include "runtime/config/config.h"
#include "runtime/run/evaluation.h"

namespace lockstep {

class TensorBoardLog {
 public:
  // A file of its own in the run folder for every start of the run, which goes on at `first_step`.
  TensorBoardLog(const std::string& folder, std::int64_t first_step)
      : resumed_(EventFile::any_in(folder)), file_(folder, first_step) {}

  bool resumed() const { return resumed_; }  // an earlier file has the parameters and images

  // The mathematical keys of the config; `metrics`: names of the loss's.
  void hyper_parameters(const Config& config, const std::vector<std::string>& metrics);
  // The first rows of images with one or three channels as the network sees them in the first
  // epoch: augmented (where `augmentation` is given) and normalised, all on one scale from their
  // smallest value (black) to their largest (white). Other data: nothing.
  void images(const Dataset& data, const Augmentation* augmentation, const Config& config);
  void evaluation(const std::string& split, std::int64_t step, const Evaluation& evaluation);
  void scalar(const std::string& tag, std::int64_t step, double value);
  // Of the trainable parameters; `gradient`: the step's as the optimizer saw it, flat.
  void histograms(std::int64_t step, const ParamSet& params, std::span<const float> gradient);
  void finished() { file_.finished(); }

 private:
  bool resumed_;
  EventFile file_;
};

}  // namespace lockstep
