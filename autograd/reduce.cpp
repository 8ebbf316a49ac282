// Sums and means: every summand has the gradient of the sum.
#include "autograd/ops.h"

namespace bobbin {

Var sum(const Var& x) {
  return record("sum", sum(x.value()),
                {{x, [shape = x.shape()](Tensor dY) { return Tensor::zeros(shape) + std::move(dY); }}});
}

Var mean(const Var& x) { return sum(x) / static_cast<real>(x.size()); }

Var sum(const Var& x, int axis) {
  return record(
      "sum_axis", sum(x.value(), axis),
      {{x, [shape = x.shape(), axis](Tensor dY) { return Tensor::zeros(shape) + dY.reshape(shape.with(axis, 1)); }}});
}

Var mean(const Var& x, int axis) { return sum(x, axis) / static_cast<real>(x.shape()[axis]); }

}  // namespace bobbin
