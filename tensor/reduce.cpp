// Sums and the like.
#include <algorithm>
#include <limits>

#include "tensor/backend.h"
#include "tensor/common.h"
#include "tensor/rows.h"

namespace bobbin {
namespace {

// x (outer, n, inner) summed over n.
Tensor sum_middle(const Tensor& x, Index outer, Index n, Index inner) {
  Tensor y({outer, inner});
  const Timed timed("sum", elements(x, y));
  if (x.only_rounded())
    backend::sum(x.rounded().get(), y.data(), outer, n, inner);
  else
    backend::sum(x.data(), y.data(), outer, n, inner);
  return y;
}

}  // namespace

Tensor sum(const Tensor& x, const Axes& axes, bool keepdim) {
  const Shape kept = reduced("sum", x.shape(), axes, true);
  const Tensor y = kept == x.shape() ? x.clone() : sum_to(x, kept);
  return keepdim ? y : y.reshape(reduced("sum", x.shape(), axes, false));
}

Tensor mean(const Tensor& x, const Axes& axes, bool keepdim) {
  const Rows rows("mean", x.shape(), axes);
  return sum(x, axes, keepdim) / static_cast<real>(rows.columns);
}

// The differences from a mean whose last digit is rounded have a small mean of their own, which goes, too: so the
// variance is right to its last digits, however large the mean (Chan, Golub, LeVeque, 1983).
Tensor centered(Tensor x, const Axes& axes) {
  for (int i = 0; i < 2; ++i) {
    const Tensor of_x = mean(x, axes, true);
    x = std::move(x) - of_x;
  }
  return x;
}

Tensor var(const Tensor& x, const Axes& axes, real correction, bool keepdim) {
  const Rows rows("var", x.shape(), axes);
  const Tensor d = centered(x, axes);
  return sum(d * d, axes, keepdim) / std::max(static_cast<real>(rows.columns) - correction, real{0});
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  check(broadcast("sum_to", x.shape(), shape) == x.shape(), "sum_to", "the shape ", shape,
        " cannot have been broadcast to ", x.shape());
  if (x.empty()) return Tensor::zeros(shape);
  // Neighbouring axes that are summed over go in one pass.
  Tensor y = x;
  const int extra = x.rank() - shape.rank();
  const auto summed = [&](int axis) { return axis < extra || shape[axis - extra] == 1; };
  for (int end = x.rank(); end > 0; --end) {
    if (!summed(end - 1)) continue;
    int begin = end - 1;
    while (begin > 0 && summed(begin - 1)) --begin;
    const Index outer = x.shape().product(0, begin), n = x.shape().product(begin, end);
    const Index inner = y.size() / (outer * n);  // the axes behind may have shrunk already
    if (n > 1) y = sum_middle(y, outer, n, inner);
    end = begin + 1;
  }
  return y.reshape(shape);
}

std::vector<double> norms(const std::vector<Tensor>& tensors) {
  double moved = 0;
  std::vector<const real*> at;
  std::vector<Index> sizes;
  for (const Tensor& x : tensors)
    if (!x.empty()) at.push_back(x.data()), sizes.push_back(x.size()), moved += elements(x);
  const Timed timed("norm", moved);
  std::vector<double> found(at.size());
  if (!at.empty()) backend::norms(at, sizes, found.data());
  std::vector<double> result;
  auto next = found.begin();
  for (const Tensor& x : tensors) result.push_back(x.empty() ? 0 : *next++);
  return result;
}

double norm(const Tensor& x) { return norms({x})[0]; }

Labels argmax(const Tensor& x, int axis) {
  const Tensor rows = as_rows("argmax", x, axis);
  const Index count = rows.shape()[0], cols = rows.shape()[1];
  check(count == 0 || (cols >= 1 && cols <= std::numeric_limits<int>::max()), "argmax", "cannot find the largest of ",
        cols, " numbers, along axis ", axis, " of ", x.shape());
  Labels result(static_cast<std::size_t>(count));
  const Timed timed("argmax", elements(rows));
  if (!rows.empty()) backend::argmax(rows.data(), result.data(), count, cols);
  return result;
}
Labels argmin(const Tensor& x, int axis) { return argmax(-x, axis); }
Index argmax(const Tensor& x) { return argmax(x.reshape({x.size()}), 0)[0]; }
Index argmin(const Tensor& x) { return argmax(-x); }

Tensor amax(const Tensor& x, const Axes& axes, bool keepdim) {
  const Tensor rows = as_rows("amax", x, axes);
  return gather(rows, argmax(rows, 1)).reshape(reduced("amax", x.shape(), axes, keepdim));
}
Tensor amin(const Tensor& x, const Axes& axes, bool keepdim) { return -amax(-x, axes, keepdim); }

Range range(const Tensor& x) {
  if (x.empty()) return {std::numeric_limits<real>::infinity(), -std::numeric_limits<real>::infinity(), 0, 0};
  const Timed timed("range", elements(x));
  return backend::range(x.data(), x.size());
}

}  // namespace bobbin
