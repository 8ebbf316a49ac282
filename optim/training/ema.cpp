#include "optim/training/ema.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "tensor/check.h"
#include "tensor/functions.h"

namespace bobbin {
namespace {

// What is averaged: all that is saved but the counts. They share the model's numbers.
NamedTensors averaged(const State& model) {
  NamedTensors all;
  for (const auto& [name, parameter] : model.parameters) all.emplace(name, parameter.value());
  for (const auto& [name, buffer] : model.buffers) all.emplace(name, *buffer);
  return all;
}

NamedTensors copies(NamedTensors tensors) {
  for (auto& [name, tensor] : tensors) tensor = tensor.clone();
  return tensors;
}

}  // namespace

Ema::Ema(double decay) : decay_(decay) {
  check(decay > 0 && decay < 1, "Ema", "the decay must be above 0 and below 1, got ", decay);
}

double Ema::decay(Index steps) const { return std::min(decay_, 1 - std::pow(static_cast<double>(steps), -2.0 / 3)); }

void Ema::update(const State& model, Index steps) {
  const double d = decay(steps);
  if (d == 0 || average_.empty()) {
    average_ = copies(averaged(model));
    return;
  }
  for (const auto& [name, now] : averaged(model)) {
    Tensor& average = average_.at(name);
    const Tensor step = (now - average) * static_cast<real>(1 - d);  // named: C++ may move `average` before it is read
    average = std::move(average) + step;
  }
}

void Ema::load(const State& model, const NamedTensors& tensors) {
  const NamedTensors ours = averaged(model);
  const bool fits = std::equal(
      ours.begin(), ours.end(), tensors.begin(), tensors.end(),
      [](const auto& a, const auto& b) { return a.first == b.first && a.second.shape() == b.second.shape(); });
  check(fits, "Ema", "the averaged weights are not those of this model: names or shapes differ");
  average_ = copies(tensors);
}

WithWeights::WithWeights(State model, const NamedTensors& weights)
    : model_(std::move(model)), own_(copies(averaged(model_))) {
  model_.load(weights);
}
WithWeights::~WithWeights() { model_.load(own_); }

}  // namespace bobbin
