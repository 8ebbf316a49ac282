// Convolution as a matrix product: what the kernel sees at each place becomes a column, and all places are one product.
#include "autograd/ops.h"
#include "tensor/check.h"

namespace bobbin {

// A number that was read at several places has the sum of their gradients: col2im().
Var im2col(const Var& X, const Conv2dGeometry& geometry) {
  return record("im2col", im2col(X.value(), geometry), {{X, [geometry](Tensor dY) { return col2im(dY, geometry); }}});
}

Var patches(const Var& X, Size2 size) {
  return record("patches", patches(X.value(), size),
                {{X, [size, shape = X.shape()](Tensor dY) { return patches_backward(dY, shape, size); }}});
}

Var conv2d(const Var& X, const Var& W, const Var& b, const Conv2dOptions& options) {
  const auto& [stride, padding, dilation, groups] = options;
  const Shape &x = X.shape(), &w = W.shape();
  check(X.rank() == 4 && W.rank() == 4, "conv2d", "needs images (B, C, H, W) and kernels (out, C, h, w), got ", x,
        " and ", w);
  check(groups >= 1 && w[0] % groups == 0 && x[1] == w[1] * groups, "conv2d", "images ", x, " do not fit kernels ", w,
        " in ", groups, " groups: the images must have ", w[1] * groups, " channels, and the groups divide the ", w[0],
        " kernels");
  check(!b.defined() || b.shape() == Shape{w[0]}, "conv2d", "the bias ", b.shape(), " does not fit the kernels ", w);
  const Conv2dGeometry g{x[1],          x[2],         x[3],           w[2],          w[3],
                         stride.height, stride.width, padding.height, padding.width, dilation.height,
                         dilation.width};
  check_geometry("conv2d", g);

  const Size2 kernel{w[2], w[3]};
  const Shape out{x[0], w[0], g.out_h(), g.out_w()};
  const Var kernels = flatten(W);  // (out, C/groups·h·w)
  const bool cut_up = stride == kernel && padding == Size2(0) && dilation == Size2(1) && groups == 1 &&
                      x[2] % w[2] == 0 && x[3] % w[3] == 0;
  if (cut_up)  // no place is read twice: the patches are rows, and all images are one product
    return reshape(transpose(linear(patches(X, kernel), kernels, b), 1, 2), out);

  const Var columns = im2col(X, g);  // (B, C·h·w, H'·W')
  const Index depth = kernels.shape()[1], width = w[0] / groups;
  std::vector<Var> parts;
  for (Index i = 0; i < groups; ++i)  // each group's kernels see their own channels only
    parts.push_back(groups == 1 ? matmul(kernels, columns)
                                : matmul(slice(kernels, 0, i * width, (i + 1) * width),
                                         slice(columns, 1, i * depth, (i + 1) * depth)));
  Var Y = reshape(groups == 1 ? parts[0] : concat(parts, 1), out);
  return b.defined() ? std::move(Y) + reshape(b, {w[0], 1, 1}) : Y;
}

}  // namespace bobbin
