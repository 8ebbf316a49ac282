#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "optim/training/checkpoint.h"

namespace bobbin {

/// The folder of a training run, and the names of the files in it:
///
/// | file                          | what it holds                                                          |
/// |-------------------------------|------------------------------------------------------------------------|
/// | `config.json`                 | all flags, and what else it takes to repeat the run                    |
/// | `metrics.csv`                 | a row for each epoch, the fields of EpochMetrics                       |
/// | `losses.csv`                  | step,loss: the loss of each batch                                      |
/// | `curves.svg`                  | the metrics as a picture, drawn anew after each epoch                  |
/// | `report.html`                 | all of these as a page, written anew while training goes on            |
/// | `events.out.*`                | all of these numbers, and each step's learning rate, for TensorBoard   |
/// | `model.safetensors`           | the model after the newest epoch, or where training stopped            |
/// | `ema.safetensors`             | the same with averaged weights, if they are: TrainerOptions::ema_decay |
/// | `best.safetensors`            | the model after the whole epoch with the best val_acc, or val_loss; if |
/// |                               | weights are averaged, with those, after their best epoch               |
/// | `checkpoint-STEP.safetensors` | all that is needed to go on, after each epoch and where training stops |
class RunFolder {
 public:
  explicit RunFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}
  /// Of a run that is named by its folder, or by a checkpoint in it.
  static RunFolder of(const std::filesystem::path& run);

  /// The folder, and the files of the table above.
  const std::filesystem::path& path() const { return folder_; }
  std::filesystem::path config() const { return folder_ / "config.json"; }
  std::filesystem::path metrics() const { return folder_ / "metrics.csv"; }
  std::filesystem::path losses() const { return folder_ / "losses.csv"; }
  std::filesystem::path curves() const { return folder_ / "curves.svg"; }
  std::filesystem::path report() const { return folder_ / "report.html"; }
  std::filesystem::path model() const { return folder_ / "model.safetensors"; }
  std::filesystem::path ema() const { return folder_ / "ema.safetensors"; }
  std::filesystem::path best() const { return folder_ / "best.safetensors"; }
  /// "checkpoint-00000469.safetensors" after step 469.
  std::filesystem::path checkpoint(Index step) const;

  /// Throws Error if a run, or a model, has its files there: none overwrites another's.
  void check_is_free() const;

  /// Removes what processes that were killed left half written. Nobody may be writing there: see RunLock.
  void remove_half_written() const;
  /// What writes a checkpoint, as it is now, and then removes all before it but the `keep - 1` newest, and any that are
  /// after it: for Background. Throws, when it is called, Error as write_file(); then none is removed.
  std::function<void()> writing(const Checkpoint& checkpoint, int keep) const;
  /// The step after which the newest was written; -1: there is none.
  Index newest_step() const;
  /// The step after which best.safetensors was written; -1: there is none, or it does not say.
  Index best_step() const;
  /// Copies best.safetensors of another run's folder, if it was written after this step or before: for a run that goes
  /// on here. Throws Error if it cannot be written.
  void copy_best(const RunFolder& from, Index step) const;
  /// Reads the newest. If that is damaged, says so on stderr, and reads the one before.
  /// Throws Error if there is none that can be read.
  Checkpoint newest_checkpoint() const;

 private:
  bool is_ours(const std::filesystem::path& file) const;
  std::vector<std::filesystem::path> newest_first() const;
  std::filesystem::path folder_;
};

/// The newest checkpoint of a run that is named by its folder; or that one by which it is named.
Checkpoint read_run(const std::filesystem::path& run);

}  // namespace bobbin
