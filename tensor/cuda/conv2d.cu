// Convolutions. With `columns` the matrix of what the kernels see, (C·h·w, places) of an image, they are products,
//
//     y = W·columns,   dcolumns = Wᵀ·dY,   dW = dY·columnsᵀ,
//
// and dX adds up those of dcolumns that show the same pixel. The matrix is never written to memory, which would hold
// each pixel h·w times: a block makes what it needs of it in shared memory, a tile at a time, and multiplies at once.
// (Implicit GEMM; Chetlur and others, 2014: "cuDNN: Efficient primitives for deep learning".)
//
// Each block has 16 x 16 threads and a tile of a result of one group: 16·R rows and 64 columns, of which a thread has
// R x 4 in registers. What they are is, with K the channels of y and C those of x that belong to the group,
//
//             rows          columns                   sums over
//     y       K             places of all images      elements of the kernels, one by one, and C, 8 at a time
//     dX      C             pixels of all images      elements, and K, 8 at a time
//     dW      K             C·h·w                     places of all images, 8 at a time
//
// The first two are one kernel: a place sees pixels and a pixel is seen by places, each along a line (Axis). dW has few
// numbers and long sums, so these are cut into pieces, whose sums are added in order. How many there are depends on the
// sizes alone, and no two threads add to one number: the same bits each time. Where a kernel sees one channel there is
// nothing to share, and each number of y and dX has a thread of its own; kernels of one pixel, without stride and
// groups, are products by cuBLAS on the way to y and dX.
//
// Operands are `real` or rounded to bfloat16 (T); shared memory and sums are `real`. So rounded ones take half the
// memory, but tensor cores have no part in this, nor have they in TF32.
//
// The choice is for what is simple and keeps memory small. On an H100 a step of ResNet-18 (batch 128, 96 x 96) takes 37
// ms in float32, nearly all of them in these kernels, at about 7 TFLOP/s: a sixth of what cuBLAS reaches. With many
// channels its products of columns, a few images at a time, may well be faster, in bfloat16 above all.
#include <algorithm>
#include <type_traits>

#include "tensor/cuda/launch.h"

namespace bobbin::cuda {

// One axis of images and results. A block writes every `stride`-th pixel of dX, from `first` on, because these are seen
// by the same elements of the kernels; and every place of y. Number u of what it writes meets, under element i of the
// kernel, number shown(u, i) of what it reads, if that is within `size`:
//
//     y  (of_x = false)   place u                  pixel u·stride + i·dilation - padding
//     dX (of_x = true)    pixel first + u·stride   place u + (first + padding - i·dilation) / stride
//
// The element meets none of these pixels if that division has a remainder.
template <bool of_x>
struct Axis {
  Index stride, padding, dilation, first, count, size;

  __host__ __device__ Axis(Index pixels, Index places, Index stride, Index padding, Index dilation, Index first)
      : stride(stride),
        padding(padding),
        dilation(dilation),
        first(first),
        count(of_x ? (pixels - first + stride - 1) / stride : places),
        size(of_x ? places : pixels) {}

  __device__ bool meets(Index i) const { return !of_x || (first + padding - i * dilation) % stride == 0; }
  __device__ Index shown(Index u, Index i) const {
    return of_x ? u + (first + padding - i * dilation) / stride : u * stride + i * dilation - padding;
  }
  __device__ Index written(Index u) const { return of_x ? first + u * stride : u; }
};
template <bool of_x>
__host__ __device__ Axis<of_x> down(const Conv2dGeometry& g, Index first) {
  return {g.height, g.out_h(), g.stride_h, g.padding_h, g.dilation_h, first};
}
template <bool of_x>
__host__ __device__ Axis<of_x> across(const Conv2dGeometry& g, Index first) {
  return {g.width, g.out_w(), g.stride_w, g.padding_w, g.dilation_w, first};
}

// A group: its channels of x and of y, and the elements of a kernel.
struct Group {
  Index in, out, area;

