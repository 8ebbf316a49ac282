// Layer normalization.
#include "autograd/ops.h"

namespace bobbin {

// The derivation stands beside the loops, in tensor/cpu/layer_norm.cpp. One pass makes all three gradients.
Var layer_norm(const Var& x, const Var& gamma, const Var& beta, real eps, ReadBy readers) {
  const Tensor X = x.value(), g = gamma.value();
  LayerNormed forward = layer_norm(X, g, beta.value(), eps, readers);
  Tensor Y = std::exchange(forward.y, {});  // only the statistics are kept
  return record("layer_norm", std::move(Y), {x, gamma, beta}, [X, g, forward](Tensor dY) {
    auto [dX, dgamma, dbeta] = layer_norm_backward(X, g, forward, dY);
    return std::vector<Tensor>{dX, dgamma, dbeta};
  });
}

}  // namespace bobbin
