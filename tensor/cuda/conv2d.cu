// Convolutions. With `columns` (C·h·w, places) what the kernels see of an image, they are products,
//
//     y = W·columns,   dcolumns = Wᵀ·dY,   dW = Σ dY·columnsᵀ over all images,
//
// and dX adds up those of dcolumns that show the same pixel. In memory columns hold each pixel h·w times, so they are
// made of a piece of the images at a time (bytes_of_columns). For products that are too small by the image, of 3 x 3
// places for example, the images of a piece lie side by side:
//
//     columns (C·h·w, images·places)   y, dY (out, images·places)
//
// Of several groups each has some of the rows of columns and of y, so theirs is a batch of products. The gradient of
// the kernels is added up from piece to piece, in order; in dX each pixel has a thread that gathers it: the same bits
// each time. The products are cuBLAS's, in Precision::tf32 as others are; of rounded operands the columns are bfloat16,
// too, dcolumns a float32 result.
//
// In ResNet-18 with 96 x 96 pixels and batch 128, in float32:
//
//     convolutions                places    GFLOP each    columns each   y each
//     1  7x7 of 1 channel         48 x 48       1.9          58 MB        75 MB
//     4  3x3 of 64                24 x 24       5.4         170 MB        19 MB
//     4  3x3 of 64, then 128      12 x 12    2.7, 5.4     42, 85 MB      9.4 MB
//     4  3x3 of 128, then 256      6 x 6     2.7, 5.4     21, 42 MB      4.7 MB
//     4  3x3 of 256, then 512      3 x 3     2.7, 5.4     11, 21 MB      2.4 MB
//
// That is 80 GFLOP for y, as many for dX and for dW: 5.7 ms where cuBLAS reaches 42 TFLOP/s. The columns, 1.25 GB each
// time, are written and read in less than 1 ms each time; y and dY, laid side by side, are a sixth of that.
//
// Kernels of one pixel, without stride and groups, need no columns for y and dX. And where each kernel sees one channel
// of several (depthwise convolution) a product would have one row: there each number has a thread of its own.
#include "tensor/cuda/conv2d.h"

#include <algorithm>

#include "tensor/cuda/launch.h"
#include "tensor/cuda/products.h"
#include "tensor/cuda/window.h"

namespace bobbin::cuda {

// --- columns ----------------------------------------------------------------------------------------------

// How far it is in columns from a row to the next, and from an image to the next.
struct Layout {
  Index row, image;
};

// A thread for each channel and place, which has a column's h·w numbers of it.
template <class T>
__global__ void im2col_kernel(const T* x, T* columns, Layout layout, Axis down, Axis across, Index channels,
                              Divisor of_channel, Divisor of_image, Divisor of_row, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const auto [channel, place_of_all] = of_channel.divide(at);
  const auto [image, place] = of_image.divide(place_of_all);
  const auto [py, px] = of_row.divide(static_cast<int>(place));
  x += (image * channels + channel) * down.size * across.size;
  columns += channel * down.kernel * across.kernel * layout.row + image * layout.image + place;
  for (int i = 0; i < down.kernel; ++i) {
    const int row = down.pixel(py, i);
    for (int j = 0; j < across.kernel; ++j, columns += layout.row) {
      const int column = across.pixel(px, j);
      *columns = down.has(row) && across.has(column) ? x[Index{row} * across.size + column] : T{};
    }
  }
}

// A thread for each pixel of dX: it adds up what the places that see it have, in the order of the kernel's elements.
__global__ void col2im_kernel(const real* dcolumns, real* dX, Layout layout, Axis down, Axis across, Divisor channels,
                              Divisor of_channel, Divisor of_row, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const auto [plane, pixel] = of_channel.divide(at);
  const auto [image, channel] = channels.divide(plane);
  const auto [row, column] = of_row.divide(static_cast<int>(pixel));
  dcolumns += channel * down.kernel * across.kernel * layout.row + image * layout.image;
  const int top = down.first(row), left = across.first(column);
  real sum = 0;
  for (int py = down.last(row); py >= top; --py) {
    const int i = down.element(row, py);
    if (i < 0) continue;
    for (int px = across.last(column); px >= left; --px)
      if (const int j = across.element(column, px); j >= 0)
        sum += dcolumns[(i * across.kernel + j) * layout.row + Index{py} * across.places + px];
  }
  dX[at] = sum;
}

// Results, y (images, out, places), and the same side by side, (out, images·places).
struct SideBySide {
  Divisor channels, places;
  Layout layout;