  __host__ __device__ explicit Group(const Conv2dSizes& s)
      : in(s.geometry.channels / s.groups), out(s.out / s.groups), area(s.geometry.kernel_h * s.geometry.kernel_w) {}
};

// --- tiles ------------------------------------------------------------------------------------------------

constexpr int side = 16;                    // threads of a block along each side of its tile
constexpr int width = 4 * side, depth = 8;  // of the tile of columns; how much of a sum is in shared memory
constexpr unsigned tile_threads = side * side;
constexpr dim3 block_of_tile{side, side};

// What a thread reads at once.
template <int N>
struct alignas(N == 4 ? 16 : sizeof(real)) Several {
  real at[N];
};
// depth x N·side numbers. The one more in each row keeps threads that write a column from waiting for the same bank of
// the memory.
template <int N>
using TileOf = Several<N>[depth][side + 1];
template <int N>
__device__ real& number(TileOf<N>& tile, int k, int m) {
  return tile[k][m / N].at[m % N];
}

// sum[r][c] += Σ_k a[k][row r of this thread] · b[k][column c of this thread].
template <int R>
__device__ void add_tiles(real (&sum)[R][4], const TileOf<R>& a, const TileOf<4>& b) {
#pragma unroll
  for (int k = 0; k < depth; ++k) {
    const Several<R> x = a[k][threadIdx.y];
    const Several<4> y = b[k][threadIdx.x];
#pragma unroll
    for (int r = 0; r < R; ++r)
#pragma unroll
      for (int c = 0; c < 4; ++c) sum[r][c] += x.at[r] * y.at[c];
  }
}

// The blocks of a launch, in one row: the tiles of a matrix, of each of `parts` matrices.
struct Tiles {
  Index across, down, parts;

  Index count() const { return across * down * parts; }
};
struct Block {
  Index row, column, part;  // the first of its tile; which matrix

  __device__ Block(const Tiles& t, Index height)
      : row(blockIdx.x / t.across % t.down * height),
        column(blockIdx.x % t.across * width),
        part(blockIdx.x / t.across / t.down) {}
};

// A walk over the places, or the pixels, of all images.
struct PlaceOfImage {
  Index image, y, x;

  __device__ PlaceOfImage(Index number, Index height, Index width)
      : image(number / (height * width)), y(number / width % height), x(number % width) {}
  __device__ void advance(Index by, Index height, Index width) {
    for (x += by; x >= width; x -= width)
      if (++y == height) y = 0, ++image;
  }
};

// y, or dX, of x, or dY. The matrices are those of a group, and of dX those of each first pixel.
template <class T, int R, bool of_x>
__global__ void __launch_bounds__(tile_threads, 2)
    conv2d_kernel(const T* x, const T* W, const real* bias, real* y, Conv2dSizes s, Tiles tiles) {
  SHARED(TileOf<R>, a);
  SHARED(TileOf<4>, b);
  const Conv2dGeometry& g = s.geometry;
  const Group group(s);
  const Block block(tiles, R * side);
  const Index firsts_w = of_x ? min(g.stride_w, g.width) : 1, firsts_h = of_x ? min(g.stride_h, g.height) : 1;
  const Axis<of_x> v = across<of_x>(g, block.part % firsts_w);
  const Axis<of_x> u = down<of_x>(g, block.part / firsts_w % firsts_h);
  const Index which = block.part / firsts_w / firsts_h, columns = s.batch * u.count * v.count;
  if (block.column >= columns) return;  // the whole block: other firsts have more
  const Index rows = of_x ? group.in : group.out, terms = of_x ? group.out : group.in;
  // What this thread loads: of b always the same column, of a the same row.
  constexpr int height = R * side;
  const int thread = threadIdx.y * side + threadIdx.x;
  const Index column = block.column + thread % width, row = block.row + thread % height;
  const PlaceOfImage mine(column, u.count, v.count);
  const Index plane = u.size * v.size;
  x += (mine.image * s.groups + which) * terms * plane;
  // W (out, in, area), where rows and terms are one and the other.
  const Index row_step = (of_x ? 1 : group.in) * group.area, term_step = (of_x ? group.in : 1) * group.area;
  W += which * group.out * group.in * group.area + row * row_step;

  real sum[R][4] = {};
  for (Index i = 0; i < g.kernel_h; ++i) {
    if (!u.meets(i)) continue;  // so it is for the whole block
    for (Index j = 0; j < g.kernel_w; ++j) {
      if (!v.meets(j)) continue;
      const Index at_y = u.shown(mine.y, i), at_x = v.shown(mine.x, j);
      const bool inside = column < columns && at_y >= 0 && at_y < u.size && at_x >= 0 && at_x < v.size;
      const T* const seen = inside ? x + at_y * v.size + at_x : nullptr;
      const T* const weight = row < rows ? W + i * g.kernel_w + j : nullptr;
      for (Index begin = 0; begin < terms; begin += depth) {
        for (int k = thread / width; k < depth; k += tile_threads / width)
          number<4>(b, k, thread % width) = seen && begin + k < terms ? widen(seen[(begin + k) * plane]) : real{0};
        for (int k = thread / height; k < depth; k += tile_threads / height)
          number<R>(a, k, thread % height) =
              weight && begin + k < terms ? widen(weight[(begin + k) * term_step]) : real{0};
        __syncthreads();
        add_tiles<R>(sum, a, b);
        __syncthreads();  // before the next tiles overwrite these
      }
    }
  }

  const Index height_of_y = of_x ? g.height : u.count, width_of_y = of_x ? g.width : v.count;
  PlaceOfImage to(block.column + threadIdx.x * 4, u.count, v.count);
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    if (to.image >= s.batch) return;
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const Index row_of_y = block.row + threadIdx.y * R + r, channel = which * rows + row_of_y;
      if (row_of_y < rows)
        y[((to.image * s.groups * rows + channel) * height_of_y + u.written(to.y)) * width_of_y + v.written(to.x)] =
            sum[r][c] + (bias ? bias[channel] : real{0});
    }
    to.advance(1, u.count, v.count);
  }
}

