// Images rearranged so that a convolution becomes a matrix product.
#include "tensor/cuda/launch.h"

namespace bobbin::cuda {

// A thread for each number of the columns (batch, C·kernel_h·kernel_w, out_h·out_w).
__global__ void im2col_kernel(const real* x, real* columns, Conv2dGeometry g, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const Index out_h = g.out_h(), out_w = g.out_w();
  const Index px = at % out_w, py = at / out_w % out_h;
  const Index j = at / (out_w * out_h) % g.kernel_w, i = at / (out_w * out_h * g.kernel_w) % g.kernel_h;
  const Index plane = at / (out_w * out_h * g.kernel_w * g.kernel_h);  // image · C + channel
  const Index row = py * g.stride_h + i * g.dilation_h - g.padding_h;
  const Index column = px * g.stride_w + j * g.dilation_w - g.padding_w;
  const bool inside = row >= 0 && row < g.height && column >= 0 && column < g.width;
  columns[at] = inside ? x[(plane * g.height + row) * g.width + column] : real{0};
}

// A thread for each pixel of dX: it adds up what the places that read it have, in the order of the kernel's elements,
// so that no two threads write to one.
__global__ void col2im_kernel(const real* dcolumns, real* dX, Conv2dGeometry g, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const Index out_h = g.out_h(), out_w = g.out_w();
  const Index column = at % g.width, row = at / g.width % g.height, plane = at / (g.width * g.height);
  real sum = 0;
  for (Index i = 0; i < g.kernel_h; ++i)
    for (Index j = 0; j < g.kernel_w; ++j) {
      const Index y = row + g.padding_h - i * g.dilation_h, x = column + g.padding_w - j * g.dilation_w;
      if (y < 0 || x < 0 || y % g.stride_h != 0 || x % g.stride_w != 0) continue;
      const Index py = y / g.stride_h, px = x / g.stride_w;
      if (py < out_h && px < out_w)
        sum += dcolumns[(((plane * g.kernel_h + i) * g.kernel_w + j) * out_h + py) * out_w + px];
    }
  dX[at] = sum;
}

// Where element `at` of the patches (batch, down · across, C, kernel_h, kernel_w) lies in the images.
__device__ Index in_image(Index at, const Conv2dGeometry& g) {
  const Index across = g.width / g.kernel_w, down = g.height / g.kernel_h;
  const Index j = at % g.kernel_w, i = at / g.kernel_w % g.kernel_h;
  Index rest = at / (g.kernel_w * g.kernel_h);
  const Index channel = rest % g.channels;
  rest /= g.channels;
  const Index px = rest % across, py = rest / across % down, image = rest / (across * down);
  return ((image * g.channels + channel) * g.height + py * g.kernel_h + i) * g.width + px * g.kernel_w + j;
}

__global__ void patches_kernel(const real* x, real* y, Conv2dGeometry g, Index n) {
  if (const Index at = thread_number(); at < n) y[at] = x[in_image(at, g)];
}
__global__ void patches_backward_kernel(const real* dY, real* dX, Conv2dGeometry g, Index n) {
  if (const Index at = thread_number(); at < n) dX[in_image(at, g)] = dY[at];
}

void im2col(const real* x, real* columns, Index batch, const Conv2dGeometry& g) {
  const Index n = batch * g.channels * g.kernel_h * g.kernel_w * g.out_h() * g.out_w();
  launch("im2col", im2col_kernel, blocks(n, block_size), block_size, x, columns, g, n);
}
void col2im(const real* dcolumns, real* dX, Index batch, const Conv2dGeometry& g) {
  const Index n = batch * g.channels * g.height * g.width;
  launch("col2im", col2im_kernel, blocks(n, block_size), block_size, dcolumns, dX, g, n);
}
void patches(const real* x, real* y, Index batch, const Conv2dGeometry& g) {
  const Index n = batch * g.channels * g.height * g.width;
  launch("patches", patches_kernel, blocks(n, block_size), block_size, x, y, g, n);
}
void patches_backward(const real* dY, real* dX, Index batch, const Conv2dGeometry& g) {
  const Index n = batch * g.channels * g.height * g.width;
  launch("patches_backward", patches_backward_kernel, blocks(n, block_size), block_size, dY, dX, g, n);
}

}  // namespace bobbin::cuda
