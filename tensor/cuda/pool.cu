// Pooling: images made smaller, each channel for itself.
#include "tensor/cuda/launch.h"

namespace bobbin::cuda {

// A thread for each place of y (batch · C, out_h, out_w).
__global__ void avg_pool2d_kernel(const real* x, real* y, Conv2dGeometry g, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const Index out_h = g.out_h(), out_w = g.out_w();
  const Index px = at % out_w, py = at / out_w % out_h, plane = at / (out_w * out_h);
  double sum = 0;  // a window may be the whole image
  for (Index i = 0; i < g.kernel_h; ++i)
    for (Index j = 0; j < g.kernel_w; ++j)
      sum += x[(plane * g.height + py * g.stride_h + i) * g.width + px * g.stride_w + j];
  y[at] = static_cast<real>(sum / static_cast<double>(g.kernel_h * g.kernel_w));
}

// The places along one axis that see index i: first ... last.
struct Seen {
  Index first, last;

  __device__ Seen(Index i, Index kernel, Index stride, Index out)
      : first(i < kernel ? 0 : (i - kernel) / stride + 1), last(min(i / stride, out - 1)) {}
};

// A thread for each pixel of dX, so that no two threads write to one.
__global__ void avg_pool2d_backward_kernel(const real* dY, real* dX, Conv2dGeometry g, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const Index out_h = g.out_h(), out_w = g.out_w(), plane = at / (g.width * g.height);
  const Seen rows(at / g.width % g.height, g.kernel_h, g.stride_h, out_h);
  const Seen columns(at % g.width, g.kernel_w, g.stride_w, out_w);
  const real area = static_cast<real>(g.kernel_h * g.kernel_w);
  real sum = 0;
  for (Index py = rows.first; py <= rows.last; ++py)
    for (Index px = columns.first; px <= columns.last; ++px) sum += dY[(plane * out_h + py) * out_w + px] / area;
  dX[at] = sum;
}

void avg_pool2d(const real* x, real* y, Index batch, const Conv2dGeometry& g) {
  const Index n = batch * g.channels * g.out_h() * g.out_w();
  launch("avg_pool2d", avg_pool2d_kernel, blocks(n, block_size), block_size, x, y, g, n);
}
void avg_pool2d_backward(const real* dY, real* dX, Index batch, const Conv2dGeometry& g) {
  const Index n = batch * g.channels * g.height * g.width;
  launch("avg_pool2d_backward", avg_pool2d_backward_kernel, blocks(n, block_size), block_size, dY, dX, g, n);
}

}  // namespace bobbin::cuda
