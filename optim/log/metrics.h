// The metrics of an epoch; writes and reads metrics.csv.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/drawing/curves.h"
#include "tensor/real.h"

namespace bobbin {

/// Metrics of one epoch: a row of metrics.csv. Losses and accuracy are means over the images.
struct EpochMetrics {
  int epoch = 0;
  Index step = 0;  ///< steps done since the beginning
  double train_loss = 0, val_loss = 0, val_acc = 0;
  double lr = 0;
  double img_per_s = 0;  ///< in training, validation not counted
  double seconds = 0;    ///< of the epoch, with validation

  bool operator==(const EpochMetrics&) const = default;
};

/// The content of metrics.csv: a header, and a line for each epoch.
std::string metrics_csv(const std::vector<EpochMetrics>& epochs);

/// Reads what metrics_csv made. Epochs and steps rise from line to line; a loss may be nan or inf.
/// Throws Error, with the file and the number of the line, for anything else, and for a last line that has no end.
std::vector<EpochMetrics> read_metrics(const std::filesystem::path& path);

/// The curves of a run with these metrics. As in d2l's pictures, a mean over an epoch's steps stands in the
/// middle of them, at 0.5, 1.5, ..., and what is measured after an epoch at its end, at 1, 2, ...
Curves curves(const std::string& name, const std::vector<EpochMetrics>& epochs);

}  // namespace bobbin