  // Of a number of y.
  struct Place {
    Index channel, at;
  };
  __device__ Place place(Index number) const {
    const auto [plane, place] = places.divide(number);
    const auto [image, channel] = channels.divide(plane);
    return {channel, channel * layout.row + image * layout.image + place};
  }
};
template <class T>
__global__ void side_by_side_kernel(const T* dY, T* side, SideBySide s, Index n) {
  if (const Index i = thread_number(); i < n) side[s.place(i).at] = dY[i];
}
__global__ void image_by_image_kernel(const real* side, const real* bias, real* y, SideBySide s, Index n) {
  const Index i = thread_number();
  if (i >= n) return;
  const auto [channel, at] = s.place(i);
  y[i] = side[at] + (bias ? bias[channel] : real{0});
}

// y (images, channels, places) += bias (channels).
__global__ void add_bias_kernel(const real* bias, real* y, Divisor channels, Divisor places, Index n) {
  const Index i = thread_number();
  if (i < n) y[i] += bias[channels.divide(places.divide(i).quotient).remainder];
}

// --- kernels that see one channel of several --------------------------------------------------------------

// A thread for each number of y. Each channel is seen by `kernels` of the kernels, side by side.
template <class T>
__global__ void depthwise_kernel(const T* x, const T* W, const real* bias, real* y, Axis down, Axis across,
                                 Divisor kernels, Divisor out, Divisor of_channel, Divisor of_row, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const auto [plane, place] = of_channel.divide(at);  // image · out + o
  const auto [py, px] = of_row.divide(static_cast<int>(place));
  const Index o = out.divide(plane).remainder;
  x += kernels.divide(plane).quotient * down.size * across.size;
  W += o * down.kernel * across.kernel;
  real sum = 0;
  for (int i = 0; i < down.kernel; ++i)
    for (int j = 0; j < across.kernel; ++j, ++W) {
      const int row = down.pixel(py, i), column = across.pixel(px, j);
      if (down.has(row) && across.has(column)) sum += to_real(x[Index{row} * across.size + column]) * to_real(*W);
    }
  y[at] = sum + (bias ? bias[o] : real{0});
}

// A thread for each pixel of dX.
template <class T>
__global__ void depthwise_dx_kernel(const T* W, const T* dY, real* dX, Axis down, Axis across, Index kernels,
                                    Divisor channels, Divisor of_channel, Divisor of_row, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const auto [plane, pixel] = of_channel.divide(at);
  const auto [row, column] = of_row.divide(static_cast<int>(pixel));
  const Index area = Index{down.kernel} * across.kernel, places = Index{down.places} * across.places;
  dY += plane * kernels * places;
  W += channels.divide(plane).remainder * kernels * area;
  const int top = down.first(row), left = across.first(column);
  real sum = 0;
  for (int py = down.last(row); py >= top; --py) {
    const int i = down.element(row, py);
    if (i < 0) continue;
    for (int px = across.last(column); px >= left; --px)
      if (const int j = across.element(column, px); j >= 0)
        for (Index o = 0; o < kernels; ++o)
          sum +=
              to_real(dY[o * places + Index{py} * across.places + px]) * to_real(W[o * area + i * across.kernel + j]);
  }
  dX[at] = sum;
}

// A warp for each number of dW of each image, (images, out, h·w).
template <class T>
__global__ void depthwise_dw_kernel(const T* x, const T* dY, real* dW, Axis down, Axis across, Divisor kernels,
                                    Divisor area, Divisor of_row, Index n) {
  const Index at = warp_number();
  if (at >= n) return;                            // the whole warp
  const auto [plane, element] = area.divide(at);  // image · out + o
  const int i = static_cast<int>(element) / across.kernel, j = static_cast<int>(element) % across.kernel;
  const int places = down.places * across.places;
  x += kernels.divide(plane).quotient * down.size * across.size;
  dY += plane * places;
  real sum = 0;
  for (int place = threadIdx.x; place < places; place += warp_size) {
    const auto [py, px] = of_row.divide(place);
    const int row = down.pixel(py, i), column = across.pixel(px, j);
    if (down.has(row) && across.has(column)) sum += to_real(x[Index{row} * across.size + column]) * to_real(dY[place]);
  }
  sum = warp_sum(sum);
  if (threadIdx.x == 0) dW[at] = sum;
}

// --- what is called ---------------------------------------------------------------------------------------

namespace {

template <class T>
void make_columns(const T* x, T* columns, Layout layout, Index batch, const Conv2dGeometry& g) {
  const Index places = g.out_h() * g.out_w(), n = g.channels * batch * places;
  launch("im2col", im2col_kernel<T>, blocks(n, block_size), block_size, x, columns, layout, down(g), across(g),
         g.channels, batch * places, places, g.out_w(), n);
}
void add_columns(const real* dcolumns, real* dX, Layout layout, Index batch, const Conv2dGeometry& g) {
  const Index pixels = g.height * g.width, n = batch * g.channels * pixels;
  launch("col2im", col2im_kernel, blocks(n, block_size), block_size, dcolumns, dX, layout, down(g), across(g),
         g.channels, pixels, g.width, n);
}

// Columns one image after the other, (batch, C·h·w, places).
Layout one_by_one(const Conv2dGeometry& g) {
  const Index places = g.out_h() * g.out_w();
  return {places, g.channels * g.kernel_h * g.kernel_w * places};
}

// A convolution of operands of type T: `real`, or bfloat16.
template <class T>
struct Convolution {
  const Conv2dSizes& s;
  const Conv2dGeometry& g = s.geometry;
  Index places = g.out_h() * g.out_w(), pixels = g.height * g.width, area = g.kernel_h * g.kernel_w;
  Index out = s.out / s.groups, depth = g.channels / s.groups * area;  // of a group

