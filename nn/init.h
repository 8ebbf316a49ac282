// PyTorch's initial values, and Xavier's.
#pragma once
#include <cmath>

#include "autograd/tape.h"
#include "tensor/rng.h"

namespace bobbin {

/// PyTorch's default for the weight and the bias of Linear and Conv2d: evenly distributed within
/// ±1/√fan_in, where fan_in is the number of inputs that each output sums over.
inline Var uniform_by_fan_in(const Shape& shape, Index fan_in, Rng& rng) {
  const real bound = 1 / std::sqrt(static_cast<real>(fan_in));
  return Var::parameter(rng.uniform(shape, -bound, bound));
}

/// Draws the numbers of a weight (out, in) or (out, in, h, w) anew: evenly distributed within ±√(6 / (fan_in +
/// fan_out)), as torch.nn.init.xavier_uniform_ (Glorot and Bengio, "Understanding the difficulty of training deep
/// feedforward neural networks", 2010).
inline void xavier_uniform(Var& weight, Rng& rng) {
  const Shape& shape = weight.shape();
  const Index area = shape.product(2, shape.rank());
  const real bound = std::sqrt(6 / static_cast<real>((shape[0] + shape[1]) * area));
  weight.mutable_value().assign(rng.uniform(shape, -bound, bound));
}

}  // namespace bobbin
