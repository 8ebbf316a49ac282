// Pooling: images made smaller, each channel for itself.
#include <limits>

#include "autograd/ops.h"
#include "tensor/check.h"

namespace bobbin {

// Linear: each number hands on its share, 1/(kernel_h·kernel_w), to every place that saw it, and gets as much back.
Var avg_pool2d(const Var& X, Size2 kernel, Size2 stride, Size2 padding) {
  if (X.rank() == 3) return squeeze(avg_pool2d(unsqueeze(X, 0), kernel, stride, padding), 0);
  const auto [top, left] = padding;
  if (top != 0 || left != 0) {
    check(top >= 0 && left >= 0 && 2 * top <= kernel.height && 2 * left <= kernel.width, "avg_pool2d", "the padding ",
          top, ", ", left, " must be from 0 to half a kernel of ", kernel.height, " x ", kernel.width);
    return avg_pool2d(pad(pad(X, 2, top, top), 3, left, left), kernel, stride);
  }
  return record(
      "avg_pool2d", avg_pool2d(X.value(), kernel, stride),
      {{X, [kernel, stride, shape = X.shape()](Tensor dY) { return avg_pool2d_backward(dY, shape, kernel, stride); }}});
}

namespace {

// How many numbers after n the last window sees, where their count is rounded up and that one begins before them.
Index missing(Index n, Index kernel, Index stride, Index padding) {
  const Index rest = (n + 2 * padding - kernel) % stride;
  const Index begin = n + 2 * padding - kernel - rest + stride;  // of one window more, from the padding on
  return rest > 0 && begin < n + padding ? stride - rest : 0;
}

}  // namespace

// What is the largest is found once more in the backward pass: x is kept, which the op before mostly keeps anyway.
Var max_pool2d(const Var& X, Size2 kernel, Size2 stride, Size2 padding, bool ceil_mode) {
  if (X.rank() == 3) return squeeze(max_pool2d(unsqueeze(X, 0), kernel, stride, padding, ceil_mode), 0);
  const Tensor x = X.value();
  Tensor Y = max_pool2d(x, kernel, stride, padding);  // checks the geometry
  if (ceil_mode) {
    constexpr real none = -std::numeric_limits<real>::infinity();
    const Index below = missing(X.shape()[2], kernel.height, stride.height, padding.height);
    const Index right = missing(X.shape()[3], kernel.width, stride.width, padding.width);
    if (below + right > 0)
      return max_pool2d(pad(pad(X, 2, 0, below, none), 3, 0, right, none), kernel, stride, padding);
  }
  return record(
      "max_pool2d", std::move(Y),
      {{X, [x, kernel, stride, padding](Tensor dY) { return max_pool2d_backward(x, dY, kernel, stride, padding); }}});
}

Var adaptive_avg_pool2d(const Var& X, Size2 size) {
  if (X.rank() == 3) return squeeze(adaptive_avg_pool2d(unsqueeze(X, 0), size), 0);
  return record("adaptive_avg_pool2d", adaptive_avg_pool2d(X.value(), size),
                {{X, [shape = X.shape()](Tensor dY) { return adaptive_avg_pool2d_backward(dY, shape); }}});
}

}  // namespace bobbin
