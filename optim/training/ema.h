#pragma once
#include "data/files/safetensors.h"
#include "nn/state.h"

/// A moving average of the weights.
namespace bobbin {

/// The exponential moving average of a model's parameters and buffers (the averaging of Polyak and Juditsky, 1992), as
/// timm's ModelEmaV3 with warm-up: after step t = 1, 2, ...
///     average = d·average + (1 - d)·model,   d = min(decay, 1 - t^(-2/3)),
/// so that it begins as the model after the first step, and looks back over some of the steps so far, and in the end
/// over about 1 / (1 - decay) of them.
class Ema {
 public:
  /// Throws Error unless 0 < decay < 1.
  explicit Ema(double decay);

  /// d after so many steps; 0 after the first.
  double decay(Index steps) const;
  /// Takes in the model as it is after so many steps, 1 or more.
  void update(const State& model, Index steps);

  /// By the names of the model's parameters and buffers; empty before the first step.
  const NamedTensors& tensors() const { return average_; }
  /// Goes on with copies of what tensors() was. Throws Error, and changes nothing, unless it is of this model.
  void load(const State& model, const NamedTensors& tensors);

 private:
  double decay_;
  NamedTensors average_;
};

/// While one lives, the model has other weights: those of an Ema. Then its own again, to the bit.
class WithWeights {
 public:
  /// Throws Error as State::load() does.
  WithWeights(State model, const NamedTensors& weights);
  ~WithWeights();
  WithWeights(const WithWeights&) = delete;
  WithWeights& operator=(const WithWeights&) = delete;

 private:
  State model_;
  NamedTensors own_;
};

}  // namespace bobbin
