// A row of the columns X* is what the kernels see at one place of one image, (B·places, C·h·w). With kernels W (out,
// C·h·w) and results in the same order, Y* (B·places, out),
//
//     Y* = X*·Wᵀ + b,    dX* = dY*·W,    dW = dY*ᵀ·X*.
#include "tensor/cpu/columns.h"

#include <algorithm>

#include "tensor/cpu/workspace.h"
#include "tensor/parallel.h"

namespace bobbin::cpu::columns {
namespace {

Index places(const Conv2dSizes& s) { return s.geometry.out_h() * s.geometry.out_w(); }
Index rows(const Conv2dSizes& s) { return s.batch * places(s); }
Index depth(const Conv2dSizes& s) { return s.geometry.channels * s.geometry.kernel_h * s.geometry.kernel_w; }

// Calls visit(number of the row and column, pixel of the image or -1) for all that the kernels see of an image.
template <class Visit>
void for_each_pixel(const Conv2dGeometry& g, const Visit& visit) {
  Index at = 0;
  for (Index y = 0; y < g.out_h(); ++y)
    for (Index x = 0; x < g.out_w(); ++x)
      for (Index c = 0; c < g.channels; ++c)
        for (Index i = 0; i < g.kernel_h; ++i)
          for (Index j = 0; j < g.kernel_w; ++j, ++at) {
            const Index row = y * g.stride_h + i * g.dilation_h - g.padding_h;
            const Index column = x * g.stride_w + j * g.dilation_w - g.padding_w;
            const bool inside = row >= 0 && row < g.height && column >= 0 && column < g.width;
            visit(at, inside ? (c * g.height + row) * g.width + column : -1);
          }
}

// X*; it is kept until the next call on this thread, and so are the others below.
template <class T>
const T* columns_of(const T* x, const Conv2dSizes& s) {
  const Conv2dGeometry& g = s.geometry;
  const Index image = g.channels * g.height * g.width, each = places(s) * depth(s);
  thread_local Scratch<T> kept;
  T* const columns = kept.resize(s.batch * each);
  parallel_for(s.batch, 1, [&, to = columns](Index begin, Index end) {
    for (Index b = begin; b < end; ++b)
      for_each_pixel(g, [from = x + b * image, to = to + b * each](Index at, Index pixel) {
        to[at] = pixel < 0 ? T{0} : from[pixel];
      });
  });
  return columns;
}

// y (B, n, m) = x (B, m, n).
template <class T>
void transpose(const T* x, T* y, Index batch, Index m, Index n) {
  parallel_for(batch, 1, [=](Index begin, Index end) {
    for (Index b = begin; b < end; ++b)
      for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < n; ++j) y[(b * n + j) * m + i] = x[(b * m + i) * n + j];
  });
}

// dY*.
template <class T>
const T* by_places(const T* dY, const Conv2dSizes& s) {
  thread_local Scratch<T> kept;
  T* const result = kept.resize(rows(s) * s.out);
  transpose(dY, result, s.batch, s.out, places(s));
  return result;
}

// Y*, or dX*.
real* product(Index size) {
  thread_local Scratch<real> kept;
  return kept.resize(size);
}

void multiply(const Product& p, const Matrix& a, const Matrix& b, const ResultMatrix& c) { gemm(p, a, b, c); }
void multiply(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const ResultMatrix& c) {
  gemm_rounded(p, a, b, c);
}

}  // namespace

// In float32, 128 images of 256 channels and 4 x 4 pixels become 512 channels of 2 x 2 in 3 ms, forward and back in 5,
// where the direct way takes 31 and 79; of 7 x 7 pixels and 512 channels, 41 and 125 for 64 and 189. With 49 results an
// image the two are even.
//
// With AMX, 128 images of 512 channels and 3 x 3 pixels take 7 ms forward and 17 back, where oneDNN's convolution takes
// 14 and 49; of 256 channels and 6 x 6 pixels 12 and 35, where that takes 4 and 14.
bool suits(const Conv2dSizes& s) { return s.groups == 1 && places(s) <= 16 && depth(s) >= 256; }

template <class T>
void conv2d(const T* x, const T* W, const real* bias, real* y, const Conv2dSizes& s) {
  const Index k = depth(s);
  real* const result = product(rows(s) * s.out);
  multiply({.m = rows(s), .n = s.out, .k = k, .bias = bias}, MatrixOf<T>{columns_of(x, s), k}, {W, k, true},
           {result, s.out});
  transpose(result, y, s.batch, places(s), s.out);
}

template <class T>
void conv2d_backward_x(const T* W, const T* dY, real* dX, const Conv2dSizes& s) {
  const Conv2dGeometry& g = s.geometry;
  const Index k = depth(s), image = g.channels * g.height * g.width;
  real* const columns = product(rows(s) * k);
  multiply({.m = rows(s), .n = k, .k = s.out}, MatrixOf<T>{by_places(dY, s), s.out}, {W, k}, {columns, k});
  parallel_for(s.batch, 1, [&, from = columns](Index begin, Index end) {
    std::fill(dX + begin * image, dX + end * image, real{0});
    for (Index b = begin; b < end; ++b)
      for_each_pixel(g, [from = from + b * places(s) * k, to = dX + b * image](Index at, Index pixel) {
        if (pixel >= 0) to[pixel] += from[at];
      });
  });
}

template <class T>
void conv2d_backward_w(const T* x, const T* dY, real* dW, const Conv2dSizes& s) {
  const Index k = depth(s);
  multiply({.m = s.out, .n = k, .k = rows(s)}, MatrixOf<T>{by_places(dY, s), s.out, true}, {columns_of(x, s), k},
           {dW, k});
}

template void conv2d(const real*, const real*, const real*, real*, const Conv2dSizes&);
template void conv2d(const bfloat16*, const bfloat16*, const real*, real*, const Conv2dSizes&);
template void conv2d_backward_x(const real*, const real*, real*, const Conv2dSizes&);
template void conv2d_backward_x(const bfloat16*, const bfloat16*, real*, const Conv2dSizes&);
template void conv2d_backward_w(const real*, const real*, real*, const Conv2dSizes&);
template void conv2d_backward_w(const bfloat16*, const bfloat16*, real*, const Conv2dSizes&);

}  // namespace bobbin::cpu::columns
