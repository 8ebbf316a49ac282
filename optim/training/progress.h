#pragma once
#include <utility>
#include <vector>

#include "optim/log/metrics.h"
#include "tensor/real.h"

namespace bobbin {

/// Progress of a training run: what its log shows and its checkpoints keep.
struct Progress {
  std::vector<EpochMetrics> epochs{};  ///< the finished ones
  std::vector<double> losses{};        ///< of every step
  bool in_epoch = false;               ///< whether one is begun and not finished; of that one:
  Index first_step = 0;                ///<   the steps before it
  Index images = 0;                    ///<   images, or other examples, seen
  double loss_sum = 0;                 ///<   of their losses
  double lr = 0;                       ///<   of its last step
  double seconds = 0;                  ///<   from its beginning to the end of its last step

  /// The steps done, in all and in the epoch that is begun.
  Index steps() const { return static_cast<Index>(losses.size()); }
  Index steps_in_epoch() const { return in_epoch ? steps() - first_step : 0; }

  /// Begins the next epoch, or goes on with the one that is begun.
  void begin_epoch() {
    if (in_epoch) return;
    in_epoch = true;
    first_step = steps();
    images = 0;
    loss_sum = seconds = 0;
  }
  /// Adds a step. `time` is how many seconds after the beginning of the epoch it ended.
  void add_step(double loss, Index batch_size, double step_lr, double time) {
    losses.push_back(static_cast<double>(static_cast<real>(loss)));  // as a checkpoint keeps it
    images += batch_size;
    loss_sum += loss * static_cast<double>(batch_size);
    lr = step_lr;
    seconds = time;
  }
  /// Ends the epoch, which took `time` seconds, validation included.
  void end_epoch(Metrics metrics, double time) {
    in_epoch = false;
    epochs.push_back({.epoch = static_cast<int>(epochs.size()) + 1,
                      .step = steps(),
                      .train_loss = loss_sum / static_cast<double>(images),
                      .metrics = std::move(metrics),
                      .lr = lr,
                      .img_per_s = static_cast<double>(images) / seconds,
                      .seconds = time});
  }
};

}  // namespace bobbin
