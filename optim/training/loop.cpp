// The training loop: what Trainer::fit() does, whatever is trained. The constructor of Loop is what comes before the
// first step, run() the epochs, and the destructor the end, whatever that is.
#include <algorithm>
#include <bit>
#include <chrono>
#include <cinttypes>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "autograd/watch/anomaly.h"
#include "data/files/write_file.h"
#include "optim/log/training_log.h"
#include "optim/training/interrupt.h"
#include "optim/training/run_lock.h"
#include "optim/training/trainer.h"
#include "tensor/backend.h"
#include "tensor/check.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

// The seconds since it was made, and some from before.
class Stopwatch {
 public:
  explicit Stopwatch(double before) : before_(before) {}
  double seconds() const { return before_ + std::chrono::duration<double>(Clock::now() - begun_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  double before_;
  Clock::time_point begun_ = Clock::now();
};

// What all ranks have to have, a line for each.
std::string must_be_equal(const TrainerOptions& options, const State& model, Index examples, Index steps,
                          const Draw& order) {
  TrainerOptions all = options;
  Fields own, of_schedule, of_augmentation;
  all.fields(own), all.schedule.fields(of_schedule), all.augmentation.fields(of_augmentation);
  std::ostringstream lines;
  lines << examples << " examples\n" << steps << " steps done before\n";
  lines << "their order by the stream " << order.key << ", " << order.number << "\n";
  for (const Fields* fields : {&own, &of_schedule, &of_augmentation})
    for (const Field& field : *fields) lines << field.name() << " = " << field.value() << "\n";
  for (const auto& [name, parameter] : model.parameters)
    lines << name << " " << parameter.shape() << (parameter.requires_grad() ? "\n" : ", frozen\n");
  return lines.str();
}

// Of these names and numbers, to compare them.
std::string checksum(const NamedTensors& tensors) {
  std::uint64_t sum = 0xcbf29ce484222325;  // FNV-1a
  const auto add = [&sum](std::uint64_t part) { sum = (sum ^ part) * 0x100000001b3; };
  for (const auto& [name, tensor] : tensors) {
    for (const char c : name) add(static_cast<unsigned char>(c));
    for (const real x : tensor.values()) add(std::bit_cast<std::uint64_t>(double{x}));
  }
  return format("%016" PRIx64, sum);
}

// What rank 0 has measured: what follows from it, such as when to stop, is to be the same on all.
Metrics of_rank_0(Metrics metrics) {
  if (comm::size() == 1) return metrics;
  std::string names;
  for (const auto& [name, value] : metrics) names += "the metric " + name + "\n";
  check_same_on_all_ranks(names);
  for (auto& [name, value] : metrics) comm::broadcast(&value, sizeof value);
  return metrics;
}

}  // namespace

// One call of fit().
class Trainer::Loop {
 public:
  Loop(Trainer& trainer, const Task& task);
  ~Loop();
  void run();

 private:
  void check_ranks() const;
  void take_steps(const Task::NextBatch& next_batch);
  void end_steps(std::size_t left);
  std::pair<Index, Index> end_step();
  Metrics validate();
  void save();
  void end_epoch(const Metrics& metrics);
  bool is_to_stop() const { return comm::size() > 1 ? stops_ : Interrupt::received() != 0; }
  std::vector<double> sum_and_agree(std::vector<double> numbers = {});
  // f(); what they do where it throws is said below.
  template <class F>
  std::invoke_result_t<const F&> keeping_losses(const F& f);
  template <class F>
  std::invoke_result_t<const F&> saving(const F& f);

