#pragma once
#include <chrono>
#include <optional>
#include <string>

#include "optim/log/event_file.h"
#include "optim/training/progress.h"
#include "optim/training/run_folder.h"

namespace bobbin {

/// Log of a training run: a progress line while an epoch runs (on stderr, if that is a terminal), a row for
/// each epoch on stdout, and, where there is a folder, metrics.csv, losses.csv, curves.svg and events.out.* in it. It
/// is told of each event together with the progress so far.
class TrainingLog {
 public:
  /// Begins metrics.csv, so that what cannot be written is known before the first step: it holds the epochs of `now`,
  /// of which a run that is resumed has some. An epoch has steps_per_epoch steps; training ends after total_steps. A
  /// folder whose path is "" is none. Throws Error if a file cannot be written; so do the others.
  TrainingLog(RunFolder folder, int epochs, Index steps_per_epoch, Index total_steps, const Progress& now = {});

  /// An epoch begins, or goes on.
  void epoch_began();
  void step_ended(const Progress& now);
  void epoch_ended(const Progress& now);
  /// Training stops within an epoch.
  void stopped(const Progress& now);
  /// It stops because of an error, which is reported elsewhere.
  void failed(const Progress& now);

  /// "epoch 2/10   37%  loss 0.6512  95.2 images/s  9:12 left"
  std::string progress_line(const Progress& now) const;

 private:
  void clear_line() const;
  void write_losses(const Progress& now) const;

  RunFolder folder_;
  int epochs_;
  Index steps_per_epoch_, total_steps_;
  std::optional<EventFile> events_;
  bool header_shown_ = false;
  std::chrono::steady_clock::time_point line_shown_;
};

}  // namespace bobbin
