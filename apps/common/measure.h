#pragma once
#include <filesystem>

#include "data/files/safetensors.h"
#include "data/sets/dataset.h"
#include "nn/models/any_model.h"
#include "optim/training/evaluate.h"

/// What a run validates on, and what its model is worth in the end.
namespace bobbin {

/// --val-split: makes a share of the training images those to validate on, see hold_out(): the same in every run,
/// whatever its --seed, so that runs are compared on the same images. Returns the test images, which then decide
/// nothing, and if there are others to test on are not used.
ImageDataset hold_out_to_validate(TrainAndTest& data, double fraction, bool others_to_test_on);

/// --train-share: leaves so much of the training images, of each class to the nearest whole number, at least one: the
/// same in every run, whatever its --seed. Throws Error unless 0 < share < 1.
void take_share(TrainAndTest& data, double share);

struct MeasureOptions {
  Index batch_size = 128;
  Tta tta = Tta::none;
};

/// Measures the model, and beside it the same with averaged weights, unless there are none; each as it is and, if asked
/// for, with test-time augmentation. Prints a line for each and writes them to a file:
/// `weights,tta,images,loss,accuracy`, where weights are "model" or "ema".
void measure(AnyModel& model, const NamedTensors& averaged, const ImageDataset& data, const MeasureOptions& options,
             const std::filesystem::path& file);

}  // namespace bobbin