  Trainer& trainer_;
  const Task& task_;
  const TrainerOptions& options_;
  Progress& progress_;
  Background& files_;
  const RunFolder folder_;
  const bool writes_;  // there is a folder: not on ranks above 0
  Index steps_per_epoch_, last_step_ = 0;
  std::vector<std::string> metrics_names_;
  std::optional<Schedule> schedule_;
  // These are made when what is before them is checked, and end in reverse: the folder is unlocked last.
  std::optional<RunLock> lock_;
  std::optional<Interrupt> interrupt_;
  std::optional<TrainingLog> log_;
  Stopwatch watch_{0};          // of the epoch
  bool gives_up_best_ = false;  // best.safetensors, which is of a step after that from which the run goes on
  bool stops_ = false;          // what several ranks have agreed on
  const int exceptions_before_ = std::uncaught_exceptions();
};

std::vector<EpochMetrics> Trainer::run(const Task& task) {
  check(task.count >= 1, "Trainer", "the training set has no ", task.examples);
  if (!resumed_) progress_ = {};
  const auto is_frozen = [](const NamedParameter& p) { return !p.second.requires_grad(); };
  has_frozen_ = has_frozen_ || std::ranges::any_of(state_().parameters, is_frozen);
  Loop(*this, task).run();
  return progress_.epochs;
}

void Trainer::Loop::run() {
  while ((trainer_.steps() < last_step_ || progress_.steps_in_epoch() > 0) && !trainer_.stops_early()) {
    progress_.begin_epoch();
    watch_ = Stopwatch(progress_.seconds);
    trainer_.state_().train(true);
    Rng next_order = trainer_.order_;  // that of the Trainer stays as this epoch found it, for a checkpoint within it
    const Task::NextBatch next_batch = task_.begin(next_order, progress_.steps_in_epoch());
    take_steps(next_batch);
    const bool whole_epoch = progress_.steps_in_epoch() >= steps_per_epoch_;
    save();  // validation may take long
    trainer_.state_().train(false);
    const Metrics metrics = validate();
    if (is_to_stop()) {
      trainer_.save_weights();
      files_.wait();
      return log_->stopped(progress_);
    }
    end_epoch(metrics);
    if (!whole_epoch) break;
    trainer_.order_ = next_order;
    if (trainer_.best_epoch() == progress_.epochs.size())
      trainer_.ema_ ? trainer_.write_averaged(folder_.best()) : trainer_.write_weights(folder_.best());
    save();
    if (trainer_.stops_early()) log_->stopped_early(progress_, trainer_.best_epoch());
  }
  files_.wait();
  log_->ended(progress_);
}

// --- Before the first step ----------------------------------------------------------------------------------

Trainer::Loop::Loop(Trainer& trainer, const Task& task)
    : trainer_(trainer),
      task_(task),
      options_(trainer.options_),
      progress_(trainer.progress_),
      files_(trainer.files_),
      folder_(options_.output_dir),
      writes_(!options_.output_dir.empty()),
      steps_per_epoch_((task.count - 1) / trainer.examples_of_step() + 1),
      metrics_names_(task.metrics) {
  const bool resumed = std::exchange(trainer.resumed_, false);
  // Epochs that are done, or begun, may have had more steps or fewer, if the data have changed since.
  const Index to_begin = options_.epochs - static_cast<Index>(progress_.epochs.size()) - progress_.in_epoch;
  const Index left_of_this = progress_.in_epoch ? std::max<Index>(steps_per_epoch_ - progress_.steps_in_epoch(), 0) : 0;
  const Index all_steps = std::max<Index>(trainer_.steps() + left_of_this + steps_per_epoch_ * to_begin, 1);
  last_step_ = options_.max_steps > 0 ? std::min(options_.max_steps, all_steps) : all_steps;
  schedule_.emplace(options_.schedule, steps_per_epoch_, all_steps);
  if (writes_) {
    check_checkpoint(folder_.checkpoint(trainer_.steps()), trainer_.checkpoint());
    make_folder(options_.output_dir);
    lock_.emplace(options_.output_dir);
    if (!resumed) folder_.check_is_free();
    folder_.remove_half_written();
  }
  if (comm::size() > 1) check_ranks();
  const bool goes_on = trainer_.steps() < last_step_;
  gives_up_best_ = writes_ && resumed && goes_on && folder_.best_step() > trainer_.steps();
  if (gives_up_best_)
    std::fprintf(stderr, "%s is of a step after %s, which this run goes on from: it goes with the first checkpoint\n",
                 folder_.best().c_str(), with_commas(trainer_.steps()).c_str());
  broadcast_state(trainer_.state_());
  interrupt_.emplace();
  if (trainer_.ema_)
    for (const std::string& name : task_.metrics) metrics_names_.push_back(name + "_ema");
  if (writes_ && !options_.notes.config.empty())
    write_file(folder_.config(), options_.notes.config);  // which the log shows
  log_.emplace(folder_, options_.epochs, steps_per_epoch_, last_step_, progress_,
               task_.validation_steps * (trainer_.ema_ ? 2 : 1), metrics_names_, task_.examples, comm::rank() > 0);
}

// Waits for the files; and where run() has thrown, the log says so.
Trainer::Loop::~Loop() {
  files_ = {};  // waits
  if (std::uncaught_exceptions() > exceptions_before_) try {
      log_->failed(progress_);
    } catch (...) {  // of the two the first is what happened
    }
}

void Trainer::Loop::check_ranks() const {
  std::string lines = must_be_equal(options_, trainer_.state_(), task_.count, trainer_.steps(), trainer_.order_.peek());
  lines += "the optimizer's memory " + checksum(trainer_.optimizers_.state()) + "\n";
  if (trainer_.ema_) lines += "the averaged weights " + checksum(trainer_.ema_->tensors()) + "\n";
  check_same_on_all_ranks(lines);
}

// --- An epoch -----------------------------------------------------------------------------------------------

void Trainer::Loop::take_steps(const Task::NextBatch& next_batch) {
  // A GPU computes a step while the program begins the next.
  const std::size_t ahead = on_gpu && comm::size() == 1 && !options_.detect_anomaly ? 1 : 0;
  for (Index i = progress_.steps_in_epoch(); i < steps_per_epoch_; ++i) {
    if (is_to_stop() || trainer_.steps() >= last_step_) break;
    const Task::Step step = saving(next_batch);
    keeping_losses([&] {
      std::optional<DetectAnomaly> detect;
      if (options_.detect_anomaly) detect.emplace(trainer_.state_().parameters);
      const StepSize size = (*schedule_)(trainer_.steps());
      const Index examples = trainer_.examples_of_step();
      trainer_.begun_.push_back(
          {step(size), task_.recognised(), size.lr, std::min(examples, task_.count - i * examples)});
      broadcast_buffers(trainer_.state_());
      if (trainer_.ema_) trainer_.ema_->update(trainer_.state_(), trainer_.steps());
    });
    keeping_losses([&] { files_.look_after(); });
    const bool due = options_.save_every > 0 && trainer_.steps() % options_.save_every == 0;
    end_steps(due ? 0 : ahead);
    if (due && progress_.steps_in_epoch() < steps_per_epoch_) save();
  }
  end_steps(0);
}

// Until so many are left that are begun.
void Trainer::Loop::end_steps(std::size_t left) {
  while (trainer_.begun_.size() > left) {
    const auto [right, counted] = keeping_losses([&] { return end_step(); });
    saving([&, right = right, counted = counted] { log_->step_ended(progress_, right, counted); });
  }
}

// Reads the loss of the first of the steps that are begun. Returns how many images it recognised, and of how many.
std::pair<Index, Index> Trainer::Loop::end_step() {
  const Begun& step = trainer_.begun_.front();
  const double own_loss = step.loss();
  const auto [right, counted] = step.recognised();
  const std::vector<double> sums = sum_and_agree({own_loss, static_cast<double>(right), static_cast<double>(counted)});
  const double loss = sums[0];
  progress_.add_step(loss, step.images, step.lr, watch_.seconds());
  trainer_.begun_.pop_front();
  if (!std::isfinite(loss)) {
    trainer_.begun_.clear();  // what begins with such weights is none
    fail("Trainer", "the loss is ", loss, " at step ", progress_.steps(), " in epoch ", progress_.epochs.size() + 1,
         ranks_without_finite(own_loss),
         ": training has diverged; a smaller learning rate or gradient clipping may help");
  }
  return {static_cast<Index>(sums[1]), static_cast<Index>(sums[2])};
}

Metrics Trainer::Loop::validate() {
  Index validated = 0;
  const auto stop = [&] {
    log_->validated(progress_, ++validated);
    return Interrupt::received() != 0;
  };
  return saving([&] {
    const Evaluating evaluating;
    Metrics all = of_rank_0(task_.validate(stop));
    sum_and_agree();
    if (!trainer_.ema_ || is_to_stop()) return all;
    const WithWeights averaged(trainer_.state_(), trainer_.ema_->tensors());
    for (const auto& [name, value] : of_rank_0(task_.validate(stop))) all.emplace_back(name + "_ema", value);
    sum_and_agree();
    return all;
  });
}

// What is of later steps goes when a checkpoint is there to go on from: RunFolder::writing() removes the others.
void Trainer::Loop::save() {
  trainer_.save(folder_);
  if (std::exchange(gives_up_best_, false)) files_.begin([best = folder_.best()] { std::filesystem::remove(best); });
}

void Trainer::Loop::end_epoch(const Metrics& metrics) {
  check_metrics(metrics);
  for (const auto& [name, value] : metrics)  // of those of a program of one's own some may be no number
    check(std::isfinite(value) || std::find(metrics_names_.begin(), metrics_names_.end(), name) == metrics_names_.end(),
          "Trainer", name, " is ", value, " after epoch ", progress_.epochs.size() + 1,
          ": training has diverged; a smaller learning rate or gradient clipping may help");
  if (const auto& before = progress_.epochs; !before.empty())
    check(names_of(metrics) == names_of(before[0].metrics), "Trainer", "the validation gave other metrics than before");
  progress_.end_epoch(metrics, watch_.seconds());
  log_->epoch_ended(progress_);
  trainer_.save_weights();
}

// --- When it stops, or something is wrong -------------------------------------------------------------------

// Sums up the numbers of all ranks, who stop together with whichever has been told to: here they say so of each other.
std::vector<double> Trainer::Loop::sum_and_agree(std::vector<double> numbers) {
  numbers.push_back(Interrupt::received());
  numbers = comm::sum_of_all_ranks(std::move(numbers));
  stops_ = numbers.back() != 0;
  if (stops_ && Interrupt::received() == 0) Interrupt::note(SIGTERM);
  return numbers;
}

// f(). Where it throws, the losses of the steps that are begun are read first: they tell more than the error.
template <class F>
std::invoke_result_t<const F&> Trainer::Loop::keeping_losses(const F& f) {
  try {
    return f();
  } catch (...) {
    try {
      while (!trainer_.begun_.empty()) end_step();
    } catch (...) {  // of the two the first is what happened
      trainer_.begun_.clear();
    }
    throw;
  }
}

// f(), which neither moves the model nor draws random numbers. Where it throws, such as for a picture that cannot be
// read, the steps that are done are saved first, as those of a run that stops.
template <class F>
std::invoke_result_t<const F&> Trainer::Loop::saving(const F& f) {
  try {
    return f();
  } catch (const std::exception& error) {
    if (!writes_) throw;
    const std::string_view text = error.what(), reason = text.substr(text.starts_with('[') ? text.find("] ") + 2 : 0);
    try {
      while (!trainer_.begun_.empty()) {
        const auto [right, counted] = end_step();
        log_->step_ended(progress_, right, counted);
      }
      save();
      files_.wait();
    } catch (const std::exception& second) {
      fail("Trainer", reason, "; nor can the run be saved as it is after step ", trainer_.steps(), ": ", second.what());
    }
    fail("Trainer", reason, "; the run is saved as it is after step ", trainer_.steps(),
         ", and can be resumed from there");
  }
}

}  // namespace bobbin
