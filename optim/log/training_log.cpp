#include "optim/log/training_log.h"

#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <utility>

#include "data/drawing/curves.h"
#include "data/files/write_file.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

// 1:02:03, or 2:03.
std::string clock_time(double s) {
  const auto whole = static_cast<long>(s);
  return whole < 3600 ? format("%ld:%02ld", whole / 60, whole % 60)
                      : format("%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace

TrainingLog::TrainingLog(RunFolder folder, int epochs, Index steps_per_epoch, Index total_steps, const Progress& now)
    : folder_(std::move(folder)), epochs_(epochs), steps_per_epoch_(steps_per_epoch), total_steps_(total_steps) {
  if (folder_.path().empty()) return;
  write_file(folder_.metrics(), metrics_csv(now.epochs));
  events_.emplace(folder_.path());
}

void TrainingLog::epoch_began() {
  if (std::exchange(header_shown_, true)) return;
  std::puts("epoch  train_loss  val_loss  val_acc  images/s  seconds");
  std::fflush(stdout);
}

void TrainingLog::step_ended(const Progress& now) {
  const auto time = std::chrono::steady_clock::now();
  if (time - line_shown_ < std::chrono::milliseconds(100) || !isatty(STDERR_FILENO)) return;
  line_shown_ = time;
  std::fprintf(stderr, "\r\033[K%s", progress_line(now).c_str());
}

void TrainingLog::epoch_ended(const Progress& now) {
  const EpochMetrics& epoch = now.epochs.back();
  clear_line();
  std::printf("%5d  %10.4f  %8.4f  %7.4f  %8.1f  %7.1f\n", epoch.epoch, epoch.train_loss, epoch.val_loss, epoch.val_acc,
              epoch.img_per_s, epoch.seconds);
  std::fflush(stdout);
  if (!folder_.path().empty()) {
    const std::string run = (folder_.path() / "").parent_path().filename().string();  // also of "runs/mine/"
    write_file(folder_.metrics(), metrics_csv(now.epochs));
    write_file(folder_.curves(), curves_svg({curves(run, now.epochs)}));
    events_->write(epoch.step,
                   {{"train_loss", epoch.train_loss}, {"val_loss", epoch.val_loss}, {"val_acc", epoch.val_acc}});
  }
  write_losses(now);
}

void TrainingLog::stopped(const Progress& now) {
  clear_line();
  std::fprintf(stderr, "stopped after step %" PRId64 " of %" PRId64 "\n", now.steps(), total_steps_);
  write_losses(now);
}

void TrainingLog::failed(const Progress& now) {
  clear_line();
  write_losses(now);
}

std::string TrainingLog::progress_line(const Progress& now) const {
  const auto done = static_cast<double>(now.steps_in_epoch()), left = static_cast<double>(total_steps_ - now.steps());
  const auto images = static_cast<double>(now.images);
  return format("epoch %zu/%d  %3.0f%%  loss %.4f  %.1f images/s  %s left", now.epochs.size() + 1, epochs_,
                100 * done / static_cast<double>(steps_per_epoch_), now.loss_sum / images, images / now.seconds,
                clock_time(now.seconds / done * left).c_str());
}

void TrainingLog::clear_line() const {
  if (isatty(STDERR_FILENO)) std::fprintf(stderr, "\r\033[K");
}

void TrainingLog::write_losses(const Progress& now) const {
  if (folder_.path().empty()) return;
  std::string text = "step,loss\n";
  for (std::size_t i = 0; i < now.losses.size(); ++i) text += format("%zu,%.6f\n", i + 1, now.losses[i]);
  write_file(folder_.losses(), text);
}

}  // namespace bobbin
