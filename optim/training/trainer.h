#pragma once
#include <filesystem>
#include <vector>

#include "data/files/fields.h"
#include "data/images/augment.h"
#include "data/sets/dataset.h"
#include "nn/loss.h"
#include "nn/module.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"
#include "optim/training/checkpoint.h"
#include "optim/training/evaluate.h"
#include "optim/training/run_folder.h"
#include "optim/training/step.h"

/// The training loop, and resuming it.
namespace bobbin {

class TrainingLog;

/// The settings of a training run.
struct TrainerOptions {
  int epochs = 10;
  Index batch_size = 128;
  Index max_steps = 0;                 ///< stop after so many steps; 0: no limit
  ScheduleOptions schedule{};          ///< runs over all the epochs, also where max_steps ends them sooner
  double clip_grad = 0;                ///< the largest global norm of the gradients; 0: no clipping
  bool detect_anomaly = false;         ///< stop at the first op that makes NaN or infinity, and name it
  std::filesystem::path output_dir{};  ///< for the files of a RunFolder; empty: none are written
  Index save_every = 0;                ///< steps between checkpoints; 0: one after each epoch, and where training stops
  int checkpoint_hist = 2;             ///< number of checkpoints to keep
  Augmentation augmentation{};         ///< of the training images
  RunNotes notes{};                    ///< kept with the weights and the checkpoints; `config` is also config.json

  /// All but those of schedule and augmentation, which have their own.
  void fields(Fields& f);
};

/// The training loop: epochs of shuffled batches, validation after each, a TrainingLog, and the files of a RunFolder in
/// output_dir, which is locked meanwhile. Ctrl-C ends it after the step.
///
///     SGD sgd(named_parameters(model));
///     Trainer trainer(model, sgd, CrossEntropy(), rng, {.epochs = 10, .schedule = {.lr = 0.1}});
///     trainer.fit(data);
class Trainer {
 public:
  /// Refers to the model and the optimizer. The order of the images comes from a stream forked from rng.
  /// Throws Error unless there is an epoch and a batch size of 1 or more, no option is negative, and the optimizer's
  /// parameters are the model's.
  Trainer(ModuleRef model, Optimizer& optimizer, Loss loss, Rng& rng, TrainerOptions options);

  /// Resumes fit() from the checkpoint: with the same data, options and kind of optimizer, what follows is bit for bit
  /// what would have followed. Throws Error, and changes nothing, if it is of another model, optimizer or batch
  /// size.
  ///
  /// With other data of the same classes it goes on, too. The order of an epoch is drawn for the number of its images.
  /// With another number, the epoch that is begun goes on, after as many batches as it had, in the order of the new
  /// number: some images come twice in it, or not at all. From the next epoch on each comes once, and there are as many
  /// epochs in all as there would have been.
  void resume(Checkpoint checkpoint);

  /// Number of steps done, those before resuming included.
  Index steps() const { return progress_.steps(); }

  /// Trains on data.train, validates on data.test; returns the metrics of each finished epoch.
  /// Throws Error before the first step for what could not be kept, where another run has its files in output_dir,
  /// unless this one is resumed, and where another process writes there; later when the loss is no longer finite and
  /// when a file cannot be written. Where an image cannot be read, the steps before it are saved first.
  std::vector<EpochMetrics> fit(const TrainAndTest& data);

 private:
  // f(), which neither moves the model nor draws random numbers. Where it throws, such as for a picture that cannot be
  // read, the steps that are done are saved first, as those of a run that stops.
  auto saving(const RunFolder& folder, TrainingLog& log, const auto& f) const;
  Checkpoint checkpoint() const;
  void save(const RunFolder& folder) const;
  void save_weights(const std::filesystem::path& file) const;
  bool last_epoch_is_best() const;

  ModuleRef model_;
  Optimizer* optimizer_;
  Loss loss_;
  Rng order_;  // of the images
  TrainerOptions options_;
  Progress progress_;
  bool resumed_ = false;
};

}  // namespace bobbin
