#include "optim/log/training_log.h"

#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "data/drawing/curves.h"
#include "data/files/write_file.h"
#include "optim/log/terminal.h"
#include "tensor/check.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

// 1:02:03, or 2:03.
std::string clock_time(double s) {
  const auto whole = static_cast<long>(s);
  return whole < 3600 ? format("%ld:%02ld", whole / 60, whole % 60)
                      : format("%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
}

// About so long, as people say it.
std::string about(double s) {
  if (s < 90) return format("%.0f seconds", s);
  return s < 90 * 60 ? format("%.0f minutes", s / 60) : format("%.1f hours", s / 3600);
}

double seconds(std::chrono::steady_clock::duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

TrainingLog::TrainingLog(RunFolder folder, int epochs, Index steps_per_epoch, Index total_steps, const Progress& now,
                         Index validation_steps, const std::vector<std::string>& metrics, std::string examples,
                         bool quiet)
    : folder_(std::move(folder)),
      epochs_(epochs),
      steps_per_epoch_(steps_per_epoch),
      total_steps_(total_steps),
      validation_steps_(validation_steps),
      examples_(std::move(examples)),
      quiet_(quiet) {
  if (folder_.path().empty()) return;
  write_file(folder_.metrics(), metrics_csv(now.epochs, metrics));
  const bool epoch_is_done = !now.epochs.empty() && now.epochs.back().step == now.steps();
  if (now.steps() > 0) EventFile::rewind(folder_.path(), now.steps(), epoch_is_done ? "" : "train_loss");
  events_.emplace(folder_.path());
  std::error_code none;
  if (std::filesystem::exists(folder_.report(), none)) write_report(now, RunState::training, clock());
}

void TrainingLog::step_ended(const Progress& now, Index right, Index images, Time time) {
  if (now.steps_in_epoch() == 1) right_ = images_ = 0;
  right_ += right;
  images_ += images;
  last_step_ended_ = time;
  if (first_step_ == 0) {
    first_step_ = now.steps();
    first_step_ended_ = time;
  }
  validated_ = 0;
  if (events_) events_->write(now.steps(), {{"loss", now.losses.back()}, {"lr", now.lr}});
  say_how_long(now);
  show(now, time);
  write_report_if_old(now, time);
}

void TrainingLog::validated(const Progress& now, Index done, Time time) {
  validated_ = done;
  show(now, time);
  write_report_if_old(now, time);
}

// As soon as a second has been measured, or at the end of the first epoch. The first step is left out: memory is new to
// it.
void TrainingLog::say_how_long(const Progress& now) {
  if (how_long_said_ || now.steps() == first_step_) return;
  const double measured = seconds(last_step_ended_ - first_step_ended_);
  if (measured < 1 && now.in_epoch) return;
  how_long_said_ = true;
  const double step = measured / static_cast<double>(now.steps() - first_step_), left = seconds_left(now, step);
  if (left < 5 || quiet_) return;
  clear_line();
  std::printf("time     about %s, judged by the first steps, of %.2g s each\n", about(left).c_str(), step);
  std::fflush(stdout);
}

// An image takes three times as long in training as in validation, where there is no backward pass; until one has been
// measured.
double TrainingLog::seconds_left(const Progress& now, double step) const {
  const auto steps = static_cast<double>(total_steps_ - now.steps()), per_epoch = static_cast<double>(steps_per_epoch_),
             validation_steps = static_cast<double>(validation_steps_);
  const double validation = validation_seconds_ > 0 ? validation_seconds_ : validation_steps * step / 3;
  const double validations = std::ceil((steps + static_cast<double>(now.steps_in_epoch())) / per_epoch) -
                             (validated_ > 0 ? static_cast<double>(validated_) / validation_steps : 0);
  return steps * step + validations * validation;
}

// Without a terminal a line at least every minute, if no step takes longer than 10 seconds.
void TrainingLog::show(const Progress& now, Time time) {
  if (quiet_ || time - line_shown_ < std::chrono::milliseconds(100)) return;
  const bool anew = can_rewrite_line(STDERR_FILENO);
  if (!anew && time - line_shown_ < std::chrono::seconds(50)) return;
  line_shown_ = time;
  // In the last column the cursor would be on the next line, on some terminals.
  const int all = columns(STDERR_FILENO), width = all > 0 ? std::max(all - 1, 1) : 79;
  if (anew)
    std::fprintf(stderr, "\r\033[K%s", progress_line(now, width, time).c_str());
  else
    std::fprintf(stderr, "%s\n", progress_line(now, 1000, time).c_str());
}

void TrainingLog::epoch_ended(const Progress& now, Time time) {
  const EpochMetrics& epoch = now.epochs.back();
  validated_ = 0;
  if (first_step_ > 0) {
    validation_seconds_ = seconds(time - last_step_ended_);
    say_how_long(now);
  }
  how_long_said_ = true;  // not within the table
  if (quiet_) return;
  clear_line();
  // A column is as wide as its name, and 7 or more.
  std::string header = "epoch  train_loss", row = format("%5d  %10.4f", epoch.epoch, epoch.train_loss);
  for (const auto& [name, value] : epoch.metrics) {
    header += format("  %7s", name.c_str());
    row += format("  %*.4f", static_cast<int>(std::max<std::size_t>(name.size(), 7)), value);
  }
  if (!std::exchange(header_shown_, true)) std::printf("%s  %s/s  seconds\n", header.c_str(), examples_.c_str());
  std::printf("%s  %*.1f  %7.1f\n", row.c_str(), static_cast<int>(examples_.size()) + 2, epoch.img_per_s,
              epoch.seconds);
  std::fflush(stdout);
  if (!folder_.path().empty()) {
    const std::string run = (folder_.path() / "").parent_path().filename().string();  // also of "runs/mine/"
    write_file(folder_.metrics(), metrics_csv(now.epochs));
    write_file(folder_.curves(), curves_svg({curves(run, now.epochs)}));
    std::vector<Scalar> scalars{{"train_loss", epoch.train_loss}};
    for (const auto& [name, value] : epoch.metrics) scalars.push_back({name, value});
    events_->write(epoch.step, scalars);
  }
  write_losses(now);
  write_report(now, RunState::training, time);
}

void TrainingLog::stopped(const Progress& now, Time time) {
  if (quiet_) return;
  clear_line();
  std::fprintf(stderr, "stopped after step %" PRId64 " of %" PRId64 "\n", now.steps(), total_steps_);
  write_losses(now);
  write_report(now, RunState::stopped, time);
}

void TrainingLog::stopped_early(const Progress& now, std::size_t best) {
  if (quiet_) return;
  std::printf("stopped early: epoch %zu is the best, and %zu more were not better\n", best, now.epochs.size() - best);
}

void TrainingLog::ended(const Progress& now, Time time) { write_report(now, RunState::ended, time); }

void TrainingLog::failed(const Progress& now, Time time) {
  clear_line();
  write_losses(now);
  write_report(now, RunState::failed, time);
}

std::string TrainingLog::progress_line(const Progress& now, int width, Time time) const {
  const auto done = static_cast<double>(now.steps_in_epoch()), images = static_cast<double>(now.images);
  const bool validating = validated_ > 0;
  const double part = validating ? static_cast<double>(validated_) / static_cast<double>(validation_steps_)
                                 : done / static_cast<double>(steps_per_epoch_);
  const std::string epoch =
      format("epoch %zu/%d %s %3.0f%%", now.epochs.size() + 1, epochs_, validating ? " validation" : "", 100 * part);
  std::string loss = format("  loss %.4f", now.loss_sum / images),
              accuracy = format("  acc %.3f", static_cast<double>(right_) / static_cast<double>(images_)),
              clock = "  " + clock_time(seconds(time - began_)) + " gone, " +
                      clock_time(seconds_left(now, now.seconds / std::max(done, 1.0))) + " left",
              speed = format("  %.1f %s/s", images / now.seconds, examples_.c_str());
  if (images_ == 0) accuracy = "";
  if (done == 0) loss = clock = speed = "";  // an epoch that is stopped before its first step
  const auto line = [&] { return epoch + loss + accuracy + clock + speed; };
  for (std::string* least : {&speed, &accuracy, &clock, &loss})
    if (line().size() > static_cast<std::size_t>(width)) *least = "";
  return line().substr(0, static_cast<std::size_t>(width));
}

void TrainingLog::clear_line() const {
  if (!quiet_ && can_rewrite_line(STDERR_FILENO)) std::fprintf(stderr, "\r\033[K");
}

void TrainingLog::write_report_if_old(const Progress& now, Time time) {
  if (!report_written_ || time - *report_written_ >= std::chrono::seconds(10))
    write_report(now, RunState::training, time);
}

// Without the page a run loses nothing: so it goes on, and says so once.
void TrainingLog::write_report(const Progress& now, RunState state, Time time) {
  if (folder_.path().empty()) return;
  const Index done = std::max<Index>(now.in_epoch ? now.steps_in_epoch() : steps_per_epoch_, 1);
  const double step = now.seconds / static_cast<double>(done);
  report_written_ = time;
  try {
    write_file(folder_.report(), report_html({.name = folder_.path().string(),
                                              .epochs = now.epochs,
                                              .losses = now.losses,
                                              .config = read_config(folder_),
                                              .state = state,
                                              .all_epochs = epochs_,
                                              .all_steps = total_steps_,
                                              .steps_per_epoch = steps_per_epoch_,
                                              .saved_steps = folder_.newest_step(),
                                              .seconds_left = seconds_left(now, step),
                                              .overdue = 60 + 10 * step + 2 * validation_seconds_,
                                              .written = std::time(nullptr)}));
  } catch (const std::exception& error) {
    if (std::exchange(report_failed_, true)) return;
    clear_line();
    std::fprintf(stderr, "%s; training goes on without it\n", error.what());
  }
}

void TrainingLog::write_losses(const Progress& now) const {
  if (folder_.path().empty()) return;
  std::string text = "step,loss\n";
  for (std::size_t i = 0; i < now.losses.size(); ++i) text += format("%zu,%.6f\n", i + 1, now.losses[i]);
  write_file(folder_.losses(), text);
}

}  // namespace bobbin
