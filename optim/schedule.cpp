#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "tensor/check.h"

namespace bobbin {
namespace {

// From `from` to `to` along half a cosine, as `part` goes from 0 to 1.
double cosine(double from, double to, double part) {
  return to + (from - to) * (1 + std::cos(std::numbers::pi * part)) / 2;
}

}  // namespace

void ScheduleOptions::fields(Fields& f) {
  f("sched", sched,
    {.help = "learning rate schedule: constant; cosine, as in timm; onecycle, as PyTorch's OneCycleLR",
     .choices = {"constant", "cosine", "onecycle"}});
  f("lr", lr, {.help = "learning rate, the peak of the schedule", .low = 0, .high = 1e6});
  f("warmup_epochs", warmup_epochs, {.help = "epochs of linear warm-up, fractions included", .low = 0, .high = 1e6});
  f("warmup_lr", warmup_lr, {.help = "learning rate at the start of the warm-up", .low = 0, .high = 1e6});
  f("min_lr", min_lr, {.help = "learning rate at the end of cosine", .low = 0, .high = 1e6});
  f("warmup_prefix", warmup_prefix, {.help = "start the cosine after the warm-up, not at step 0"});
}

Schedule::Schedule(const ScheduleOptions& options, Index steps_per_epoch, Index total_steps)
    : options_(options), warmup_(0), total_(total_steps) {
  const ScheduleOptions& o = options_;
  check(o.sched == "constant" || o.sched == "cosine" || o.sched == "onecycle", "Schedule",
        "sched must be constant, cosine or onecycle, got ", Quoted{o.sched});
  const std::map<std::string, double> numbers{
      {"lr", o.lr}, {"warmup_epochs", o.warmup_epochs}, {"warmup_lr", o.warmup_lr}, {"min_lr", o.min_lr}};
  for (const auto& [name, value] : numbers)
    check(std::isfinite(value) && value >= 0, "Schedule", name, " must be 0 or more, got ", value);
  const double warmup = std::min(o.warmup_epochs * static_cast<double>(steps_per_epoch), 1e15);
  warmup_ = static_cast<Index>(std::llround(warmup));
  check(o.sched != "onecycle" || warmup_ == 0, "Schedule",
        "onecycle has a warm-up of its own; warmup_epochs must be 0,", " got ", o.warmup_epochs);
  check(o.sched != "cosine" || !o.warmup_prefix || warmup_ < total_, "Schedule", "a warm-up of ", warmup_,
        " steps leaves none of ", total_, " for the cosine after it; take fewer warmup_epochs");
}

StepSize Schedule::operator()(Index step) const {
  const ScheduleOptions& o = options_;
  double lr = o.lr;
  if (o.sched == "onecycle") return one_cycle(static_cast<double>(std::min(step, total_ - 1)));
  if (step < warmup_) {
    lr = o.warmup_lr + static_cast<double>(step) * (o.lr - o.warmup_lr) / static_cast<double>(warmup_);
  } else if (o.sched == "cosine") {
    const Index begin = o.warmup_prefix ? warmup_ : 0, t = std::min(step, total_) - begin;
    lr = cosine(o.lr, o.min_lr, static_cast<double>(t) / static_cast<double>(total_ - begin));
  }
  return static_cast<real>(lr);
}

StepSize Schedule::one_cycle(double t) const {
  const double first = options_.lr / 25, last = first / 1e4, low = 0.85, high = 0.95;
  const double peak = 0.3 * static_cast<double>(total_) - 1, end = static_cast<double>(total_ - 1);
  const auto size = [](double lr, double momentum) {
    return StepSize(static_cast<real>(lr), static_cast<real>(momentum));
  };
  if (const double part = t / peak; t <= peak) return size(cosine(first, options_.lr, part), cosine(high, low, part));
  const double part = (t - peak) / (end - peak);
  return size(cosine(options_.lr, last, part), cosine(low, high, part));
}

}  // namespace bobbin