// A part of dW, (pieces, out, in, area), of `piece` places of all (batch, places). The matrices are those of a group in
// a piece.
template <class T, int R>
__global__ void __launch_bounds__(tile_threads, 2)
    conv2d_dw_kernel(const T* x, const T* dY, real* dW, Conv2dSizes s, Tiles tiles, Index piece) {
  SHARED(TileOf<R>, a);
  SHARED(TileOf<4>, b);
  const Conv2dGeometry& g = s.geometry;
  const Group group(s);
  const Block block(tiles, R * side);
  const Index which = block.part % s.groups, columns = group.in * group.area;
  const Index out_h = g.out_h(), out_w = g.out_w(), first = block.part / s.groups * piece;
  const Index end = min(first + piece, s.batch * out_h * out_w);

  // This thread loads every 8th place and every 32nd row and column: those of W show these pixels.
  constexpr int apart = tile_threads / depth;
  const int thread = threadIdx.y * side + threadIdx.x, k = thread % depth;
  Index channel[width / apart], shift_y[width / apart], shift_x[width / apart];
#pragma unroll
  for (int c = 0; c < width / apart; ++c) {
    const Index column = block.column + thread / depth + c * apart;
    channel[c] = column < columns ? which * group.in + column / group.area : -1;
    shift_y[c] = column / g.kernel_w % g.kernel_h * g.dilation_h - g.padding_h;
    shift_x[c] = column % g.kernel_w * g.dilation_w - g.padding_w;
  }

  real sum[R][4] = {};
  PlaceOfImage place(first + k, out_h, out_w);
  for (Index begin = first; begin < end; begin += depth) {
    const bool there = begin + k < end;
#pragma unroll
    for (int c = 0; c < width / apart; ++c) {
      const Index row = place.y * g.stride_h + shift_y[c], column = place.x * g.stride_w + shift_x[c];
      const bool inside = there && channel[c] >= 0 && row >= 0 && row < g.height && column >= 0 && column < g.width;
      number<4>(b, k, thread / depth + c * apart) =
          inside ? widen(x[((place.image * g.channels + channel[c]) * g.height + row) * g.width + column]) : real{0};
    }
    for (int m = thread / depth; m < R * side; m += apart) {
      const Index row = block.row + m;
      number<R>(a, k, m) =
          there && row < group.out
              ? widen(dY[((place.image * s.out + which * group.out + row) * out_h + place.y) * out_w + place.x])
              : real{0};
    }
    place.advance(depth, out_h, out_w);
    __syncthreads();
    add_tiles<R>(sum, a, b);
    __syncthreads();  // before the next tiles overwrite these
  }

  dW += (block.part * group.out + block.row) * columns + block.column;
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const Index row = threadIdx.y * R + r, column = threadIdx.x * 4 + c;
      if (block.row + row < group.out && block.column + column < columns) dW[row * columns + column] = sum[r][c];
    }
}

