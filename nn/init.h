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

}  // namespace bobbin
