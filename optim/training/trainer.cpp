#include "optim/training/trainer.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "data/files/write_file.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

// How many of the images were recognised, by logits (N, C): the first of the largest is the class.
Index count_right(const std::vector<real>& logits, const Labels& labels) {
  if (labels.empty()) return 0;
  Index right = 0;
  const auto classes = static_cast<std::ptrdiff_t>(logits.size() / labels.size());
  for (auto row = logits.begin(); const int label : labels) {
    right += std::max_element(row, row + classes) - row == label;
    row += classes;
  }
  return right;
}

std::set<std::string> frozen_names(const State& model) {
  std::set<std::string> names;
  for (const auto& [name, parameter] : model.parameters)
    if (!parameter.requires_grad()) names.insert(name);
  return names;
}

}  // namespace

void TrainerOptions::fields(Fields& f) {
  constexpr int many = std::numeric_limits<int>::max();
  f("epochs", epochs, {.help = "passes over the training set", .low = 1, .high = 1000000});
  f("batch_size", batch_size, {.help = "images per step", .low = 1, .high = 60000, .alias = "-b"});
  f("grad_accum_steps", grad_accum_steps,
    {.help = "add up the gradients of this many batches in each step, as if they were one; only BatchNorm, mixup and "
             "--class-weights see each alone",
     .low = 1,
     .high = 100000});
  f("max_steps", max_steps,
    {.help = "stop after this many steps, the schedule unchanged; 0: no limit", .low = 0, .high = many});
  f("clip_grad", clip_grad,
    {.help = "clip the L2 norm of all gradients together to this; 0: no clipping", .low = 0, .high = 1e6});
  f("early_stopping", early_stopping,
    {.help = "stop when this many epochs in a row were no better than the best; 0: never", .low = 0, .high = many});
  f("ema_decay", ema_decay,
    {.help = "keep a moving average of the weights, too, with this decay (.999, say) and a warm-up, as timm: it is "
             "validated beside them, and best.safetensors is chosen by it; 0: none",
     .low = 0,
     .high = 0.999999999,
     .fixed = true});
  f("detect_anomaly", detect_anomaly, {.help = "stop at the first op that computes NaN or infinity, and name it"});
  f("comm_precision", comm_precision,
    {.help = "number format of gradients on their way between ranks: bfloat16 is half the bytes, and rounds each "
             "gradient, and each sum of two, to 8 bits",
     .choices = {"float32", "bfloat16"}});
  f("sync_batch_norm", sync_batch_norm,
    {.help = "BatchNorm's mean and variance are those of the images of all ranks, not of each rank's own"});
  f("save_every", save_every,
    {.help = "save a checkpoint every this many steps, too; 0: only after each epoch and where training stops",
     .low = 0,
     .high = many});
  f("checkpoint_hist", checkpoint_hist, {.help = "number of checkpoints to keep, the newest", .low = 1, .high = many});
}

Trainer::Trainer(ModuleRef model, Optimizers optimizers, Loss loss, Rng& rng, TrainerOptions options)
    : Trainer(model, std::move(optimizers), LossOfBatch([model, loss = std::move(loss)](const Batch& b) -> BatchLoss {
                const Var logits = model(b.images);
                return {loss(logits, b.targets ? Targets(*b.targets) : Targets(b.labels)), logits.value()};
              }),
              rng, std::move(options)) {}

Trainer::Trainer(ModuleRef model, Optimizers optimizers, LossOfBatch loss, Rng& rng, TrainerOptions options)
    : Trainer([model] { return model.state(); }, std::move(optimizers), rng, std::move(options)) {
  classifier_.emplace(std::move(model), std::move(loss));
}

