// Convolution; and images as columns and as patches, of which plain::conv2d (plain.h) makes it.
#include "autograd/ops.h"

namespace bobbin {

// It is linear in X and in W, and how the kernels make the gradients stands beside them, in tensor/cpu/direct.cpp.
Var conv2d(Var X, const Var& W, const Var& b, const Conv2dOptions& options) {
  if (X.rank() == 3) return squeeze(conv2d(unsqueeze(std::move(X), 0), W, b, options), 0);
  const Operand x = std::move(X).operand(), w(W.value());
  // W first: when its gradient is there nobody needs X any more, and dX takes its place in memory.
  return record("conv2d", conv2d(x, w, b.value(), options),
                {{W, [x, options, shape = w.shape()](
                         Tensor dY) { return conv2d_backward_w(x, Operand(std::move(dY)), shape, options); }},
                 {b,
                  [](Tensor dY) {
                    return sum_to(dY, {dY.shape()[1], 1, 1}).reshape({dY.shape()[1]});
                  }},
                 {X, [w, options, shape = x.shape()](Tensor dY) {
                    return conv2d_backward_x(w, Operand(std::move(dY)), shape, options);
                  }}});
}

// A number that was read at several places has the sum of their gradients: col2im().
Var im2col(const Var& X, const Conv2dGeometry& geometry) {
  return record("im2col", im2col(X.value(), geometry), {{X, [geometry](Tensor dY) { return col2im(dY, geometry); }}});
}

Var patches(const Var& X, Size2 size) {
  return record("patches", patches(X.value(), size),
                {{X, [size, shape = X.shape()](Tensor dY) { return patches_backward(dY, shape, size); }}});
}

}  // namespace bobbin
