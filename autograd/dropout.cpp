// Dropout, and the functions that fuse it.
#include "autograd/ops.h"

namespace bobbin {

Var dropout(Var x, real p, Draw draw) {  // linear, so it is its own VJP, with the same mask drawn again
  Tensor Y = dropout(std::move(x).value(), p, draw);
  return record("dropout", std::move(Y), {{x, [p, draw](Tensor dY) { return dropout(std::move(dY), p, draw); }}});
}

// (x·Φ(x))' = Φ(x) + x·φ(x). It is computed on the way, and kept instead of x. Dropout scales or zeroes the
// function and its derivative alike.
Var gelu(Var x, real p, Draw draw, ReadBy readers) {
  if (!x.requires_grad()) return gelu(std::move(x).value(), p, draw, readers);
  const auto [Y, derivative] = gelu_with_derivative(std::move(x).value(), p, draw, readers);
  return record("gelu", Y, {{x, [D = derivative](Tensor dY) { return std::move(dY) * D; }}});
}

Var gelu_tanh(Var x, real p, Draw draw, ReadBy readers) {
  if (!x.requires_grad()) return gelu_tanh(std::move(x).value(), p, draw, readers);
  const auto [Y, derivative] = gelu_tanh_with_derivative(std::move(x).value(), p, draw, readers);
  return record("gelu_tanh", Y, {{x, [D = derivative](Tensor dY) { return std::move(dY) * D; }}});
}

}  // namespace bobbin
