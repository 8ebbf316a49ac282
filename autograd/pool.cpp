// Pooling: images made smaller, each channel for itself.
#include "autograd/ops.h"

namespace bobbin {

// Linear: each number hands on its share, 1/(kernel_h·kernel_w), to every place that saw it, and gets as much back.
Var avg_pool2d(const Var& X, Size2 kernel, Size2 stride) {
  return record(
      "avg_pool2d", avg_pool2d(X.value(), kernel, stride),
      {{X, [kernel, stride, shape = X.shape()](Tensor dY) { return avg_pool2d_backward(dY, shape, kernel, stride); }}});
}

// What is the largest is found once more on the way back: x is kept, which the op before mostly keeps anyway.
Var max_pool2d(const Var& X, Size2 kernel, Size2 stride, Size2 padding) {
  const Tensor x = X.value();
  return record(
      "max_pool2d", max_pool2d(x, kernel, stride, padding),
      {{X, [x, kernel, stride, padding](Tensor dY) { return max_pool2d_backward(x, dY, kernel, stride, padding); }}});
}

Var adaptive_avg_pool2d(const Var& X, Size2 size) {
  return record("adaptive_avg_pool2d", adaptive_avg_pool2d(X.value(), size),
                {{X, [shape = X.shape()](Tensor dY) { return adaptive_avg_pool2d_backward(dY, shape); }}});
}

}  // namespace bobbin
