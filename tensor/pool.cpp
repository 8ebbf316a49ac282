// Pooling: images made smaller, each channel for itself.
#include "tensor/backend.h"
#include "tensor/common.h"

namespace bobbin {
namespace {

// The windows over images of `shape` (B, C, H, W).
Conv2dGeometry windows(const char* op, const Shape& shape, Size2 kernel, Size2 stride) {
  check(shape.rank() == 4, op, "needs images (B, C, H, W), got ", shape);
  const Conv2dGeometry g{shape[1], shape[2], shape[3], kernel.height, kernel.width, stride.height, stride.width, 0,
                         0,        1,        1};
  check_geometry(op, g);
  return g;
}

}  // namespace

Tensor avg_pool2d(const Tensor& x, Size2 kernel, Size2 stride) {
  const Conv2dGeometry g = windows("avg_pool2d", x.shape(), kernel, stride);
  Tensor y({x.shape()[0], g.channels, g.out_h(), g.out_w()});
  const Timed timed("avg_pool2d", elements(x, y));
  backend::avg_pool2d(x.data(), y.data(), x.shape()[0], g);
  return y;
}

Tensor avg_pool2d_backward(const Tensor& dY, const Shape& shape, Size2 kernel, Size2 stride) {
  const Conv2dGeometry g = windows("avg_pool2d_backward", shape, kernel, stride);
  const Shape y{shape[0], g.channels, g.out_h(), g.out_w()};
  check(dY.shape() == y, "avg_pool2d_backward", "dY must be ", y, ", got ", dY.shape());
  Tensor dX(shape);
  const Timed timed("avg_pool2d_backward", elements(dY, dX));
  backend::avg_pool2d_backward(dY.data(), dX.data(), shape[0], g);
  return dX;
}

}  // namespace bobbin
