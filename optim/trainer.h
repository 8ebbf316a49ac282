#pragma once
#include <algorithm>
#include <filesystem>
#include <vector>

#include "autograd/ops.h"
#include "data/batches.h"
#include "nn/module.h"
#include "optim/interrupt.h"
#include "optim/sgd.h"
#include "optim/training_log.h"
#include "tensor/check.h"

namespace bobbin {

struct TrainerOptions {
  int max_epochs = 10;
  Index batch_size = 128;
  Index max_steps = 0;                 ///< stop after so many steps; 0: only after the epochs
  std::filesystem::path output_dir{};  ///< for metrics.csv and losses.csv; empty: none are written
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

/// The loop around the training step: epochs of shuffled batches, validation after each, and a
/// TrainingLog. Ctrl-C ends it after the step.
///
///     SGD sgd(parameters(model), {.lr = 0.1});
///     Trainer trainer(sgd, rng, {.max_epochs = 10});
///     trainer.fit(model, data);
class Trainer {
 public:
  /// The order of the images comes from a stream forked from rng.
  /// Throws Error unless there is an epoch and a batch size of 1 or more.
  Trainer(SGD& sgd, Rng& rng, TrainerOptions options) : sgd_(&sgd), shuffle_(rng.fork()), options_(std::move(options)) {
    check(options_.max_epochs >= 1, "Trainer", "max_epochs must be 1 or more, got ", options_.max_epochs);
    check(options_.batch_size >= 1, "Trainer", "batch_size must be 1 or more, got ", options_.batch_size);
    check(options_.max_steps >= 0, "Trainer", "max_steps must be 0 or more, got ", options_.max_steps);
  }

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
    TrainingLog log(options_.output_dir, options_.max_epochs, steps_per_epoch, last_step);
    std::vector<EpochMetrics> history;
    while (log.steps() < last_step) {
      log.begin_epoch();
      train(model);
      for (auto [X, y] : batches(data.train, options_.batch_size, shuffle_)) {
        const real loss = step(X, y);
        log.step(loss, static_cast<Index>(y.size()), sgd_->options.lr);
        if (Interrupt::received() || log.steps() == last_step) break;
      }
      const Evaluation validation = evaluate(model, data.test, options_.batch_size, Interrupt::received);
      if (Interrupt::received()) {
        log.interrupted();
        break;
      }
      history.push_back(log.end_epoch(validation.loss, validation.accuracy));
    }
    return history;
  }

 private:
  SGD* sgd_;
  Rng shuffle_;
  TrainerOptions options_;
};

}  // namespace bobbin
