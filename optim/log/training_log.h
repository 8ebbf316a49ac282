#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "optim/log/event_file.h"
#include "optim/log/report.h"
#include "optim/training/progress.h"
#include "optim/training/run_folder.h"

namespace bobbin {

/// Log of a training run: on stdout how long it will take and a row for each epoch; on stderr a progress line, cut to
/// the terminal's width, or where that is none, a line every minute; and, where there is a folder, metrics.csv,
/// losses.csv, curves.svg, report.html and events.out.* in it. It is told of each event together with the progress so
/// far.
class TrainingLog {
 public:
  /// A moment, and the present one.
  using Time = std::chrono::steady_clock::time_point;
  static Time clock() { return std::chrono::steady_clock::now(); }

  /// Begins metrics.csv, so that what cannot be written is known before the first step: it holds the epochs of `now`,
  /// of which a run that is resumed has some; from event files goes what it will do again. An epoch has steps_per_epoch
  /// steps, after which it validates in so many; training ends after total_steps. A folder whose path is "" is none.
  /// A report that is there, of a run that is resumed, no longer says that it was stopped, or had ended.
  /// A quiet one says nothing.
  /// `metrics` are the names of those of the validation, or empty where these are known only after the first.
  /// Throws Error if a file cannot be written; so do the others.
  TrainingLog(RunFolder folder, int epochs, Index steps_per_epoch, Index total_steps, const Progress& now = {},
              Index validation_steps = 0, const std::vector<std::string>& metrics = {"val_loss", "val_acc"},
              std::string examples = "images", bool quiet = false);

  /// A step ended, which recognised `right` of so many images; of 0: a loss of another kind, which does not say.
  void step_ended(const Progress& now, Index right = 0, Index images = 0, Time time = clock());
  /// So many steps of the validation after an epoch are done.
  void validated(const Progress& now, Index done, Time time = clock());
  void epoch_ended(const Progress& now, Time time = clock());
  /// Training stops within an epoch.
  void stopped(const Progress& now, Time time = clock());
  /// Training stops after epochs that were no better than the best, the `best`-th.
  void stopped_early(const Progress& now, std::size_t best);
  /// It is over, and all is saved: not before that the report says so, as it may be killed meanwhile.
  void ended(const Progress& now, Time time = clock());
  /// It stops because of an error, which is reported elsewhere.
  void failed(const Progress& now, Time time = clock());

  /// "epoch 2/10   37%  loss 0.6512  acc 0.768  1:05 gone, 9:12 left  95.2 images/s": of these, what has room in so
  /// many columns. Loss and accuracy are means over the epoch so far, or since the run was resumed.
  std::string progress_line(const Progress& now, int columns = 1000, Time time = clock()) const;

 private:
  double seconds_left(const Progress& now, double step_seconds) const;
  void say_how_long(const Progress& now);
  void show(const Progress& now, Time time);
  void clear_line() const;
  void write_losses(const Progress& now) const;
  // report.html: at each end of an epoch, when all is over, and between if it is older than ten seconds.
  void write_report(const Progress& now, RunState state, Time time);
  void write_report_if_old(const Progress& now, Time time);

  RunFolder folder_;
  int epochs_;
  Index steps_per_epoch_, total_steps_, validation_steps_;
  std::string examples_;
  bool quiet_;
  std::optional<EventFile> events_;
  bool header_shown_ = false, how_long_said_ = false;
  Time began_ = clock(), line_shown_ = began_;
  std::optional<Time> report_written_;  // or tried to
  bool report_failed_ = false;
  Time first_step_ended_, last_step_ended_;  // of this process
  Index first_step_ = 0;                     // its number; 0: none has ended
  Index validated_ = 0;                      // steps of the validation under way
  double validation_seconds_ = 0;            // of the last one; 0: there was none
  Index right_ = 0, images_ = 0;             // of this epoch: the images recognised, and those counted
};

}  // namespace bobbin
