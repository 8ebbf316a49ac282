#pragma once
#include <concepts>
#include <optional>
#include <string>
#include <vector>

#include "autograd/watch/anomaly.h"
#include "nn/loss.h"
#include "nn/module.h"
#include "optim/clip.h"
#include "optim/optimizer.h"
#include "optim/training/data_parallel.h"
#include "tensor/check.h"

/// The training step.
namespace bobbin {

/// Options of a training step.
struct StepOptions {
  double clip_grad = 0;         ///< the largest global norm of the gradients; 0: no clipping
  bool detect_anomaly = false;  ///< stop at the first op that makes NaN or infinity, and name it
};

/// One training step on the loss that loss() computes, a scalar Var. Returns it, as it is before the update; a GPU may
/// still be at work.
template <std::invocable F>
Tensor begin_training_step(const F& loss, const Optimizers& optimizers, StepSize size, double clip_grad = 0) {
  Tape tape;                    // recording starts here
  const Var distance = loss();  // forward
  tape.backward(distance);      // gradients land in the parameters
  if (clip_grad > 0) clip_grad_norm(optimizers.parameters(), clip_grad);
  for (Optimizer& optimizer : optimizers) optimizer.step(size);  // and move them
  return distance.value();
}  // the tape ends: its memory is used again

/// The whole step: waits for the loss.
template <std::invocable F>
real training_step(const F& loss, const Optimizers& optimizers, StepSize size, double clip_grad = 0) {
  return begin_training_step(loss, optimizers, size, clip_grad).item();
}

/// The same on images X with targets y.
inline real training_step(const ModuleRef& model, const Optimizers& optimizers, const Loss& loss, const Tensor& X,
                          const Targets& y, StepSize size, const StepOptions& options = {}) {
  std::optional<DetectAnomaly> detect;
  if (options.detect_anomaly) detect.emplace(model.state().parameters);
  return training_step([&] { return loss(model(X), y); }, optimizers, size, options.clip_grad);
}

/// A step in several passes, for batches that do not fit into memory (gradient accumulation): loss(i), of the i-th
/// part of the batch, counts by its share, and the shares sum to 1. Returns the sum. With the parts that are of this
/// rank, and `others` with whom to sum the gradients, it is the step of all ranks; the sum is that of this rank.
template <std::invocable<std::size_t> F>
Tensor begin_training_step(const F& loss, const std::vector<real>& shares, const Optimizers& optimizers, StepSize size,
                           double clip_grad = 0, GradientSum* others = nullptr) {
  Tensor sum;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    Tape tape;
    const Var distance = loss(i) * shares[i];
    if (others && i + 1 == shares.size()) others->begin();
    tape.backward(distance);  // gradients add up in the parameters
    sum = i == 0 ? distance.value() : sum + distance.value();
  }
  if (others) others->end();
  if (clip_grad > 0) try {
      clip_grad_norm(optimizers.parameters(), clip_grad);
    } catch (const Error& error) {  // all ranks have the same gradients, and so the same error
      const std::string ranks = others ? ranks_without_finite(double{sum.item()}) : "";
      if (ranks.empty()) throw;
      throw Error(error.what() + ("; the loss is not finite" + ranks));
    }
  for (Optimizer& optimizer : optimizers) optimizer.step(size);
  return sum;
}

}  // namespace bobbin