// --- kernels that see one channel -------------------------------------------------------------------------

// A thread for each number of y.
template <class T>
__global__ void conv2d_of_one_kernel(const T* x, const T* W, const real* bias, real* y, Conv2dSizes s, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const Conv2dGeometry& g = s.geometry;
  const Index out_h = g.out_h(), out_w = g.out_w();
  const Index top = at / out_w % out_h * g.stride_h - g.padding_h, left = at % out_w * g.stride_w - g.padding_w;
  const Index plane = at / (out_w * out_h), o = plane % s.out;  // image · out + o
  x += (plane / s.out * g.channels + o / Group(s).out) * g.height * g.width;
  W += o * g.kernel_h * g.kernel_w;
  real sum = 0;
  for (Index i = 0; i < g.kernel_h; ++i)
    for (Index j = 0; j < g.kernel_w; ++j) {
      const Index row = top + i * g.dilation_h, column = left + j * g.dilation_w;
      if (row >= 0 && row < g.height && column >= 0 && column < g.width)
        sum += widen(x[row * g.width + column]) * widen(W[i * g.kernel_w + j]);
    }
  y[at] = sum + (bias ? bias[o] : real{0});
}

// A thread for each pixel of dX.
template <class T>
__global__ void conv2d_dx_of_one_kernel(const T* W, const T* dY, real* dX, Conv2dSizes s, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const Conv2dGeometry& g = s.geometry;
  const Index out_h = g.out_h(), out_w = g.out_w(), seen_by = Group(s).out;
  const Index column = at % g.width, row = at / g.width % g.height, plane = at / (g.width * g.height);
  dY += plane * seen_by * out_h * out_w;
  W += plane % g.channels * seen_by * g.kernel_h * g.kernel_w;
  real sum = 0;
  for (Index i = 0; i < g.kernel_h; ++i)
    for (Index j = 0; j < g.kernel_w; ++j) {
      const Index y = row + g.padding_h - i * g.dilation_h, x = column + g.padding_w - j * g.dilation_w;
      if (y < 0 || x < 0 || y % g.stride_h != 0 || x % g.stride_w != 0) continue;
      const Index py = y / g.stride_h, px = x / g.stride_w;
      if (py >= out_h || px >= out_w) continue;
      for (Index o = 0; o < seen_by; ++o)
        sum += widen(dY[(o * out_h + py) * out_w + px]) * widen(W[(o * g.kernel_h + i) * g.kernel_w + j]);
    }
  dX[at] = sum;
}

// A warp for each number of dW (batch, out, area) of an image.
template <class T>
__global__ void conv2d_dw_of_one_kernel(const T* x, const T* dY, real* dW, Conv2dSizes s) {
  const Conv2dGeometry& g = s.geometry;
  const Index out_h = g.out_h(), out_w = g.out_w(), at = warp_number();
  const Index j = at % g.kernel_w, i = at / g.kernel_w % g.kernel_h, plane = at / (g.kernel_w * g.kernel_h);
  if (plane >= s.batch * s.out) return;  // the whole warp
  x += (plane / s.out * g.channels + plane % s.out / Group(s).out) * g.height * g.width;
  dY += plane * out_h * out_w;
  real sum = 0;
  PlaceOfImage place(threadIdx.x, out_h, out_w);
  for (Index p = threadIdx.x; p < out_h * out_w; p += warp_size) {
    const Index row = place.y * g.stride_h + i * g.dilation_h - g.padding_h;
    const Index column = place.x * g.stride_w + j * g.dilation_w - g.padding_w;
    if (row >= 0 && row < g.height && column >= 0 && column < g.width)
      sum += widen(x[row * g.width + column]) * widen(dY[p]);
    place.advance(warp_size, out_h, out_w);
  }
  sum = warp_sum(sum);
  if (threadIdx.x == 0) dW[at] = sum;
}

