// Convolutions, and images rearranged so that one becomes a matrix product.
#include <algorithm>
#include <initializer_list>

#include "tensor/backend.h"
#include "tensor/common.h"

namespace bobbin {

void check_geometry(const char* op, const Conv2dGeometry& g) {
  constexpr Index most = 1 << 30;  // beyond any image, and no product of two overflows
  const auto within = [](Index low, std::initializer_list<Index> numbers) {
    return std::all_of(numbers.begin(), numbers.end(), [low](Index n) { return n >= low && n <= most; });
  };
  check(g.channels >= 1 && g.height >= 1 && g.width >= 1, op,
        "needs images of 1 x 1 pixels or more, with a channel or ", "more, got ", g.channels, " of ", g.height, " x ",
        g.width);
  check(within(1, {g.kernel_h, g.kernel_w, g.stride_h, g.stride_w, g.dilation_h, g.dilation_w}) &&
            within(0, {g.padding_h, g.padding_w}),
        op, "kernel, stride and dilation must be 1 or more, padding 0 or more, and none beyond ", most);
  check(g.dilation_h * (g.kernel_h - 1) < g.height + 2 * g.padding_h &&
            g.dilation_w * (g.kernel_w - 1) < g.width + 2 * g.padding_w,
        op, "a kernel of ", g.kernel_h, " x ", g.kernel_w, " with dilation ", g.dilation_h, ", ", g.dilation_w,
        " does not fit into images of ", g.height, " x ", g.width, " with padding ", g.padding_h, ", ", g.padding_w);
}

namespace {

Conv2dSizes conv2d_sizes(const char* op, const Shape& x, const Shape& W, const Conv2dOptions& options) {
  const auto& [stride, padding, dilation, groups] = options;
  check(x.rank() == 4 && W.rank() == 4, op, "needs images (B, C, H, W) and kernels (out, C, h, w), got ", x, " and ",
        W);
  check(groups >= 1 && W[0] % groups == 0 && x[1] == W[1] * groups, op, "images ", x, " do not fit kernels ", W, " in ",
        groups, " groups: the images must have ", W[1] * groups, " channels, and the groups divide the ", W[0],
        " kernels");
  const Conv2dGeometry g{x[1],          x[2],         x[3],           W[2],          W[3],
                         stride.height, stride.width, padding.height, padding.width, dilation.height,
                         dilation.width};
  check_geometry(op, g);
  return {x[0], W[0], groups, g};
}

Shape result_shape(const Conv2dSizes& s) { return {s.batch, s.out, s.geometry.out_h(), s.geometry.out_w()}; }

void check_gradient(const char* op, const Shape& dY, const Shape& x, const Shape& W, const Conv2dSizes& s) {
  check(dY == result_shape(s), op, "dY ", dY, " does not fit images ", x, " and kernels ", W, ": expected ",
        result_shape(s));
}

// The same for each of the three: every kernel meets every place once.
double flops_of_conv2d(const Conv2dSizes& s) {
  const Conv2dGeometry& g = s.geometry;
  return 2.0 * static_cast<double>(s.batch * s.out * g.out_h() * g.out_w()) *
         static_cast<double>(g.channels / s.groups * g.kernel_h * g.kernel_w);
}

}  // namespace

Tensor conv2d(Operand x, Operand W, const Tensor& b, const Conv2dOptions& options) {
  const Conv2dSizes s = conv2d_sizes("conv2d", x.shape(), W.shape(), options);
  check(!b.defined() || b.shape() == Shape{s.out}, "conv2d", "the bias ", b.shape(), " does not fit the kernels ",
        W.shape());
  Tensor y(result_shape(s));
  if (y.empty()) return y;
  round_alike(x, W);
  const Timed timed("conv2d", elements(x, W, y), flops_of_conv2d(s));
  const real* const bias = b.defined() ? b.data() : nullptr;
  if (x.only_rounded())
    backend::conv2d_rounded(x.rounded(), W.rounded(), bias, y.data(), s);
  else
    backend::conv2d(x.exact().data(), W.exact().data(), bias, y.data(), s);
  return y;
}

Tensor conv2d_backward_x(Operand W, Operand dY, const Shape& x, const Conv2dOptions& options) {
  const Conv2dSizes s = conv2d_sizes("conv2d_backward_x", x, W.shape(), options);
  check_gradient("conv2d_backward_x", dY.shape(), x, W.shape(), s);
  Tensor dX(x);
  if (dX.empty() || dY.size() == 0) return Tensor::zeros(x);
  round_alike(W, dY);
  const Timed timed("conv2d_backward_x", elements(W, dY, dX), flops_of_conv2d(s));
  if (W.only_rounded())
    backend::conv2d_rounded_backward_x(W.rounded(), dY.rounded(), dX.data(), s);
  else
    backend::conv2d_backward_x(W.exact().data(), dY.exact().data(), dX.data(), s);
  return dX;
}

Tensor conv2d_backward_w(Operand x, Operand dY, const Shape& W, const Conv2dOptions& options) {
  const Conv2dSizes s = conv2d_sizes("conv2d_backward_w", x.shape(), W, options);
  check_gradient("conv2d_backward_w", dY.shape(), x.shape(), W, s);
  Tensor dW(W);
  if (x.size() == 0 || dW.empty()) return Tensor::zeros(W);
  round_alike(x, dY);
  const Timed timed("conv2d_backward_w", elements(x, dY, dW), flops_of_conv2d(s));
  if (x.only_rounded())
    backend::conv2d_rounded_backward_w(x.rounded(), dY.rounded(), dW.data(), s);
  else
    backend::conv2d_backward_w(x.exact().data(), dY.exact().data(), dW.data(), s);
  return dW;
}

namespace {

Shape columns_shape(const char* op, Index batch, const Conv2dGeometry& g) {
  check_geometry(op, g);
  return {batch, g.channels * g.kernel_h * g.kernel_w, g.out_h() * g.out_w()};
}

}  // namespace

Tensor im2col(const Tensor& x, const Conv2dGeometry& g) {
  check(x.rank() == 4 && x.shape() == Shape{x.shape()[0], g.channels, g.height, g.width}, "im2col",
        "needs images (B, C, H, W) = (B, ", g.channels, ", ", g.height, ", ", g.width, "), got ", x.shape());
  const Index batch = x.shape()[0];
  Tensor columns(columns_shape("im2col", batch, g));
  if (columns.empty()) return columns;
  const Timed timed("im2col", elements(x, columns));
  backend::im2col(x.data(), columns.data(), batch, g);
  return columns;
}

Tensor col2im(const Tensor& dcolumns, const Conv2dGeometry& g) {
  check(dcolumns.rank() == 3, "col2im", "needs columns (B, C·h·w, places), got ", dcolumns.shape());
  const Index batch = dcolumns.shape()[0];
  const Shape columns = columns_shape("col2im", batch, g);
  check(dcolumns.shape() == columns, "col2im", "the columns must be ", columns, ", got ", dcolumns.shape());
  Tensor dX({batch, g.channels, g.height, g.width});
  if (dX.empty()) return dX;
  const Timed timed("col2im", elements(dcolumns, dX));
  backend::col2im(dcolumns.data(), dX.data(), batch, g);
  return dX;
}

namespace {

// The geometry of patches side by side, in images of `shape` (B, C, H, W).
Conv2dGeometry side_by_side(const char* op, const Shape& shape, Size2 size) {
  check(shape.rank() == 4, op, "needs images (B, C, H, W), got ", shape);
  const auto [h, w] = size;
  check(h >= 1 && w >= 1 && shape[2] % h == 0 && shape[3] % w == 0, op, "images of ", shape[2], " x ", shape[3],
        " cannot be cut into patches of ", h, " x ", w, ": the patch size must divide the image size");
  return {shape[1], shape[2], shape[3], h, w, h, w, 0, 0, 1, 1};
}

}  // namespace

Tensor patches(const Tensor& x, Size2 size) {
  const Conv2dGeometry g = side_by_side("patches", x.shape(), size);
  Tensor y({x.shape()[0], g.out_h() * g.out_w(), g.channels * size.height * size.width});
  if (y.empty()) return y;
  const Timed timed("patches", elements(x, y));
  backend::patches(x.data(), y.data(), x.shape()[0], g);
  return y;
}

Tensor patches_backward(const Tensor& dY, const Shape& shape, Size2 size) {
  const Conv2dGeometry g = side_by_side("patches_backward", shape, size);
  check(dY.shape() == Shape{shape[0], g.out_h() * g.out_w(), g.channels * size.height * size.width}, "patches_backward",
        "dY ", dY.shape(), " are not the patches of ", size.height, " x ", size.width, " of images ", shape);
  Tensor dX(shape);
  if (dX.empty()) return dX;
  const Timed timed("patches_backward", elements(dY, dX));
  backend::patches_backward(dY.data(), dX.data(), shape[0], g);
  return dX;
}

}  // namespace bobbin
