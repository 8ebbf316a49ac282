#pragma once
#include <optional>

#include "autograd/watch/anomaly.h"
#include "nn/loss.h"
#include "nn/module.h"
#include "optim/clip.h"
#include "optim/optimizer.h"

/// The training step.
namespace bobbin {

/// Options of a training step.
struct StepOptions {
  double clip_grad = 0;         ///< the largest global norm of the gradients; 0: no clipping
  bool detect_anomaly = false;  ///< stop at the first op that makes NaN or infinity, and name it
};

/// One training step on images X with targets y. Returns the loss before the update.
inline real training_step(const ModuleRef& model, Optimizer& optimizer, const Loss& loss, const Tensor& X,
                          const Targets& y, StepSize size, const StepOptions& options = {}) {
  std::optional<DetectAnomaly> detect;
  if (options.detect_anomaly) detect.emplace(model.state().parameters);
  Tape tape;                               // recording starts here
  const Var distance = loss(model(X), y);  // forward
  tape.backward(distance);                 // gradients land in the parameters
  if (options.clip_grad > 0) clip_grad_norm(optimizer.parameters(), options.clip_grad);
  optimizer.step(size);  // and move them
  return distance.value().item();
}  // the tape ends: its memory is used again

}  // namespace bobbin
