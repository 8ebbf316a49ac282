#include "optim/log/training_log.h"

#include <unistd.h>

#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <string>
#include <utility>

#include "data/drawing/curves.h"
#include "data/files/write_file.h"
#include "tensor/check.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

double seconds(std::chrono::steady_clock::duration d) { return std::chrono::duration<double>(d).count(); }

// 1:02:03, or 2:03.
std::string clock_time(double s) {
  const auto whole = static_cast<long>(s);
  return whole < 3600 ? format("%ld:%02ld", whole / 60, whole % 60)
                      : format("%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace

void check_is_free(const std::filesystem::path& folder) {
  std::error_code none;  // a folder that cannot be listed holds no run that could be overwritten
  for (std::filesystem::directory_iterator file(folder, none), end; !none && file != end; file.increment(none)) {
    const std::string name = file->path().filename().string();
    const bool taken = name == "metrics.csv" || name == "config.json" || name == "model.safetensors" ||
                       name == "best.safetensors" ||
                       (name.starts_with("checkpoint-") && name.ends_with(".safetensors"));
    check(!taken, "Trainer", "the output directory ", folder.string(), " holds the ", name,
          " of another run; choose a new directory or remove the file");
  }
}

TrainingLog::TrainingLog(std::filesystem::path output_dir, int max_epochs, Index steps_per_epoch, Index total_steps,
                         std::optional<TrainingProgress> resumed)
    : output_dir_(std::move(output_dir)),
      max_epochs_(max_epochs),
      steps_per_epoch_(steps_per_epoch),
      total_steps_(total_steps),
      progress_(resumed.value_or(TrainingProgress())) {
  if (output_dir_.empty()) return;
  name_ = (output_dir_ / "").parent_path().filename().string();  // also of "runs/mine/"
  make_folder(output_dir_);
  if (!resumed) check_is_free(output_dir_);
  write_file(output_dir_ / "metrics.csv", metrics_csv(progress_.epochs));
  events_.emplace(output_dir_);
}

void TrainingLog::begin_epoch() {
  if (!std::exchange(header_shown_, true)) {
    std::puts("epoch  train_loss  val_loss  val_acc  images/s  seconds");
    std::fflush(stdout);
  }
  if (!progress_.in_epoch) {
    progress_.in_epoch = true;
    progress_.first_step = steps();
    progress_.images = 0;
    progress_.loss_sum = progress_.seconds = 0;
  }
  begun_ = Clock::now() - std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(progress_.seconds));
  trained_ = Clock::now();
}

void TrainingLog::step(double loss, Index images, double lr) {
  progress_.losses.push_back(loss);
  progress_.images += images;
  progress_.loss_sum += loss * static_cast<double>(images);
  progress_.lr = lr;
  trained_ = Clock::now();
  if (!std::isfinite(loss)) {
    clear_progress();
    write_losses();
    fail("Trainer", "the loss is ", loss, " at step ", steps(), " in epoch ", progress_.epochs.size() + 1,
         ": training has diverged; a smaller learning rate or gradient clipping may help");
  }
  show_progress();
}

TrainingProgress TrainingLog::progress() const {
  TrainingProgress now = progress_;
  if (now.in_epoch) now.seconds = seconds(Clock::now() - begun_);
  return now;
}

std::string TrainingLog::progress_line() const {
  const double spent = seconds(trained_ - begun_);
  const auto done = static_cast<double>(steps_in_epoch()), left = static_cast<double>(total_steps_ - steps());
  const auto images = static_cast<double>(progress_.images);
  return format("epoch %zu/%d  %3.0f%%  loss %.4f  %.1f images/s  %s left", progress_.epochs.size() + 1, max_epochs_,
                100 * done / static_cast<double>(steps_per_epoch_), progress_.loss_sum / images, images / spent,
                clock_time(spent / done * left).c_str());
}

void TrainingLog::show_progress() {
  if (trained_ - shown_ < std::chrono::milliseconds(100) || !isatty(STDERR_FILENO)) return;
  shown_ = trained_;
  std::fprintf(stderr, "\r\033[K%s", progress_line().c_str());
}

void TrainingLog::clear_progress() {
  if (isatty(STDERR_FILENO)) std::fprintf(stderr, "\r\033[K");
}

EpochMetrics TrainingLog::end_epoch(double val_loss, double val_acc) {
  const auto images = static_cast<double>(progress_.images);
  progress_.in_epoch = false;
  progress_.epochs.push_back({.epoch = static_cast<int>(progress_.epochs.size()) + 1,
                              .step = steps(),
                              .train_loss = progress_.loss_sum / images,
                              .val_loss = val_loss,
                              .val_acc = val_acc,
                              .lr = progress_.lr,
                              .img_per_s = images / seconds(trained_ - begun_),
                              .seconds = seconds(Clock::now() - begun_)});
  const EpochMetrics& now = progress_.epochs.back();
  clear_progress();
  std::printf("%5d  %10.4f  %8.4f  %7.4f  %8.1f  %7.1f\n", now.epoch, now.train_loss, now.val_loss, now.val_acc,
              now.img_per_s, now.seconds);
  std::fflush(stdout);
  if (!output_dir_.empty()) {
    write_file(output_dir_ / "metrics.csv", metrics_csv(progress_.epochs));
    write_file(output_dir_ / "curves.svg", curves_svg({curves(name_, progress_.epochs)}));
    events_->write(now.step, {{"train_loss", now.train_loss}, {"val_loss", now.val_loss}, {"val_acc", now.val_acc}});
  }
  write_losses();
  return now;
}

void TrainingLog::interrupted() {
  clear_progress();
  std::fprintf(stderr, "stopped after step %" PRId64 " of %" PRId64 "\n", steps(), total_steps_);
  write_losses();
}

void TrainingLog::write_losses() const {
  if (output_dir_.empty()) return;
  std::string text = "step,loss\n";
  for (std::size_t i = 0; i < progress_.losses.size(); ++i) text += format("%zu,%.6f\n", i + 1, progress_.losses[i]);
  write_file(output_dir_ / "losses.csv", text);
}

}  // namespace bobbin
