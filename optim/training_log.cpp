#include "optim/training_log.h"

#include <unistd.h>

#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <string>

#include "data/write_file.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

double seconds(std::chrono::steady_clock::duration d) { return std::chrono::duration<double>(d).count(); }

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

// 1:02:03, or 2:03.
std::string clock_time(double s) {
  const auto whole = static_cast<long>(s);
  return whole < 3600 ? format("%ld:%02ld", whole / 60, whole % 60)
                      : format("%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace

TrainingLog::TrainingLog(std::filesystem::path output_dir, int max_epochs, Index steps_per_epoch, Index total_steps)
    : output_dir_(std::move(output_dir)),
      max_epochs_(max_epochs),
      steps_per_epoch_(steps_per_epoch),
      total_steps_(total_steps) {
  if (output_dir_.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(output_dir_, error);
  check(!error, "Trainer", "cannot make the output directory ", output_dir_.string(), ": ", error.message());
  const auto metrics = output_dir_ / "metrics.csv";
  check(!std::filesystem::exists(metrics), "Trainer", "the output directory ", output_dir_.string(),
        " holds the metrics.csv of another run; choose a new directory or remove the file");
  write_file(metrics, metrics_csv({}));
}

void TrainingLog::begin_epoch() {
  if (epochs_.empty()) {
    std::puts("epoch  train_loss  val_loss  val_acc  images/s  seconds");
    std::fflush(stdout);
  }
  now_ = {.epoch = static_cast<int>(epochs_.size()) + 1};
  images_ = 0;
  loss_sum_ = 0;
  first_step_ = steps();
  begun_ = trained_ = Clock::now();
}

void TrainingLog::step(double loss, Index images, double lr) {
  losses_.push_back(loss);
  images_ += images;
  loss_sum_ += loss * static_cast<double>(images);
  now_.lr = lr;
  trained_ = Clock::now();
  if (!std::isfinite(loss)) {
    clear_progress();
    write_losses();
    fail("Trainer", "the loss is ", loss, " at step ", steps(), " in epoch ", now_.epoch,
         ": training has diverged; a smaller learning rate or gradient clipping may help");
  }
  show_progress();
}

std::string TrainingLog::progress() const {
  const double spent = seconds(trained_ - begun_);
  const auto done = static_cast<double>(steps() - first_step_), left = static_cast<double>(total_steps_ - steps());
  return format("epoch %d/%d  %3.0f%%  loss %.4f  %.1f images/s  %s left", now_.epoch, max_epochs_,
                100 * done / static_cast<double>(steps_per_epoch_), loss_sum_ / static_cast<double>(images_),
                static_cast<double>(images_) / spent, clock_time(spent / done * left).c_str());
}

void TrainingLog::show_progress() {
  if (trained_ - shown_ < std::chrono::milliseconds(100) || !isatty(STDERR_FILENO)) return;
  shown_ = trained_;
  std::fprintf(stderr, "\r\033[K%s", progress().c_str());
}

void TrainingLog::clear_progress() {
  if (isatty(STDERR_FILENO)) std::fprintf(stderr, "\r\033[K");
}

EpochMetrics TrainingLog::end_epoch(double val_loss, double val_acc) {
  now_.step = steps();
  now_.train_loss = loss_sum_ / static_cast<double>(images_);
  now_.val_loss = val_loss;
  now_.val_acc = val_acc;
  now_.img_per_s = static_cast<double>(images_) / seconds(trained_ - begun_);
  now_.seconds = seconds(Clock::now() - begun_);
  epochs_.push_back(now_);
  clear_progress();
  std::printf("%5d  %10.4f  %8.4f  %7.4f  %8.1f  %7.1f\n", now_.epoch, now_.train_loss, now_.val_loss, now_.val_acc,
              now_.img_per_s, now_.seconds);
  std::fflush(stdout);
  if (!output_dir_.empty()) write_file(output_dir_ / "metrics.csv", metrics_csv(epochs_));
  write_losses();
  return now_;
}

void TrainingLog::interrupted() {
  clear_progress();
  std::fprintf(stderr, "stopped after step %" PRId64 " of %" PRId64 "\n", steps(), total_steps_);
  write_losses();
}

void TrainingLog::write_losses() const {
  if (output_dir_.empty()) return;
  std::string text = "step,loss\n";
  for (std::size_t i = 0; i < losses_.size(); ++i) text += format("%zu,%.6f\n", i + 1, losses_[i]);
  write_file(output_dir_ / "losses.csv", text);
}

}  // namespace bobbin
