// Pooling: images made smaller, each channel for itself.
#include <cmath>

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

// Which number of a plane place (py, px) takes: of equal ones the first, of NaN the last.
__device__ Index largest(const real* plane, const Conv2dGeometry& g, Index py, Index px) {
  const Index top = py * g.stride_h - g.padding_h, left = px * g.stride_w - g.padding_w;
  const Index first_row = max(top, Index{0}), first_column = max(left, Index{0});
  Index best = first_row * g.width + first_column;
  for (Index row = first_row; row < min(top + g.kernel_h, g.height); ++row)
    for (Index column = first_column; column < min(left + g.kernel_w, g.width); ++column) {
      const Index at = row * g.width + column;
      if (plane[at] > plane[best] || std::isnan(plane[at])) best = at;
    }
  return best;
}

__global__ void max_pool2d_kernel(const real* x, real* y, Conv2dGeometry g, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const Index out_h = g.out_h(), out_w = g.out_w();
  const real* plane = x + at / (out_w * out_h) * g.height * g.width;
  y[at] = plane[largest(plane, g, at / out_w % out_h, at % out_w)];
}

__global__ void max_pool2d_backward_kernel(const real* x, const real* dY, real* dX, Conv2dGeometry g, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const Index out_h = g.out_h(), out_w = g.out_w(), pixels = g.width * g.height, plane = at / pixels;
  const Seen rows(at / g.width % g.height + g.padding_h, g.kernel_h, g.stride_h, out_h);
  const Seen columns(at % g.width + g.padding_w, g.kernel_w, g.stride_w, out_w);
  real sum = 0;
  for (Index py = rows.first; py <= rows.last; ++py)
    for (Index px = columns.first; px <= columns.last; ++px)
      if (largest(x + plane * pixels, g, py, px) == at % pixels) sum += dY[(plane * out_h + py) * out_w + px];
  dX[at] = sum;
}

__device__ real numbers(AdaptivePool::Span rows, AdaptivePool::Span columns) {
  return static_cast<real>((rows.end - rows.begin) * (columns.end - columns.begin));
}

__global__ void adaptive_avg_pool2d_kernel(const real* x, real* y, AdaptivePool p, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const auto rows = p.cell(at / p.out_w % p.out_h, p.height, p.out_h), columns = p.cell(at % p.out_w, p.width, p.out_w);
  const real* plane = x + at / (p.out_w * p.out_h) * p.height * p.width;
  double sum = 0;  // a cell may be the whole image
  for (Index row = rows.begin; row < rows.end; ++row)
    for (Index column = columns.begin; column < columns.end; ++column) sum += plane[row * p.width + column];
  y[at] = static_cast<real>(sum / numbers(rows, columns));
}

__global__ void adaptive_avg_pool2d_backward_kernel(const real* dY, real* dX, AdaptivePool p, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  // The cells that have this pixel.
  const auto down = p.cell(at / p.width % p.height, p.out_h, p.height), across = p.cell(at % p.width, p.out_w, p.width);
  const real* plane = dY + at / (p.width * p.height) * p.out_h * p.out_w;
  real sum = 0;
  for (Index i = down.begin; i < down.end; ++i)
    for (Index j = across.begin; j < across.end; ++j)
      sum += plane[i * p.out_w + j] / numbers(p.cell(i, p.height, p.out_h), p.cell(j, p.width, p.out_w));
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

void max_pool2d(const real* x, real* y, Index batch, const Conv2dGeometry& g) {
  const Index n = batch * g.channels * g.out_h() * g.out_w();
  launch("max_pool2d", max_pool2d_kernel, blocks(n, block_size), block_size, x, y, g, n);
}
void max_pool2d_backward(const real* x, const real* dY, real* dX, Index batch, const Conv2dGeometry& g) {
  const Index n = batch * g.channels * g.height * g.width;
  launch("max_pool2d_backward", max_pool2d_backward_kernel, blocks(n, block_size), block_size, x, dY, dX, g, n);
}

void adaptive_avg_pool2d(const real* x, real* y, const AdaptivePool& p) {
  const Index n = p.planes * p.out_h * p.out_w;
  launch("adaptive_avg_pool2d", adaptive_avg_pool2d_kernel, blocks(n, block_size), block_size, x, y, p, n);
}
void adaptive_avg_pool2d_backward(const real* dY, real* dX, const AdaptivePool& p) {
  const Index n = p.planes * p.height * p.width;
  launch("adaptive_avg_pool2d_backward", adaptive_avg_pool2d_backward_kernel, blocks(n, block_size), block_size, dY, dX,
         p, n);
}

}  // namespace bobbin::cuda
