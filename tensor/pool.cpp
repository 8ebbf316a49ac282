// Pooling: images made smaller, each channel for itself.
#include <limits>

#include "tensor/backend.h"
#include "tensor/common.h"

namespace bobbin {
namespace {

// The windows over images of `shape` (B, C, H, W).
Conv2dGeometry windows(const char* op, const Shape& shape, Size2 kernel, Size2 stride, Size2 padding = 0) {
  check(shape.rank() == 4, op, "needs images (B, C, H, W), got ", shape);
  const Conv2dGeometry g{
      shape[1],      shape[2], shape[3], kernel.height, kernel.width, stride.height, stride.width, padding.height,
      padding.width, 1,        1};
  check_geometry(op, g);
  check(padding.height <= kernel.height / 2 && padding.width <= kernel.width / 2, op, "the padding ", padding.height,
        ", ", padding.width, " must be half a kernel of ", kernel.height, " x ", kernel.width,
        " at most, so that each window sees a pixel");
  return g;
}

// The windows of a maximum, whose place in an image is an int.
Conv2dGeometry windows_of_max(const char* op, const Shape& shape, Size2 kernel, Size2 stride, Size2 padding) {
  const Conv2dGeometry g = windows(op, shape, kernel, stride, padding);
  check(g.height * g.width <= std::numeric_limits<int>::max(), op, "cannot look at images of ", g.height, " x ",
        g.width, ", which have 2^31 pixels or more");
  return g;
}

// The cells of images of `shape` (B, C, H, W).
AdaptivePool cells(const char* op, const Shape& shape, Size2 size) {
  check(shape.rank() == 4, op, "needs images (B, C, H, W), got ", shape);
  check(shape[1] >= 1 && shape[2] >= 1 && shape[3] >= 1, op, "needs images of 1 x 1 pixels or more, got ", shape);
  check(size.height >= 1 && size.width >= 1, op, "needs a size of 1 x 1 or more, got ", size.height, " x ", size.width);
  return {shape[0] * shape[1], shape[2], shape[3], size.height, size.width};
}

}  // namespace

Tensor avg_pool2d(const Tensor& x, Size2 kernel, Size2 stride) {
  const Conv2dGeometry g = windows("avg_pool2d", x.shape(), kernel, stride);
  Tensor y({x.shape()[0], g.channels, g.out_h(), g.out_w()});
  if (y.empty()) return y;
  const Timed timed("avg_pool2d", elements(x, y));
  backend::avg_pool2d(x.data(), y.data(), x.shape()[0], g);
  return y;
}

Tensor avg_pool2d_backward(const Tensor& dY, const Shape& shape, Size2 kernel, Size2 stride) {
  const Conv2dGeometry g = windows("avg_pool2d_backward", shape, kernel, stride);
  const Shape y{shape[0], g.channels, g.out_h(), g.out_w()};
  check(dY.shape() == y, "avg_pool2d_backward", "dY must be ", y, ", got ", dY.shape());
  Tensor dX(shape);
  if (dX.empty()) return dX;
  const Timed timed("avg_pool2d_backward", elements(dY, dX));
  backend::avg_pool2d_backward(dY.data(), dX.data(), shape[0], g);
  return dX;
}

Tensor max_pool2d(const Tensor& x, Size2 kernel, Size2 stride, Size2 padding) {
  const Conv2dGeometry g = windows_of_max("max_pool2d", x.shape(), kernel, stride, padding);
  Tensor y({x.shape()[0], g.channels, g.out_h(), g.out_w()});
  if (y.empty()) return y;
  const Timed timed("max_pool2d", elements(x, y));
  backend::max_pool2d(x.data(), y.data(), x.shape()[0], g);
  return y;
}

Tensor max_pool2d_backward(const Tensor& x, const Tensor& dY, Size2 kernel, Size2 stride, Size2 padding) {
  const Conv2dGeometry g = windows_of_max("max_pool2d_backward", x.shape(), kernel, stride, padding);
  const Shape y{x.shape()[0], g.channels, g.out_h(), g.out_w()};
  check(dY.shape() == y, "max_pool2d_backward", "dY must be ", y, ", got ", dY.shape());
  Tensor dX(x.shape());
  if (dX.empty()) return dX;
  const Timed timed("max_pool2d_backward", elements(x, dY, dX));
  backend::max_pool2d_backward(x.data(), dY.data(), dX.data(), x.shape()[0], g);
  return dX;
}

Tensor adaptive_avg_pool2d(const Tensor& x, Size2 size) {
  const AdaptivePool p = cells("adaptive_avg_pool2d", x.shape(), size);
  Tensor y({x.shape()[0], x.shape()[1], size.height, size.width});
  if (y.empty()) return y;
  const Timed timed("adaptive_avg_pool2d", elements(x, y));
  backend::adaptive_avg_pool2d(x.data(), y.data(), p);
  return y;
}

Tensor adaptive_avg_pool2d_backward(const Tensor& dY, const Shape& shape) {
  check(shape.rank() == 4 && dY.rank() == 4 && dY.shape()[0] == shape[0] && dY.shape()[1] == shape[1],
        "adaptive_avg_pool2d_backward", "dY ", dY.shape(), " does not fit images (B, C, H, W) = ", shape);
  const AdaptivePool p = cells("adaptive_avg_pool2d_backward", shape, {dY.shape()[2], dY.shape()[3]});
  Tensor dX(shape);
  if (dX.empty()) return dX;
  const Timed timed("adaptive_avg_pool2d_backward", elements(dY, dX));
  backend::adaptive_avg_pool2d_backward(dY.data(), dX.data(), p);
  return dX;
}

}  // namespace bobbin