Trainer::Trainer(std::function<State()> state, Optimizers optimizers, Rng& rng, TrainerOptions options)
    : state_(std::move(state)), optimizers_(std::move(optimizers)), order_(rng.fork()), options_(std::move(options)) {
  const auto at_least = [](double lowest, const char* name, auto value) {
    check(static_cast<double>(value) >= lowest, "Trainer", name, " must be ", lowest, " or more, got ", value);
  };
  at_least(1, "epochs", options_.epochs);
  at_least(1, "batch_size", options_.batch_size);
  at_least(1, "grad_accum_steps", options_.grad_accum_steps);
  at_least(0, "max_steps", options_.max_steps);
  at_least(0, "early_stopping", options_.early_stopping);
  at_least(0, "clip_grad", options_.clip_grad);
  at_least(0, "save_every", options_.save_every);
  at_least(1, "checkpoint_hist", options_.checkpoint_hist);
  if (options_.ema_decay != 0) ema_.emplace(options_.ema_decay);
  if (comm::rank() > 0) options_.output_dir.clear();
  check(options_.batch_size >= 4 * comm::size() || comm::size() == 1, "Trainer", "a batch of ", options_.batch_size,
        " is too small for ", comm::size(), " ranks: each takes 4 images or a multiple; batch_size must be ",
        4 * comm::size(), " or more");
  Schedule(options_.schedule, 1, std::numeric_limits<Index>::max());  // its numbers
  check_augmentation(options_.augmentation, "Trainer");
  const std::vector<NamedParameter> named = state_().parameters;
  for (const auto& [name, parameter] : optimizers_.parameters()) {
    const auto is_this = [&, &p = parameter](const NamedParameter& other) { return other.second.is(p); };
    check(std::any_of(named.begin(), named.end(), is_this), "Trainer", "the optimizer has ", name,
          ", which the model's visit() does not name: it would learn, and not be saved");
  }
}

void Trainer::resume(Checkpoint checkpoint) {
  const State model = state_();
  for (const auto& [name, rng] : model.streams)
    check(checkpoint.streams.contains(name), "Trainer", "the checkpoint has no random numbers for ", name);
  check(checkpoint.streams.contains(""), "Trainer", "the checkpoint does not know the order of the examples");
  check(checkpoint.batch_size == examples_of_step(), "Trainer", "the checkpoint counts steps of ",
        checkpoint.batch_size, " images, which cannot go on with a batch size of ", options_.batch_size,
        options_.grad_accum_steps > 1 ? " and grad_accum_steps of " + std::to_string(options_.grad_accum_steps) : "");
  check(checkpoint.optimizer == optimizers_.name(), "Trainer", "the run of the checkpoint has the optimizer ",
        Quoted{checkpoint.optimizer}, ", with which it has to go on, not ", optimizers_.name());
  optimizers_.check_state(checkpoint.optimizer_state);
  check(ema_.has_value() || checkpoint.ema.empty(), "Trainer",
        "the run of the checkpoint averages its weights, and goes on so: ema_decay is missing");
  check(!ema_ || !checkpoint.ema.empty() || checkpoint.progress.steps() == 0, "Trainer",
        "the run of the checkpoint has not averaged its weights, so it cannot go on with an ema_decay");
  if (!checkpoint.ema.empty()) ema_->load(model, checkpoint.ema);
  checkpoint.parameters.merge(checkpoint.buffers);
  model.load(checkpoint.parameters);
  optimizers_.load_state(checkpoint.optimizer_state);
  for (auto [name, parameter] : model.parameters)
    if (checkpoint.frozen) parameter.freeze(checkpoint.frozen->contains(name));
  has_frozen_ = checkpoint.frozen.has_value();
  for (const auto& [name, rng] : model.streams) *rng = checkpoint.streams.at(name);
  order_ = checkpoint.streams.at("");
  progress_ = std::move(checkpoint.progress);
  resumed_ = true;
}

std::vector<EpochMetrics> Trainer::fit(const TrainAndTest& data) {
  check(classifier_.has_value(), "Trainer", "was made without a loss: fit() needs to be told what to do with a batch");
  const auto& [model, loss] = *classifier_;
  std::vector<std::pair<Tensor, Labels>> seen;  // the logits of a step, to count what it recognised
  const auto loss_of = [&, &loss = loss](const Batch& b) {
    const BatchLoss of_batch = loss(b);
    if (counts_) seen.emplace_back(of_batch.logits, b.labels);
    return of_batch.loss;
  };
  Task task = make_task(data.train, loss_of, {});
  task.recognised = [&]() -> Task::Recognised {
    std::vector<std::pair<Arriving, Labels>> counted;
    for (const auto& [logits, labels] : std::exchange(seen, {}))
      // What is no class for each label, such as a loss of one's own may take, is not counted.
      if (logits.rank() == 2 && logits.shape()[0] == static_cast<Index>(labels.size()))
        counted.emplace_back(logits, labels);
    return [counted] {
      std::pair<Index, Index> right_of{};
      for (const auto& [logits, labels] : counted) {
        right_of.first += count_right(logits.values(), labels);
        right_of.second += static_cast<Index>(labels.size());
      }
      return right_of;
    };
  };
  const Index validation_batches = (data.test.count() - 1) / options_.batch_size + 1;
  task.validation_steps = (validation_batches - 1) / comm::size() + 1;  // rank 0's, whose progress is shown
  task.validate = [&, &model = model](const std::function<bool()>& stop) {
    const Evaluation e = evaluate(model, data.test, options_.batch_size, {}, stop);
    return loss_and_accuracy(e.loss, e.accuracy);
  };
  task.metrics = {"val_loss", "val_acc"};
  return run(task);
}

