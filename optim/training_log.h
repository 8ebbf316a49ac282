#pragma once
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "optim/metrics.h"
#include "tensor/real.h"

namespace bobbin {

/// What people see of a training run: a progress line while an epoch runs (on stderr, if that is a terminal), a
/// row for each epoch on stdout, and in output_dir, if there is one,
///     metrics.csv   a row for each epoch, the fields of EpochMetrics
///     losses.csv    step,loss: the loss of each batch
class TrainingLog {
 public:
  /// Makes output_dir and begins metrics.csv there, so that what cannot be written is known before the first
  /// step. Throws Error if that fails, or if a metrics.csv is there already: no run overwrites another's metrics.
  /// An epoch has steps_per_epoch steps; training ends after total_steps.
  TrainingLog(std::filesystem::path output_dir, int max_epochs, Index steps_per_epoch, Index total_steps);

  void begin_epoch();
  /// Notes one step. Throws Error, which names the step, when the loss is not finite.
  void step(double loss, Index images, double lr);
  /// Closes the epoch and returns its metrics.
  EpochMetrics end_epoch(double val_loss, double val_acc);
  /// Says that training stops within an epoch, and writes the losses so far.
  void interrupted();

  /// "epoch 2/10   37%  loss 0.6512  95.2 images/s  9:12 left"
  std::string progress() const;

  Index steps() const { return static_cast<Index>(losses_.size()); }

 private:
  using Clock = std::chrono::steady_clock;
  void show_progress();
  void clear_progress();
  void write_losses() const;

  std::filesystem::path output_dir_;
  int max_epochs_;
  Index steps_per_epoch_, total_steps_;
  std::vector<EpochMetrics> epochs_;
  std::vector<double> losses_;

  // Of the running epoch:
  EpochMetrics now_;
  Index images_ = 0, first_step_ = 0;
  double loss_sum_ = 0;
  Clock::time_point begun_, trained_, shown_;
};

}  // namespace bobbin
