#pragma once
#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "data/files/write_file.h"
#include "data/sets/batches.h"
#include "nn/module.h"
#include "optim/log/training_log.h"
#include "optim/sgd.h"
#include "optim/training/checkpoint.h"
#include "optim/training/interrupt.h"
#include "tensor/check.h"

namespace bobbin {

struct TrainerOptions {
  int max_epochs = 10;
  Index batch_size = 128;
  Index max_steps = 0;                 ///< stop after so many steps; 0: only after the epochs
  std::filesystem::path output_dir{};  ///< for the metrics, the weights and the checkpoints; empty: none are written
  Index save_every = 0;                ///< steps between checkpoints; 0: one after each epoch, and where training stops
  int keep_last = 2;                   ///< so many checkpoints stay
  Augmentation augmentation{};         ///< how the images to train on are varied
  /// What is kept with the weights, as metadata of model.safetensors and notes of a checkpoint. The note "config" is
  /// also written to config.json.
  std::map<std::string, std::string> notes{};
};

/// Loss and accuracy on a data set, as means over its images.
struct Evaluation {
  double loss = 0, accuracy = 0;
};

/// Runs the model in evaluation mode over the whole data set, and leaves it in that mode. Ends early, with
/// what it has, as soon as stop() is true.
template <class Model, class Stop>
Evaluation evaluate(Model& model, const ImageDataset& data, Index batch_size, const Stop& stop) {
  eval(model);
  double loss = 0;
  Index right = 0, seen = 0;
  for (auto [X, y] : batches(data, batch_size)) {
    const Tensor logits = model(X).value();
    const Labels predicted = argmax(logits);
    for (std::size_t i = 0; i < y.size(); ++i) right += predicted[i] == y[i];
    loss += double{cross_entropy(logits, y, 0).item()} * static_cast<double>(y.size());
    seen += static_cast<Index>(y.size());
    if (stop()) break;
  }
  return {loss / static_cast<double>(seen), static_cast<double>(right) / static_cast<double>(seen)};
}

template <class Model>
Evaluation evaluate(Model& model, const ImageDataset& data, Index batch_size) {
  return evaluate(model, data, batch_size, [] { return false; });
}

/// One step of training: forward, backward, update. Returns the loss before the update.
template <class Model>
real training_step(Model& model, SGD& sgd, const Tensor& X, const Labels& y) {
  Tape tape;
  const Var loss = cross_entropy(model(X), y);
  tape.backward(loss);
  sgd.step();
  return loss.value().item();
}

/// The loop around the training step: epochs of shuffled batches, validation after each, a TrainingLog, and these files
/// in output_dir:
///
/// | file                          | what it holds                                                                  |
/// |-------------------------------|--------------------------------------------------------------------------------|
/// | `checkpoint-STEP.safetensors` | all that is needed to go on, after each epoch and where training stops         |
/// | `model.safetensors`           | the parameters after the newest epoch, or where training stopped               |
/// | `best.safetensors`            | the parameters after the whole epoch with the best validation accuracy         |
/// | `config.json`                 | the note "config", if there is one                                             |
///
/// Ctrl-C ends it after the step.
///
///     SGD sgd(parameters(model), {.lr = 0.1});
///     Trainer trainer(sgd, rng, {.max_epochs = 10});
///     trainer.fit(model, data);
class Trainer {
 public:
  /// The order of the images comes from a stream forked from rng.
  /// Throws Error unless there is an epoch and a batch size of 1 or more.
  Trainer(SGD& sgd, Rng& rng, TrainerOptions options) : sgd_(&sgd), order_(rng.fork()), options_(std::move(options)) {
    check(options_.max_epochs >= 1, "Trainer", "max_epochs must be 1 or more, got ", options_.max_epochs);
    check(options_.batch_size >= 1, "Trainer", "batch_size must be 1 or more, got ", options_.batch_size);
    check(options_.max_steps >= 0, "Trainer", "max_steps must be 0 or more, got ", options_.max_steps);
    check(options_.save_every >= 0, "Trainer", "save_every must be 0 or more, got ", options_.save_every);
    check(options_.keep_last >= 1, "Trainer", "keep_last must be 1 or more, got ", options_.keep_last);
  }

  /// Lets fit() go on from the checkpoint: with the same data and options, what follows is bit for bit what would have
  /// followed. Throws Error, and leaves the model as it is, if it is one of another model.
  template <class Model>
  void resume(Model& model, Checkpoint checkpoint) {
    const auto streams = state_of(model).streams;
    for (const auto& [name, rng] : streams)
      check(checkpoint.streams.contains(name), "Trainer", "the checkpoint has no random numbers for ", name);
    check(checkpoint.streams.contains(""), "Trainer", "the checkpoint does not know the order of the images");
    check(checkpoint.batch_size == options_.batch_size, "Trainer", "the checkpoint counts steps of ",
          checkpoint.batch_size, " images, which cannot go on with a batch size of ", options_.batch_size);
    std::vector<Tensor> velocities;
    const std::vector<std::string> names = names_of_parameters(model);
    for (std::size_t i = 0; i < names.size(); ++i) {
      const Tensor& velocity = velocities.emplace_back(checkpoint.velocities[names[i]]);
      check(!velocity.defined() || velocity.shape() == sgd_->parameters()[i].shape(), "Trainer", "the velocity of ",
            names[i], " has the shape ", velocity.shape(), ", expected ", sgd_->parameters()[i].shape());
    }
    state_of(model).load(checkpoint.parameters);
    sgd_->set_velocities(std::move(velocities));
    sgd_->options = checkpoint.optimizer;
    for (const auto& [name, rng] : streams) *rng = checkpoint.streams.at(name);
    order_ = checkpoint.streams.at("");
    resumed_ = std::move(checkpoint.progress);
  }

