// Sums and means, the variance, the largest and the smallest.
#include <algorithm>

#include "autograd/ops.h"
#include "tensor/rows.h"

namespace bobbin {

// Every summand has the gradient of the sum.
Var sum(const Var& x, const Axes& axes, bool keepdim) {
  const Shape kept = reduced("sum", x.shape(), axes, true);
  return record("sum", sum(x.value(), axes, keepdim),
                {{x, [kept, shape = x.shape()](Tensor dY) { return Tensor::zeros(shape) + dY.reshape(kept); }}});
}

Var mean(const Var& x, const Axes& axes, bool keepdim) {
  const Rows rows("mean", x.shape(), axes);
  return sum(x, axes, keepdim) / static_cast<real>(rows.columns);
}

// (Σ (x_i - mean)² / m)' = 2·(x_i - mean) / m. The mean depends on x_i, too, but Σ (x_i - mean) = 0.
Var var(const Var& x, const Axes& axes, real correction, bool keepdim) {
  const Tensor X = x.value();
  const Shape kept = reduced("var", X.shape(), axes, true);
  const real m = std::max(static_cast<real>(Rows("var", X.shape(), axes).columns) - correction, real{0});
  return record("var", var(X, axes, correction, keepdim),
                {{x, [=](Tensor dY) { return centered(X, axes) * (dY.reshape(kept) * (2 / m)); }}});
}

namespace {

// All that are the largest share the gradient. `nans`: a NaN is one of them, too.
Var shared_max(const Var& x, const Axes& axes, bool keepdim, bool nans) {
  const Tensor X = x.value(), Y = amax(X, axes, true);
  return record("amax", Y.reshape(reduced("amax", X.shape(), axes, keepdim)),
                {{x, [=](Tensor dY) {
                    const Tensor largest = eq(X, Y, nans);
                    return largest * (dY.reshape(Y.shape()) / sum(largest, axes, true));
                  }}});
}

}  // namespace

Var amax(const Var& x, const Axes& axes, bool keepdim) { return shared_max(x, axes, keepdim, false); }
Var amin(const Var& x, const Axes& axes, bool keepdim) { return -amax(-x, axes, keepdim); }
Var max(const Var& x) { return shared_max(x, {}, false, true); }
Var min(const Var& x) { return -max(-x); }

Var max(const Var& x, int axis, bool keepdim) {
  const Var rows = as_rows("max", x, axis);
  return reshape(gather(rows, argmax(rows.value(), 1)), reduced("max", x.shape(), axis, keepdim));
}
Var min(const Var& x, int axis, bool keepdim) { return -max(-x, axis, keepdim); }

}  // namespace bobbin
