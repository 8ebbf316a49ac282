#pragma once
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "optim/log/event_file.h"
#include "optim/log/metrics.h"
#include "tensor/real.h"

namespace bobbin {

/// How far a training run has come and what it saw: all that its log is made from, and what a checkpoint keeps of it.
struct TrainingProgress {
  std::vector<EpochMetrics> epochs;  ///< the finished ones
  std::vector<double> losses;        ///< of every step
  bool in_epoch = false;             ///< whether one is begun and not finished; of that one:
  Index first_step = 0;              ///<   the steps before it
  Index images = 0;                  ///<   images seen
  double loss_sum = 0;               ///<   of their losses
  double lr = 0;                     ///<   of its last step
  double seconds = 0;                ///<   spent in it

  Index steps() const { return static_cast<Index>(losses.size()); }
};

/// Throws Error if a run, or a model, has its files in the folder: none overwrites another's.
void check_is_free(const std::filesystem::path& folder);

/// What people see of a training run: a progress line while an epoch runs (on stderr, if that is a terminal), a
/// row for each epoch on stdout, and in output_dir, if there is one,
///     metrics.csv        a row for each epoch, the fields of EpochMetrics
///     losses.csv         step,loss: the loss of each batch
///     curves.svg         the same as a picture, drawn anew after each epoch
///     events.out.*       the same for TensorBoard
class TrainingLog {
 public:
  /// Makes output_dir and begins metrics.csv there, so that what cannot be written is known before the first step. A
  /// run that is resumed, with the progress of its checkpoint, overwrites what was written after that. Throws Error if
  /// a file cannot be written, and where check_is_free() does, unless the run is resumed. An epoch has steps_per_epoch
  /// steps; training ends after total_steps.
  TrainingLog(std::filesystem::path output_dir, int max_epochs, Index steps_per_epoch, Index total_steps,
              std::optional<TrainingProgress> resumed = {});

  /// Begins the next epoch, or goes on with the one that is begun.
  void begin_epoch();
  /// Notes one step. Throws Error, which names the step, when the loss is not finite.
  void step(double loss, Index images, double lr);
  /// Closes the epoch and returns its metrics.
  EpochMetrics end_epoch(double val_loss, double val_acc);
  /// Says that training stops within an epoch, and writes the losses so far.
  void interrupted();

  /// "epoch 2/10   37%  loss 0.6512  95.2 images/s  9:12 left"
  std::string progress_line() const;

  /// Up to this moment.
  TrainingProgress progress() const;
  Index steps() const { return progress_.steps(); }
  bool in_epoch() const { return progress_.in_epoch; }
  Index steps_in_epoch() const { return in_epoch() ? steps() - progress_.first_step : 0; }

 private:
  using Clock = std::chrono::steady_clock;
  void show_progress();
  void clear_progress();
  void write_losses() const;

  std::filesystem::path output_dir_;
  std::string name_;  // of the run, in pictures
  int max_epochs_;
  Index steps_per_epoch_, total_steps_;
  TrainingProgress progress_;
  std::optional<EventFile> events_;
  bool header_shown_ = false;
  Clock::time_point begun_, trained_, shown_;
};

}  // namespace bobbin