  /// The steps that fit() will go on from.
  Index steps() const { return resumed_ ? resumed_->steps() : 0; }

  /// Trains on data.train, validates on data.test; returns the metrics of each finished epoch.
  /// Throws Error when the loss is no longer finite, or when a file cannot be written.
  template <class Model, class Data>
  std::vector<EpochMetrics> fit(Model& model, const Data& data) {
    return fit(model, data, [&](const Tensor& X, const Labels& y) { return training_step(model, *sgd_, X, y); });
  }

  /// The same with a training step of your own: step(X, y) updates the model and returns the loss.
  template <class Model, class Data, class Step>
  std::vector<EpochMetrics> fit(Model& model, const Data& data, const Step& step) {
    const Index steps_per_epoch = (data.train.count() - 1) / options_.batch_size + 1;
    const Index all_steps = steps_per_epoch * options_.max_epochs;
    const Index last_step = options_.max_steps > 0 ? std::min(options_.max_steps, all_steps) : all_steps;
    const Interrupt interrupt;
    TrainingLog log(options_.output_dir, options_.max_epochs, steps_per_epoch, last_step,
                    std::exchange(resumed_, std::nullopt));
    if (!options_.output_dir.empty() && options_.notes.contains("config"))
      write_file(options_.output_dir / "config.json", options_.notes.at("config"));
    while (log.steps() < last_step || log.in_epoch()) {
      log.begin_epoch();
      train(model);
      Rng next_order = order_;  // order_ stays as this epoch found it, for a checkpoint within it
      for (auto [X, y] :
           batches(data.train, options_.batch_size, next_order, options_.augmentation).from(log.steps_in_epoch())) {
        if (Interrupt::received() || log.steps() >= last_step) break;
        const real loss = step(X, y);
        log.step(loss, static_cast<Index>(y.size()), sgd_->options.lr);
        const bool due = options_.save_every > 0 && log.steps() % options_.save_every == 0;
        if (due && log.steps_in_epoch() < steps_per_epoch) save(model, log);
      }
      const bool whole_epoch = log.steps_in_epoch() == steps_per_epoch;
      save(model, log);  // validation may take long
      const Evaluation validation = evaluate(model, data.test, options_.batch_size, Interrupt::received);
      if (Interrupt::received()) {
        save_weights(model, "model.safetensors");
        log.interrupted();
        break;
      }
      log.end_epoch(validation.loss, validation.accuracy);
      save_weights(model, "model.safetensors");
      if (!whole_epoch) break;
      order_ = next_order;
      if (is_best(log.progress().epochs)) save_weights(model, "best.safetensors");
      save(model, log);
    }
    return log.progress().epochs;
  }

 private:
  // The names in the model of what the optimizer moves, in its order.
  template <class Model>
  std::vector<std::string> names_of_parameters(Model& model) const {
    const std::vector<NamedParameter> named = named_parameters(model);
    std::vector<std::string> names;
    for (const Var& parameter : sgd_->parameters()) {
      const auto found = std::find_if(named.begin(), named.end(), [&](auto& n) { return n.second.is(parameter); });
      check(found != named.end(), "Trainer", "the optimizer has a parameter of shape ", parameter.shape(),
            " that is not in the model");
      names.push_back(found->first);
    }
    return names;
  }

  template <class Model>
  void save(Model& model, const TrainingLog& log) const {
    if (options_.output_dir.empty()) return;
    Checkpoint checkpoint{.parameters = state_of(model).tensors(),
                          .velocities = {},
                          .optimizer = sgd_->options,
                          .batch_size = options_.batch_size,
                          .streams = {{"", order_}},
                          .progress = log.progress(),
                          .notes = options_.notes};
    const std::vector<std::string> names = names_of_parameters(model);
    for (std::size_t i = 0; i < names.size(); ++i)
      if (const Tensor& velocity = sgd_->velocities()[i]; velocity.defined())
        checkpoint.velocities.emplace(names[i], velocity);
    for (const auto& [name, rng] : state_of(model).streams) checkpoint.streams.emplace(name, *rng);
    CheckpointFolder(options_.output_dir).write(checkpoint, options_.keep_last);
  }

  template <class Model>
  void save_weights(Model& model, const char* name) const {
    if (!options_.output_dir.empty())
      write_safetensors(options_.output_dir / name, state_of(model).tensors(), options_.notes);
  }

  // Whether the last epoch is better than all before.
  static bool is_best(const std::vector<EpochMetrics>& epochs) {
    return std::none_of(epochs.begin(), epochs.end() - 1,
                        [&](const EpochMetrics& e) { return e.val_acc >= epochs.back().val_acc; });
  }

  SGD* sgd_;
  Rng order_;  // of the images
  TrainerOptions options_;
  std::optional<TrainingProgress> resumed_;
};

}  // namespace bobbin