// --- what is called ---------------------------------------------------------------------------------------

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
  Group group{s};
  Index places = g.out_h() * g.out_w(), pixels = g.height * g.width;

  // Kernels of one pixel on each pixel, and no groups.
  bool one_product() const {
    return group.area == 1 && s.groups == 1 && g.stride_h == 1 && g.stride_w == 1 && places == pixels;
  }
  static void multiply(const Product& p, const MatrixOf<T>& a, const MatrixOf<T>& b, const ResultMatrix& c) {
    if constexpr (std::is_same_v<T, real>)
      gemm(p, a, b, c);
    else
      gemm_rounded(p, a, b, c);
  }
  // Calls f with the rows of a thread, as a constant: 4, or 1 where a group has few.
  static void with_rows(Index rows, const auto& f) {
    if (rows <= side)
      f(std::integral_constant<int, 1>{});
    else
      f(std::integral_constant<int, 4>{});
  }
  static Tiles tiles(Index rows, Index columns, Index parts, int rows_of_thread) {
    return {blocks(columns, width), blocks(rows, rows_of_thread * side), parts};
  }

  template <bool of_x>
  void by_tiles(const char* name, const T* x, const T* W, const real* bias, real* y) const {
    const Index rows = of_x ? group.in : group.out;
    const Index firsts = of_x ? std::min(g.stride_h, g.height) * std::min(g.stride_w, g.width) : 1;
    const Index columns = s.batch * down<of_x>(g, 0).count * across<of_x>(g, 0).count;  // the most of any first
    with_rows(rows, [&](auto each) {
      const Tiles t = tiles(rows, columns, s.groups * firsts, each);
      launch(name, conv2d_kernel<T, each, of_x>, blocks(t.count(), 1), block_of_tile, x, W, bias, y, s, t);
    });
  }

  void forward(const T* x, const T* W, const real* bias, real* y) const {
    const Index n = s.batch * s.out * places;
    if (group.in == 1) {
      launch("conv2d", conv2d_of_one_kernel<T>, blocks(n, block_size), block_size, x, W, bias, y, s, n);
    } else if (one_product()) {
      multiply({.m = s.out, .n = places, .k = g.channels, .batch = s.batch}, {W, g.channels},
               {x, pixels, false, g.channels * pixels}, {y, places, s.out * places});
      if (bias) launch("add_bias", add_bias_kernel, blocks(n, block_size), block_size, bias, y, s.out, places, n);
    } else {
      by_tiles<false>("conv2d", x, W, bias, y);
    }
  }
  void backward_x(const T* W, const T* dY, real* dX) const {
    const Index n = s.batch * g.channels * pixels;
    if (group.in == 1)
      launch("conv2d_dx", conv2d_dx_of_one_kernel<T>, blocks(n, block_size), block_size, W, dY, dX, s, n);
    else if (one_product())
      multiply({.m = g.channels, .n = pixels, .k = s.out, .batch = s.batch}, {W, g.channels, true},
               {dY, places, false, s.out * places}, {dX, pixels, g.channels * pixels});
    else
      by_tiles<true>("conv2d_dx", dY, W, nullptr, dX);
  }
  // In pieces, and the sum of these: with one channel and few kernels of it those of images, else such that there are
  // a thousand blocks, and a piece has 512 places or more.
  void backward_w(const T* x, const T* dY, real* dW) const {
    const Index size = s.out * group.in * group.area, n = s.batch * places;
    if (group.in == 1 && s.groups > 1) {
      const std::shared_ptr<real> each = scratch<real>(s.batch * size);
      launch("conv2d_dw", conv2d_dw_of_one_kernel<T>, blocks(s.batch * size, warps), block_of_warps, x, dY, each.get(),
             s);
      return sum(each.get(), dW, 1, s.batch, size);
    }
    with_rows(group.out, [&](auto each) {
      Tiles t = tiles(group.out, group.in * group.area, s.groups, each);
      const Index wanted = std::clamp<Index>(1024 / t.count(), 1, (n + 511) / 512), piece = (n + wanted - 1) / wanted;
      const Index pieces = (n + piece - 1) / piece;
      t.parts *= pieces;
      const std::shared_ptr<real> parts = pieces > 1 ? scratch<real>(pieces * size) : nullptr;
      launch("conv2d_dw", conv2d_dw_kernel<T, each>, blocks(t.count(), 1), block_of_tile, x, dY,
             pieces > 1 ? parts.get() : dW, s, t, piece);
      if (pieces > 1) sum(parts.get(), dW, 1, pieces, size);
    });
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