Checkpoint Trainer::checkpoint() const {
  const State model = state_();
  Checkpoint checkpoint{.optimizer = optimizers_.name(),
                        .optimizer_state = optimizers_.state(),
                        .ema = averaged_weights(),
                        .batch_size = examples_of_step(),
                        .streams = {{"", order_}},
                        .progress = progress_,
                        .notes = options_.notes};
  if (std::set<std::string> frozen = frozen_names(model); has_frozen_ || !frozen.empty())
    checkpoint.frozen = std::move(frozen);
  for (const auto& [name, parameter] : model.parameters) checkpoint.parameters.emplace(name, parameter.value());
  for (const auto& [name, buffer] : model.buffers) checkpoint.buffers.emplace(name, *buffer);
  for (const auto& [name, count] : model.counts)
    checkpoint.buffers.emplace(name, Tensor::scalar(static_cast<real>(count->n)));
  for (const auto& [name, rng] : model.streams) checkpoint.streams.emplace(name, *rng);
  return checkpoint;
}

// A checkpoint of a model that has diverged is none to go on with, and must not take the place of one that is. What is
// frozen has not changed: it may be infinite on purpose.
void Trainer::check_weights() const {
  for (const auto& [name, parameter] : state_().parameters) {
    if (!parameter.requires_grad()) continue;
    const Range found = range(parameter.value());
    check(found.nan + found.inf == 0, "Trainer", "after step ", steps(), " ", name, " has ", found.nan, " NaN and ",
          found.inf, " infinite numbers: training has diverged; a smaller learning rate or gradient clipping may help");
  }
}

void Trainer::save(const RunFolder& folder) {
  if (options_.output_dir.empty()) return;
  check_weights();
  files_.begin(folder.writing(checkpoint(), options_.checkpoint_hist));
}

const NamedTensors& Trainer::averaged_weights() const {
  static const NamedTensors none;
  return ema_ ? ema_->tensors() : none;
}

void Trainer::save_weights() {
  const RunFolder folder(options_.output_dir);
  write_weights(folder.model());
  if (!averaged_weights().empty()) write_averaged(folder.ema());
}

void Trainer::write_averaged(const std::filesystem::path& file) {
  const WithWeights averaged(state_(), averaged_weights());
  write_weights(file);
}

void Trainer::write_weights(const std::filesystem::path& file) {
  if (options_.output_dir.empty()) return;
  const State model = state_();
  std::map<std::string, std::string> notes = to_metadata(options_.notes);
  notes["step"] = std::to_string(steps());
  files_.begin([file, content = safetensors_content(file, model.tensors(), notes, model.whole_numbers())] {
    write_file(file, content);
  });
}

std::size_t Trainer::best_epoch() const {
  const std::vector<EpochMetrics>& epochs = progress_.epochs;
  const std::string accuracy = ema_ ? "val_acc_ema" : "val_acc", loss = ema_ ? "val_loss_ema" : "val_loss";
  const auto score = [&](const EpochMetrics& e) {
    const double s = e.find(accuracy) ? e[accuracy] : -e[loss];
    return std::isnan(s) ? -std::numeric_limits<double>::infinity() : s;
  };
  if (epochs.empty() || !(epochs[0].find(accuracy) || epochs[0].find(loss))) return 0;
  const auto worse = [&](const EpochMetrics& a, const EpochMetrics& b) { return score(a) < score(b); };
  return static_cast<std::size_t>(std::max_element(epochs.begin(), epochs.end(), worse) - epochs.begin()) + 1;
}

bool Trainer::stops_early() const {
  if (options_.early_stopping == 0 || progress_.in_epoch || progress_.epochs.empty()) return false;
  const std::size_t best = best_epoch();
  check(best > 0, "Trainer", "early_stopping needs a validation that gives val_acc or val_loss");
  return progress_.epochs.size() - best >= static_cast<std::size_t>(options_.early_stopping);
}

}  // namespace bobbin