  bool depthwise() const { return s.groups > 1 && s.groups == g.channels; }
  // Kernels of one pixel on each pixel, and no groups.
  bool one_product() const {
    return area == 1 && s.groups == 1 && g.stride_h == 1 && g.stride_w == 1 && places == pixels;
  }

  // All pieces alike, but the last; `bytes` has a number of the columns.
  Index images_of_piece(std::size_t bytes) const {
    const Index each = g.channels * area * places * static_cast<Index>(bytes);
    const Index most = std::clamp<Index>(bytes_of_columns / each, 1, s.batch), pieces = (s.batch + most - 1) / most;
    return (s.batch + pieces - 1) / pieces;
  }
  // Side by side each row begins where tensor cores can read eight numbers at once.
  Layout side_by_side(Index piece) const {
    const Index row = (piece * places + 7) / 8 * 8;
    check(row <= 0x7fffffff, "conv2d", "results of ", places, " places are more than a product of cuBLAS can have");
    return {row, places};
  }

  void forward(const T* x, const T* W, const real* bias, real* y) const {
    const Index n = s.batch * s.out * places;
    if (depthwise())
      return launch("conv2d", depthwise_kernel<T>, blocks(n, block_size), block_size, x, W, bias, y, down(g), across(g),
                    out, s.out, places, g.out_w(), n);
    if (one_product()) {
      multiply({.m = s.out, .n = places, .k = depth, .batch = s.batch}, MatrixOf<T>{W, depth},
               {x, pixels, false, depth * pixels}, {y, places, s.out * places});
      if (bias) launch("add_bias", add_bias_kernel, blocks(n, block_size), block_size, bias, y, s.out, places, n);
      return;
    }
    const Index piece = images_of_piece(sizeof(T));
    const Layout layout = side_by_side(piece);
    const auto columns = scratch<T>(s.groups * depth * layout.row);
    const auto results = scratch<real>(s.out * layout.row);
    for (Index first = 0; first < s.batch; first += piece) {
      const Index images = std::min(piece, s.batch - first), of_y = images * s.out * places;
      make_columns(x + first * g.channels * pixels, columns.get(), layout, images, g);
      multiply({.m = out, .n = images * places, .k = depth, .batch = s.groups},
               MatrixOf<T>{W, depth, false, out * depth}, {columns.get(), layout.row, false, depth * layout.row},
               {results.get(), layout.row, out * layout.row});
      launch("image_by_image", image_by_image_kernel, blocks(of_y, block_size), block_size, results.get(), bias,
             y + first * s.out * places, SideBySide{s.out, places, layout}, of_y);
    }
  }

