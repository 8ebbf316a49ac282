// The metrics of an epoch; writes and reads metrics.csv.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/drawing/curves.h"
#include "tensor/real.h"

namespace bobbin {

/// Named numbers, in the order in which they are shown: {{"val_loss", 0.41}, {"val_acc", 0.86}}.
using Metrics = std::vector<std::pair<std::string, double>>;

/// Those of classification.
inline Metrics loss_and_accuracy(double val_loss, double val_acc) {
  return {{"val_loss", val_loss}, {"val_acc", val_acc}};
}

/// Metrics of one epoch: a row of metrics.csv. The losses are means over the examples.
struct EpochMetrics {
  int epoch = 0;
  Index step = 0;  ///< steps done since the beginning
  double train_loss = 0;
  Metrics metrics{};  ///< of the validation: val_loss and val_acc, or others of one's own; in all epochs the same
  double lr = 0;
  double img_per_s = 0;  ///< images, or other examples, in training; validation not counted
  double seconds = 0;    ///< of the epoch, with validation

  /// The metric "val_acc". Throws Error if there is none of this name.
  double operator[](std::string_view name) const;
  /// The same, or nothing.
  std::optional<double> find(std::string_view name) const;

  bool operator==(const EpochMetrics&) const = default;
};

/// Throws Error unless the names can be columns: each differs from the others and from the columns that are always
/// there, and has only letters, digits and the characters _-+./@ in it, up to 100.
void check_metrics(const Metrics& metrics);

/// The names, in order.
std::vector<std::string> names_of(const Metrics& metrics);

/// The content of metrics.csv: a header, and a line for each epoch. `names` are those of the metrics where there is no
/// epoch yet.
std::string metrics_csv(const std::vector<EpochMetrics>& epochs, const std::vector<std::string>& names = {});

/// Reads what metrics_csv made. Epochs and steps rise from line to line; a loss may be nan or inf.
/// Throws Error, with the file and the number of the line, for anything else, and for a last line that has no end.
std::vector<EpochMetrics> read_metrics(const std::filesystem::path& path);

/// The curves of a run with these metrics, as far as they are train_loss, val_loss and val_acc. As in d2l's pictures, a
/// mean over an epoch's steps stands in the middle of them, at 0.5, 1.5, ..., and what is measured after an epoch at
/// its end, at 1, 2, ...
Curves curves(const std::string& name, const std::vector<EpochMetrics>& epochs);

}  // namespace bobbin
