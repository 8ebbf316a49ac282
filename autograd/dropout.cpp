// Dropout, and the functions that fuse it.
#include "autograd/ops.h"

namespace bobbin {

Var dropout(Var x, real p, Draw draw) {  // linear, so it is its own VJP, with the same mask drawn again
  Tensor Y = dropout(std::move(x).value(), p, draw);
  return record("dropout", std::move(Y), {{x, [p, draw](Tensor dY) { return dropout(std::move(dY), p, draw); }}});
}

// The VJP dY ⊙ D of f(x). In bfloat16 D is rounded, and so are dY and the result where products make and read them.
static Vjp times(const Operand& D, const Var& x) {
  return [D, slot = x.slot()](Tensor dY) { return mul(std::move(dY), D, gradient_readers(slot)); };
}

// (x·Φ(x))' = Φ(x) + x·φ(x). It is computed on the way, and kept instead of x. Dropout scales or zeroes the
// function and its derivative alike.
Var gelu(Var x, real p, Draw draw, ReadBy readers) {
  if (!x.requires_grad()) return gelu(std::move(x).value(), p, draw, readers);
  const auto [Y, derivative] = gelu_with_derivative(std::move(x).value(), p, draw, readers);
  return record("gelu", Y, {{x, times(derivative, x)}}, ReadBy::products);
}

Var gelu_tanh(Var x, real p, Draw draw, ReadBy readers) {
  if (!x.requires_grad()) return gelu_tanh(std::move(x).value(), p, draw, readers);
  const auto [Y, derivative] = gelu_tanh_with_derivative(std::move(x).value(), p, draw, readers);
  return record("gelu_tanh", Y, {{x, times(derivative, x)}}, ReadBy::products);
}

}  // namespace bobbin