  void backward_x(const T* W, const T* dY, real* dX) const {
    const Index n = s.batch * g.channels * pixels;
    if (depthwise())
      return launch("conv2d_dx", depthwise_dx_kernel<T>, blocks(n, block_size), block_size, W, dY, dX, down(g),
                    across(g), out, g.channels, pixels, g.width, n);
    if (one_product())
      return multiply({.m = depth, .n = pixels, .k = s.out, .batch = s.batch}, MatrixOf<T>{W, depth, true},
                      {dY, places, false, s.out * places}, {dX, pixels, depth * pixels});
    const Index piece = images_of_piece(sizeof(real));
    const Layout layout = side_by_side(piece);
    const auto dcolumns = scratch<real>(s.groups * depth * layout.row);
    const auto results = scratch<T>(s.out * layout.row);
    for (Index first = 0; first < s.batch; first += piece) {
      const Index images = std::min(piece, s.batch - first);
      lay_side_by_side(dY + first * s.out * places, results.get(), layout, images);
      multiply({.m = depth, .n = images * places, .k = out, .batch = s.groups},
               MatrixOf<T>{W, depth, true, out * depth}, {results.get(), layout.row, false, out * layout.row},
               {dcolumns.get(), layout.row, depth * layout.row});
      add_columns(dcolumns.get(), dX + first * g.channels * pixels, layout, images, g);
    }
  }

  void backward_w(const T* x, const T* dY, real* dW) const {
    if (depthwise()) {
      const Index size = s.out * area, n = s.batch * size;
      const auto each = scratch<real>(n);
      launch("conv2d_dw", depthwise_dw_kernel<T>, blocks(n, warps), block_of_warps, x, dY, each.get(), down(g),
             across(g), out, area, g.out_w(), n);
      return sum(each.get(), dW, 1, s.batch, size);
    }
    const Index piece = images_of_piece(sizeof(T));
    const Layout layout = side_by_side(piece);
    const auto columns = scratch<T>(s.groups * depth * layout.row), results = scratch<T>(s.out * layout.row);
    for (Index first = 0; first < s.batch; first += piece) {
      const Index images = std::min(piece, s.batch - first);
      make_columns(x + first * g.channels * pixels, columns.get(), layout, images, g);
      lay_side_by_side(dY + first * s.out * places, results.get(), layout, images);
      multiply({.m = out, .n = depth, .k = images * places, .batch = s.groups},
               MatrixOf<T>{results.get(), layout.row, false, out * layout.row},
               {columns.get(), layout.row, true, depth * layout.row}, {dW, depth, out * depth}, first > 0);
    }
  }

  void lay_side_by_side(const T* dY, T* results, Layout layout, Index images) const {
    const Index n = images * s.out * places;
    launch("side_by_side", side_by_side_kernel<T>, blocks(n, block_size), block_size, dY, results,
           SideBySide{s.out, places, layout}, n);
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

// --- columns and patches, for plain::conv2d and the Vision Transformer ------------------------------------

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
  make_columns(x, columns, one_by_one(g), batch, g);
}
void col2im(const real* dcolumns, real* dX, Index batch, const Conv2dGeometry& g) {
  add_columns(dcolumns, dX, one_by_one(g), batch, g);
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
