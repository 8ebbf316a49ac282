// Convolutions as products of the kernels and of columns, which hold what these see at each place.
#include "tensor/cuda/launch.h"

namespace bobbin::cuda {

// A thread for each number of the columns (batch, C·kernel_h·kernel_w, out_h·out_w).
template <class T>
__global__ void im2col_kernel(const T* x, T* columns, Conv2dGeometry g, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const Index out_h = g.out_h(), out_w = g.out_w();
  const Index px = at % out_w, py = at / out_w % out_h;
  const Index j = at / (out_w * out_h) % g.kernel_w, i = at / (out_w * out_h * g.kernel_w) % g.kernel_h;
  const Index plane = at / (out_w * out_h * g.kernel_w * g.kernel_h);  // image · C + channel
  const Index row = py * g.stride_h + i * g.dilation_h - g.padding_h;
  const Index column = px * g.stride_w + j * g.dilation_w - g.padding_w;
  const bool inside = row >= 0 && row < g.height && column >= 0 && column < g.width;
  columns[at] = inside ? x[(plane * g.height + row) * g.width + column] : T{0};
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
  launch("im2col", im2col_kernel<real>, blocks(n, block_size), block_size, x, columns, g, n);
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

// y (batch, channels, plane) += bias (channels).
__global__ void add_bias_kernel(const real* bias, real* y, Index channels, Index plane, Index n) {
  if (const Index at = thread_number(); at < n) y[at] += bias[at / plane % channels];
}

namespace {

// A convolution of operands of type T: `real`, or bfloat16.
template <class T>
struct Convolution {
  const Conv2dSizes& s;
  const Conv2dGeometry& g = s.geometry;
  Index depth = g.channels / s.groups * g.kernel_h * g.kernel_w, out = s.out / s.groups;  // of a group
  Index places = g.out_h() * g.out_w(), all = s.groups * depth;

  std::shared_ptr<T> columns(const T* x) const {
    const Index n = s.batch * all * places;
    const std::shared_ptr<T> columns = scratch<T>(n);
    launch("im2col", im2col_kernel<T>, blocks(n, block_size), block_size, x, columns.get(), g, n);
    return columns;
  }
  static void multiply(const Product& p, const MatrixOf<T>& a, const MatrixOf<T>& b, const ResultMatrix& c) {
    if constexpr (std::is_same_v<T, real>)
      gemm(p, a, b, c);
    else
      gemm_rounded(p, a, b, c);
  }

  void forward(const T* x, const T* W, const real* bias, real* y) const {
    const std::shared_ptr<T> seen = columns(x);
    for (Index i = 0; i < s.groups; ++i)
      multiply({.m = out, .n = places, .k = depth, .batch = s.batch}, {W + i * out * depth, depth},
               {seen.get() + i * depth * places, places, false, all * places},
               {y + i * out * places, places, s.out * places});
    const Index n = s.batch * s.out * places;
    if (bias) launch("add_bias", add_bias_kernel, blocks(n, block_size), block_size, bias, y, s.out, places, n);
  }
  void backward_x(const T* W, const T* dY, real* dX) const {
    const std::shared_ptr<real> dcolumns = scratch<real>(s.batch * all * places);
    for (Index i = 0; i < s.groups; ++i)
      multiply({.m = depth, .n = places, .k = out, .batch = s.batch}, {W + i * out * depth, depth, true},
               {dY + i * out * places, places, false, s.out * places},
               {dcolumns.get() + i * depth * places, places, all * places});
    col2im(dcolumns.get(), dX, s.batch, g);
  }
  // A gradient for each image, and their sum.
  void backward_w(const T* x, const T* dY, real* dW) const {
    const std::shared_ptr<T> seen = columns(x);
    const std::shared_ptr<real> each = scratch<real>(s.batch * s.out * depth);
    for (Index i = 0; i < s.groups; ++i)
      multiply({.m = out, .n = depth, .k = places, .batch = s.batch},
               {dY + i * out * places, places, false, s.out * places},
               {seen.get() + i * depth * places, places, true, all * places},
               {each.get() + i * out * depth, depth, s.out * depth});
    sum(each.get(), dW, 1, s.batch, s.out * depth);
  }
};

}  // namespace

void conv2d(const real* x, const real* W, const real* bias, real* y, const Conv2dSizes& s) {
  Convolution<real>{s}.forward(x, W, bias, y);
}
void conv2d_backward_x(const real* W, const real* dY, real* dX, const Conv2dSizes& s) {
  Convolution<real>{s}.backward_x(W, dY, dX);
}
void conv2d_backward_w(const real* x, const real* dY, real* dW, const Conv2dSizes& s) {
  Convolution<real>{s}.backward_w(x, dY, dW);
}
void conv2d_rounded(const bfloat16* x, const bfloat16* W, const real* bias, real* y, const Conv2dSizes& s) {
  Convolution<bfloat16>{s}.forward(x, W, bias, y);
}
void conv2d_rounded_backward_x(const bfloat16* W, const bfloat16* dY, real* dX, const Conv2dSizes& s) {
  Convolution<bfloat16>{s}.backward_x(W, dY, dX);
}
void conv2d_rounded_backward_w(const bfloat16* x, const bfloat16* dY, real* dW, const Conv2dSizes& s) {
  Convolution<bfloat16>{s}.backward_w(x, dY, dW);
}

}  // namespace bobbin::cuda
