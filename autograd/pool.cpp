// Pooling: images made smaller, each channel for itself.
#include "autograd/ops.h"

namespace bobbin {

// Linear: each number hands on its share, 1/(kernel_h·kernel_w), to every place that saw it, and gets as much back.
Var avg_pool2d(const Var& X, Size2 kernel, Size2 stride) {
  return record(
      "avg_pool2d", avg_pool2d(X.value(), kernel, stride),
      {{X, [kernel, stride, shape = X.shape()](Tensor dY) { return avg_pool2d_backward(dY, shape, kernel, stride); }}});
}

}  // namespace bobbin
