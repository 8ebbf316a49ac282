// Layer normalization, and others made of it or of other ops.
#include "autograd/ops.h"
#include "tensor/check.h"

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

// A group of an image is a row.
Var group_norm(const Var& x, Index groups, const Var& gamma, const Var& beta, real eps) {
  const Shape& shape = x.shape();
  check(x.rank() >= 2 && groups >= 1 && shape[1] % groups == 0, "group_norm", groups,
        " groups do not divide the channels of ", shape, ", (B, C, ...)");
  const Shape channels{shape[1]};
  check(gamma.shape() == channels && beta.shape() == channels, "group_norm", "the weight ", gamma.shape(),
        " and the bias ", beta.shape(), " must have a number for each channel of ", shape);
  const Index rows = shape[0] * groups, cols = shape[1] / groups * shape.product(2, x.rank());
  const Var x_hat = layer_norm(reshape(x, {rows, cols}), Tensor::ones({cols}), Tensor::zeros({cols}), eps);
  const Shape planes{shape[0], shape[1], shape.product(2, shape.rank())}, column{shape[1], 1};
  return reshape(reshape(x_hat, planes) * reshape(gamma, column) + reshape(beta, column), shape);
}

Var rms_norm(const Var& x, const Var& weight, real eps) {
  check(x.rank() >= 1 && weight.shape() == Shape{x.shape()[-1]}, "rms_norm", "the weight ", weight.shape(),
        " must have a number for each column of ", x.shape());
  const Var scale = rsqrt(mean(square(x), -1) + eps);
  return x * unsqueeze(scale, -1) * weight;
}

}  // namespace bobbin
