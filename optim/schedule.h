#pragma once
#include <string>

#include "data/files/fields.h"
#include "optim/optimizer.h"

/// Learning rate schedules.
namespace bobbin {

/// Options of the learning rate schedule, named as timm names its flags.
struct ScheduleOptions {
  std::string sched = "constant";  ///< "constant", "cosine" or "onecycle"
  double lr = 0.1;                 ///< the peak
  double warmup_epochs = 0;        ///< of linear warm-up from warmup_lr; fractions of an epoch count
  double warmup_lr = 1e-6;
  double min_lr = 0;           ///< at the end of cosine
  bool warmup_prefix = false;  ///< cosine begins after the warm-up, and not below it

  void fields(Fields& f);
};

/// The size of each step, a pure function of its number: nothing of it needs saving. With t = step, of T in all,
///
/// - constant: lr.
/// - cosine: min_lr + (lr - min_lr)·(1 + cos(π·t/T))/2, as timm's CosineLRScheduler counted in updates (Loshchilov,
///   Hutter: SGDR, 2017). As t counts the steps of the warm-up, too, lr falls a little at its end; with warmup_prefix t
///   and T count from there.
/// - onecycle: torch.optim.lr_scheduler.OneCycleLR with its defaults (Smith, Topin: Super-Convergence, 2018). In the
///   first 30 % of the steps lr rises from lr/25 and momentum falls from .95 to .85, both along a cosine, and then lr
///   falls to lr/250,000 while momentum rises again.
///
/// Before them, but for onecycle, is the warm-up: warmup_lr + t·(lr - warmup_lr)/warmup, where t < warmup.
class Schedule {
 public:
  /// Throws Error for a sched of another name, a number that is negative or not finite, onecycle with a warm-up, and
  /// warmup_prefix with a warm-up that leaves no step.
  Schedule(const ScheduleOptions& options, Index steps_per_epoch, Index total_steps);

  /// Of step 0, 1, ...; after the last it stays as it is there.
  StepSize operator()(Index step) const;

 private:
  StepSize one_cycle(double t) const;

  ScheduleOptions options_;
  Index warmup_, total_;  // steps
};

}  // namespace bobbin
