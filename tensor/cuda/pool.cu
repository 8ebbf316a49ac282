// Pooling: images made smaller, each channel for itself.
#include <cmath>

#include "tensor/cuda/launch.h"
#include "tensor/cuda/window.h"

namespace bobbin::cuda {

// A thread for each place of y (batch · C, out_h, out_w).
__global__ void avg_pool2d_kernel(const real* x, real* y, Axis down, Axis across, Divisor of_plane, Divisor of_row,
                                  Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const auto [plane, place] = of_plane.divide(at);
  const auto [py, px] = of_row.divide(static_cast<int>(place));
  x += (plane * down.size + down.pixel(py, 0)) * across.size + across.pixel(px, 0);
  double sum = 0;  // a window may be the whole image
  for (int i = 0; i < down.kernel; ++i)
    for (int j = 0; j < across.kernel; ++j) sum += x[i * across.size + j];
  y[at] = static_cast<real>(sum / (static_cast<double>(down.kernel) * across.kernel));
}

// A thread for each pixel of dX, so that no two threads write to one.
__global__ void avg_pool2d_backward_kernel(const real* dY, real* dX, Axis down, Axis across, Divisor of_plane,
                                           Divisor of_row, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const auto [plane, pixel] = of_plane.divide(at);
  const auto [row, column] = of_row.divide(static_cast<int>(pixel));
  dY += plane * down.places * across.places;
  const real area = static_cast<real>(down.kernel) * static_cast<real>(across.kernel);
  const int first = across.first(column), last = across.last(column);
  real sum = 0;
  for (int py = down.first(row); py <= down.last(row); ++py)
    for (int px = first; px <= last; ++px) sum += dY[py * across.places + px] / area;
  dX[at] = sum;
}

// Which number of a plane place (py, px) takes: of equal ones the first, of NaN the last.
__device__ int largest(const real* plane, const Axis& down, const Axis& across, int py, int px) {
  const int top = down.pixel(py, 0), left = across.pixel(px, 0);
  const int first_row = max(top, 0), first_column = max(left, 0);
  int best = first_row * across.size + first_column;
  real most = plane[best];
  for (int row = first_row; row < min(top + down.kernel, down.size); ++row)
    for (int column = first_column; column < min(left + across.kernel, across.size); ++column) {
      const int at = row * across.size + column;
      if (const real x = plane[at]; x > most || std::isnan(x)) best = at, most = x;
    }
  return best;
}

__global__ void max_pool2d_kernel(const real* x, real* y, Axis down, Axis across, Divisor of_plane, Divisor of_row,
                                  Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const auto [plane, place] = of_plane.divide(at);
  const auto [py, px] = of_row.divide(static_cast<int>(place));
  x += plane * down.size * across.size;
  y[at] = x[largest(x, down, across, py, px)];
}

// The backward pass in two steps, since up to four windows of 3 x 3 hold a pixel, and each would be searched nine
// times: what each place has taken, and a thread for each pixel that asks the places which see it. On an H100, of 128 ·
// 64 planes of 48 x 48 pixels, x and dX move 151 MB, dY and twice `taken` 57: 0.07 ms at 3 TB/s.
__global__ void max_pool2d_taken_kernel(const real* x, int* taken, Axis down, Axis across, Divisor of_plane,
                                        Divisor of_row, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const auto [plane, place] = of_plane.divide(at);
  const auto [py, px] = of_row.divide(static_cast<int>(place));
  taken[at] = largest(x + plane * down.size * across.size, down, across, py, px);
}

__global__ void max_pool2d_backward_kernel(const int* taken, const real* dY, real* dX, Axis down, Axis across,
                                           Divisor of_plane, Divisor of_row, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const auto [plane, pixel] = of_plane.divide(at);
  const auto [row, column] = of_row.divide(static_cast<int>(pixel));
  const Index places = plane * down.places * across.places;
  taken += places;
  dY += places;
  const int first = across.first(column), last = across.last(column);
  real sum = 0;
  for (int py = down.first(row); py <= down.last(row); ++py)
    for (int px = first; px <= last; ++px) {
      const int place = py * across.places + px;
      if (taken[place] == pixel) sum += dY[place];
    }
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

namespace {

// kernel(operands..., geometry, n), with a thread for each place, or for each pixel, of all images.
void launch_for_places(const char* name, auto kernel, Index batch, const Conv2dGeometry& g, auto... operands) {
  const Index places = g.out_h() * g.out_w(), n = batch * g.channels * places;
  launch(name, kernel, blocks(n, block_size), block_size, operands..., down(g), across(g), places, g.out_w(), n);
}
void launch_for_pixels(const char* name, auto kernel, Index batch, const Conv2dGeometry& g, auto... operands) {
  const Index pixels = g.height * g.width, n = batch * g.channels * pixels;
  launch(name, kernel, blocks(n, block_size), block_size, operands..., down(g), across(g), pixels, g.width, n);
}

}  // namespace

void avg_pool2d(const real* x, real* y, Index batch, const Conv2dGeometry& g) {
  launch_for_places("avg_pool2d", avg_pool2d_kernel, batch, g, x, y);
}
void avg_pool2d_backward(const real* dY, real* dX, Index batch, const Conv2dGeometry& g) {
  launch_for_pixels("avg_pool2d_backward", avg_pool2d_backward_kernel, batch, g, dY, dX);
}

void max_pool2d(const real* x, real* y, Index batch, const Conv2dGeometry& g) {
  launch_for_places("max_pool2d", max_pool2d_kernel, batch, g, x, y);
}
void max_pool2d_backward(const real* x, const real* dY, real* dX, Index batch, const Conv2dGeometry& g) {
  const auto taken = scratch<int>(batch * g.channels * g.out_h() * g.out_w());
  launch_for_places("max_pool2d_taken", max_pool2d_taken_kernel, batch, g, x, taken.get());
  launch_for_pixels("max_pool2d_backward", max_pool2d_backward_kernel, batch, g, taken.get(), dY, dX);
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
