// Winograd's F(2x2, 3x3) (Lavin and Gray, Fast algorithms for convolutional neural networks, 2016): a convolution with
// kernels of 3 x 3 in 2.25 times fewer multiplications.
//
// Along one axis: two neighbours of the result, y0 and y1, see four pixels d0 ... d3 through a kernel g0 g1 g2:
//
//     y0 = d0·g0 + d1·g1 + d2·g2,      y1 = d1·g0 + d2·g1 + d3·g2,
//
// which are six multiplications. Four suffice, as one sees by writing out
//
//     m0 = (d0 - d2)·g0                        m1 = (d1 + d2)·(g0 + g1 + g2)/2       y0 = m0 + m1 + m2
//     m3 = (d1 - d3)·g2                        m2 = (d2 - d1)·(g0 - g1 + g2)/2       y1 = m1 - m2 - m3
//
// or, with a matrix for the pixels, one for the kernel and one for the results, y = Aᵀ[(G·g) ⊙ (Bᵀ·d)]. That this is
// possible is no accident: y is the transposed of a product of polynomials, and a polynomial is known by its values at
// some points, here 0, 1, -1 and infinity, which for a product are multiplied one by one (tensor/cpu/winograd_rows.cpp
// derives it). On both axes each matrix is used on both sides: a tile of 4 x 4 pixels and a kernel give a tile of 2 x 2
// results,
//
//     Y = Aᵀ[U ⊙ V]A,      U = G·g·Gᵀ,      V = Bᵀ·d·B,
//
// in 16 multiplications instead of 36. Summed up over channels, before Aᵀ and A, each of the sixteen places ⊙ is a
// product of matrices of its own, (tiles, in) x (in, out); and the transforms are additions, which are repaid because U
// is used for all tiles, V for all kernels, and Aᵀ goes over sums.
//
// Backward. A sum of products is linear in each of its factors, so both gradients are the transposed of what was done:
//
//     dW = Gᵀ[Σ_tiles M ⊙ V]G,      M = A·dY·Aᵀ,
//
// sixteen products (out, tiles) x (tiles, in). And dX is the convolution of dY with the kernels turned by 180 degrees
// and a padding of 2 - p: the same code once more.
//
// So that all transforms are additions of whole vectors, channels are made the innermost axis, a panel of 32 at a time
// (tensor/cpu/vectors.h), and what a transform writes is what the product reads: V (16, panels, tiles, panel) gives a
// number at a time, U (16, in, panel) a vector. A block of tiles goes through all stages on one thread.
//
// Error in float32, against double, as the largest difference over the largest number, for 16 ... 512 channels: results
// 2e-7 ... 8e-7, dX and dW 4e-7. The direct way has 4e-7 ... 3e-6, 1e-6 and 5e-7: sums of nine times more terms cost
// more digits than the transforms. But an infinite pixel becomes NaN, and a number above 8e37 may become infinite in
// between.
//
// What each choice brought, on two cores with AVX-512 (Sapphire Rapids), batch 32, in ms forward / forward and
// backward:
//                                              64 x 56 x 56   128 x 28 x 28   256 x 14 x 14    512 x 7 x 7
//     the direct way                            23.5 / 75      23.5 / 75       23.5 / 76        29.6 / 105
//     this way, products of panels as they are  16.2 / 51      13.4 / 42       14.0 / 42        22.6 / 66
//     blocks of 112 tiles and more, not of 56   14.7 / 45      12.5 / 38       13.8 / 41        20.2 / 60
//     V serves all panels of U while it is near 13.0 / 40      11.5 / 36       11.5 / 35        17.2 / 51
// Vectors that do not begin with a cache line cost a tenth. To cut the channels into parts that fit the first cache
// brought nothing. In the last column a quarter of the tiles' results lie beyond the image.
#include "tensor/cpu/winograd.h"

#include <vector>

#include "tensor/cpu/vectors.h"
#include "tensor/cpu/workspace.h"
#include "tensor/parallel.h"

namespace bobbin::cpu::winograd {
namespace {

// n vectors, and n rows of them: a number of each channel of half a panel.
template <int n>
struct Line {
  Vector at[n];
};
template <int n>
struct Square {
  Line<n> at[n];
};

// The transforms of one axis: Bᵀd, Gg and Aᵀm, and backward Ay and Gᵀu.
Line<4> of_pixels(const Line<4>& d) {
  return {{d.at[0] - d.at[2], d.at[1] + d.at[2], d.at[2] - d.at[1], d.at[1] - d.at[3]}};
}
Line<4> of_kernel(const Line<3>& g) {
  const Vector even = (g.at[0] + g.at[2]) / 2, odd = g.at[1] / 2;
  return {{g.at[0], even + odd, even - odd, g.at[2]}};
}
Line<2> to_results(const Line<4>& m) { return {{m.at[0] + m.at[1] + m.at[2], m.at[1] - m.at[2] - m.at[3]}}; }
Line<4> of_results(const Line<2>& y) { return {{y.at[0], y.at[0] + y.at[1], y.at[0] - y.at[1], -y.at[1]}}; }
Line<3> to_kernel(const Line<4>& u) {
  const Vector even = (u.at[1] + u.at[2]) / 2;
  return {{u.at[0] + even, (u.at[1] - u.at[2]) / 2, even + u.at[3]}};
}

// One of them on both axes: f·x·fᵀ.
template <int to, int from>
Square<to> both(Line<to> (&f)(const Line<from>&), const Square<from>& x) {
  Square<to> y;
  Line<to> columns[from];
  for (int j = 0; j < from; ++j) {
    Line<from> column;
    for (int i = 0; i < from; ++i) column.at[i] = x.at[i].at[j];
    columns[j] = f(column);
  }
  for (int i = 0; i < to; ++i) {
    Line<from> row;
    for (int j = 0; j < from; ++j) row.at[j] = columns[j].at[i];
    y.at[i] = f(row);
  }
  return y;
}

// n x n vectors whose numbers lie `row` and `col` apart.
template <int n>
Square<n> load_square(const real* x, Index row, Index col) {
  Square<n> square;
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) square.at[i].at[j] = load(x + i * row + j * col);
  return square;
}
template <int n>
void store_square(const Square<n>& square, real* x, Index row, Index col) {
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) store(square.at[i].at[j], x + i * row + j * col);
}

Index panels(Index channels) { return (channels + panel - 1) / panel; }

// A convolution of images (batch, groups · in, height, width).
struct Pass {
  Index batch, groups, in, out, height, width, padding_h, padding_w;

  Index out_h() const { return height + 2 * padding_h - 2; }
  Index out_w() const { return width + 2 * padding_w - 2; }
  Index down() const { return (out_h() + 1) / 2; }  // tiles in an image
  Index across() const { return (out_w() + 1) / 2; }
};
Pass forward(const Conv2dSizes& s) {
  const Conv2dGeometry& g = s.geometry;
  return {s.batch, s.groups, g.channels / s.groups, s.out / s.groups, g.height, g.width, g.padding_h, g.padding_w};
}
// dX is the convolution of dY with the kernels turned by 180 degrees, whose in and out are exchanged.
Pass backward(const Conv2dSizes& s) {
  const Pass p = forward(s);
  return {p.batch, p.groups, p.out, p.in, p.out_h(), p.out_w(), 2 - p.padding_h, 2 - p.padding_w};
}

// Transformed kernels, (groups, panels of out, 16, in, panel). W lies `stride_in` and `stride_out` apart.
void transform_kernels(const real* W, const Pass& p, Index stride_in, Index stride_out, bool turned, real* U) {
  const Index each = 16 * p.in * panel;
  parallel_for(p.groups * panels(p.out), (1 << 8) / p.in + 1, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const Index group = i / panels(p.out), o = i % panels(p.out) * panel;
      for (Index c = 0; c < p.in; ++c) {
        alignas(vector_bytes) real taps[9 * panel];
        to_panel(W + group * p.in * p.out * 9 + c * stride_in + o * stride_out, stride_out,
                 std::min<Index>(panel, p.out - o), 9, Walk(taps));
        for (int v = 0; v < panel; v += lanes)
          store_square(both(of_kernel, turned ? load_square<3>(taps + 8 * panel + v, -3 * panel, -panel)
                                              : load_square<3>(taps + v, 3 * panel, panel)),
                       U + i * each + c * panel + v, 4 * p.in * panel, p.in * panel);
      }
    }
  });
}

// Rows of tiles, those of an image after those of the one before, are shared out in blocks.
struct Block {
  Index begin, end;
};

// Calls body(image, first row of tiles, their number, tiles of the block before them) for each image of a block.
void for_each_image(const Pass& p, Block rows, const auto& body) {
  for (Index row = rows.begin; row < rows.end;) {
    const Index n = std::min(p.down() - row % p.down(), rows.end - row);
    body(row / p.down(), row % p.down(), n, (row - rows.begin) * p.across());
    row += n;
  }
}

// Transformed tiles lie (16, panels, tiles, panel); `rows` is at least the number of tiles, and odd: the sixteen would
// else begin a multiple of 4096 bytes apart, where they drive each other out of the cache.
Index odd(Index tiles) { return tiles | 1; }

// The pixels (rows of tiles · 2 + 2) x (tiles · 2 + 2) of a panel of channels, and their transforms.
struct Pixels {
  const Pass& p;
  Index pitch = 2 * p.across() + 2;

  Index size(Index rows) const { return (2 * rows + 2) * pitch * panel; }
  // (16, panels of in, odd(tiles), panel)
  void transform(const real* x, Index group, Block block, Index tiles, real* pixels, real* V) const {
    const Index plane = p.height * p.width, one = odd(tiles) * panel, each = panels(p.in) * one;
    for_each_image(p, block, [&](Index image, Index row, Index rows, Index before) {
      const Index top = 2 * row - p.padding_h;  // the first row of pixels
      const Index begin = std::max<Index>(top, 0), end = std::min(top + 2 * rows + 2, p.height);
      for (Index c = 0; c < p.in; c += panel) {
        std::fill_n(pixels, size(rows), real{0});
        if (begin < end)
          to_panel(x + ((image * p.groups + group) * p.in + c) * plane + begin * p.width, plane,
                   std::min<Index>(panel, p.in - c), (end - begin) * p.width,
                   Walk(pixels + ((begin - top) * pitch + p.padding_w) * panel, p.width, pitch));
        real* to = V + c / panel * one + before * panel;
        for (Index i = 0; i < rows; ++i)
          for (Index j = 0; j < p.across(); ++j, to += panel)
            for (int v = 0; v < panel; v += lanes)
              store_square(
                  both(of_pixels, load_square<4>(pixels + (2 * i * pitch + 2 * j) * panel + v, pitch * panel, panel)),
                  to + v, 4 * each, each);
      }
    });
  }
};

// The results (rows of tiles · 2) x (tiles · 2) of a panel of channels.
struct Results {
  const Pass& p;
  Index pitch = 2 * p.across();

  Index size(Index rows) const { return 2 * rows * pitch * panel; }
  Index plane() const { return p.out_h() * p.out_w(); }
  // Of a panel that begins with channel `o` of a group: y from M (16, odd(tiles), panel).
  void transform(const real* M, Index group, Index o, Block block, Index tiles, const real* bias, real* results,
                 real* y) const {
    const Index each = odd(tiles) * panel, n = std::min<Index>(panel, p.out - o);
    real b[panel] = {};
    if (bias) std::copy_n(bias + group * p.out + o, n, b);
    for_each_image(p, block, [&](Index image, Index row, Index rows, Index before) {
      const real* from = M + before * panel;
      for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < p.across(); ++j, from += panel)
          for (int v = 0; v < panel; v += lanes) {
            Square<2> tile = both(to_results, load_square<4>(from + v, 4 * each, each));
            for (Line<2>& line : tile.at)
              for (Vector& result : line.at) result += load(b + v);
            store_square(tile, results + (2 * i * pitch + 2 * j) * panel + v, pitch * panel, panel);
          }
      from_panel(Walk<const real>(results, p.out_w(), pitch),
                 y + ((image * p.groups + group) * p.out + o) * plane() + 2 * row * p.out_w(), plane(), n,
                 (std::min(2 * (row + rows), p.out_h()) - 2 * row) * p.out_w());
    });
  }
  // The backward pass: dY, transformed, (16, panels of out, odd(tiles), panel).
  void transform_backward(const real* dY, Index group, Block block, Index tiles, real* results, real* M) const {
    const Index one = odd(tiles) * panel, each = panels(p.out) * one;
    for_each_image(p, block, [&](Index image, Index row, Index rows, Index before) {
      for (Index o = 0; o < p.out; o += panel) {
        std::fill_n(results, size(rows), real{0});
        to_panel(dY + ((image * p.groups + group) * p.out + o) * plane() + 2 * row * p.out_w(), plane(),
                 std::min<Index>(panel, p.out - o), (std::min(2 * (row + rows), p.out_h()) - 2 * row) * p.out_w(),
                 Walk(results, p.out_w(), pitch));
        real* to = M + o / panel * one + before * panel;
        for (Index i = 0; i < rows; ++i)
          for (Index j = 0; j < p.across(); ++j, to += panel)
            for (int v = 0; v < panel; v += lanes)
              store_square(
                  both(of_results, load_square<2>(results + (2 * i * pitch + 2 * j) * panel + v, pitch * panel, panel)),
                  to + v, 4 * each, each);
      }
    });
  }
};

// M (tiles, panel) = V·U for one of the sixteen: V (panels of in, odd(tiles), panel), U (in, panel).
void multiply(const real* V, const real* U, real* M, Index tiles, Index in) {
  for_each_part<most_rows>(tiles, [&](Index first, auto count) {
    constexpr int n = decltype(count)::value;
    Sums<n, 2> sums;
    const real *v = V + first * panel, *u = U;
    for (Index c = 0; c < in; c += panel, v += odd(tiles) * panel, u += panel * panel)
      sums.add(
          std::min<Index>(panel, in - c), [&](Index k, int row) { return v[row * panel + k]; },
          [&](Index k) { return u + k * panel; });
    sums.store(M + first * panel);
  });
}

// How many rows of tiles make a block: so many that what is transformed fits into a cache of the second level.
std::vector<Block> blocks(const Pass& p, Index size_of_tile) {
  constexpr Index wanted = Index{1 << 20} / sizeof(real);
  const Index rows = p.batch * p.down(), threads = omp_in_parallel() ? 1 : omp_get_max_threads();
  const Index tiles = std::max<Index>(wanted / size_of_tile, 12 * most_rows);
  Index count = (rows * p.across() + tiles - 1) / tiles;
  count = std::min(rows, (count + threads - 1) / threads * threads);
  std::vector<Block> blocks;
  for (Index i = 0; i < count; ++i) blocks.push_back({rows * i / count, rows * (i + 1) / count});
  return blocks;
}
Index largest(const std::vector<Block>& blocks) {
  Index rows = 0;
  for (const Block& block : blocks) rows = std::max(rows, block.end - block.begin);
  return rows;
}

// How many panels of results are made of a block at a time: for all of them one of the sixteen parts of V stays near.
constexpr Index together = 16;

void correlate(const real* x, const real* U, const real* bias, real* y, const Pass& p) {
  const Pixels pixels{p};
  const Results results{p};
  const Index in = panels(p.in), out = panels(p.out), most = std::min(out, together);
  const std::vector<Block> all = blocks(p, 16 * (in + most) * panel);
  const auto count = static_cast<Index>(all.size());
  const Index rows = largest(all), tiles = odd(rows * p.across());
  const Index images = std::max(pixels.size(rows), results.size(rows));  // multiples of a panel, as all that follow
  const Workspace<real> workspace(images + 16 * (in + most) * tiles * panel);
  parallel_for(count * p.groups, 1, [&](Index begin, Index end) {
    real *const image = workspace.mine(), *const V = image + images, *const M = V + 16 * in * tiles * panel;
    for (Index task = begin; task < end; ++task) {
      const Block block = all[static_cast<std::size_t>(task % count)];
      const Index group = task / count, n = (block.end - block.begin) * p.across(), one = odd(n) * panel;
      pixels.transform(x, group, block, n, image, V);
      for (Index first = 0; first < out; first += together) {
        const Index last = std::min(out, first + together);
        for (Index i = 0; i < 16; ++i)
          for (Index o = first; o < last; ++o)
            multiply(V + i * in * one, U + ((group * out + o) * 16 + i) * p.in * panel,
                     M + ((o - first) * 16 + i) * one, n, p.in);
        for (Index o = first; o < last; ++o)
          results.transform(M + (o - first) * 16 * one, group, o * panel, block, n, bias, image, y);
      }
    }
  });
}

real* room_for_kernels(const Pass& p) {
  thread_local Scratch<real> kept;  // for the next call, too
  return kept.resize(p.groups * panels(p.out) * 16 * p.in * panel);
}

}  // namespace

// For an image of one place a tile would take 16 multiplications where the kernel has 9.
bool suits(const Conv2dSizes& s) {
  const Conv2dGeometry& g = s.geometry;
  return g.out_h() * g.out_w() > 1 && g.kernel_h == 3 && g.kernel_w == 3 && g.stride_h == 1 && g.stride_w == 1 &&
         g.dilation_h == 1 && g.dilation_w == 1 && g.padding_h <= 2 && g.padding_w <= 2 &&
         g.channels / s.groups >= 16 && s.out / s.groups >= 16;
}

void conv2d(const real* x, const real* W, const real* bias, real* y, const Conv2dSizes& s) {
  const Pass p = forward(s);
  real* const U = room_for_kernels(p);
  transform_kernels(W, p, 9, 9 * p.in, false, U);
  correlate(x, U, bias, y, p);
}

void conv2d_backward_x(const real* W, const real* dY, real* dX, const Conv2dSizes& s) {
  const Pass p = backward(s);
  real* const U = room_for_kernels(p);
  transform_kernels(W, p, 9 * p.out, 9, true, U);
  correlate(dY, U, nullptr, dX, p);
}

void conv2d_backward_w(const real* x, const real* dY, real* dW, const Conv2dSizes& s) {
  const Pass p = forward(s);
  const Pixels pixels{p};
  const Results results{p};
  const Index in = panels(p.in), out = panels(p.out);
  const std::vector<Block> all = blocks(p, 16 * (in + out) * panel);
  const auto count = static_cast<Index>(all.size());
  const Index rows = largest(all), tiles = odd(rows * p.across());
  const Index images = std::max(pixels.size(rows), results.size(rows));  // multiples of a panel, as all that follow
  const Workspace<real> workspace(images + 16 * (in + out) * tiles * panel);
  // Each thread sums up its own part of the blocks, (16, panels of in, out, panel), and the parts are added in order:
  // the same bits each time.
  const Index parts = std::min<Index>(omp_in_parallel() ? 1 : omp_get_max_threads(), count);
  const Index each = in * p.out * panel, size = p.groups * 16 * each;
  thread_local Scratch<real> kept;
  real* const sums = kept.resize(parts * size);
  parallel_for(parts, 1, [&](Index first, Index last) {
    real *const image = workspace.mine(), *const V = image + images, *const M = V + 16 * in * tiles * panel;
    for (Index part = first; part < last; ++part)
      for (Index group = 0; group < p.groups; ++group) {
        real* const sum = sums + part * size + group * 16 * each;
        std::fill_n(sum, 16 * each, real{0});
        for (Index i = count * part / parts; i < count * (part + 1) / parts; ++i) {
          const Block block = all[static_cast<std::size_t>(i)];
          const Index n = (block.end - block.begin) * p.across(), one = odd(n) * panel;
          pixels.transform(x, group, block, n, image, V);
          results.transform_backward(dY, group, block, n, image, M);
          constexpr int most = std::min(8, most_rows);  // divides a panel, but for the smallest registers
          for (Index k = 0; k < 16; ++k)
            for (Index c = 0; c < in; ++c)
              for (Index o = 0; o < out; ++o)
                for_each_part<most>(std::min<Index>(panel, p.out - o * panel), [&](Index row, auto count) {
                  constexpr int rows = decltype(count)::value;
                  const real *const m = M + (k * out + o) * one + row, *const v = V + (k * in + c) * one;
                  real* const at = sum + k * each + (c * p.out + o * panel + row) * panel;
                  Sums<rows, 2> product(at);
                  product.add(
                      n, [&](Index t, int r) { return m[t * panel + r]; }, [&](Index t) { return v + t * panel; });
                  product.store(at);
                });
        }
      }
  });
  parallel_for(p.groups * p.out * in, (1 << 8) / parts + 1, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const Index group = i / (p.out * in), o = i / in % p.out, c = i % in;
      alignas(vector_bytes) real taps[9 * panel];
      for (int v = 0; v < panel; v += lanes) {
        Square<4> sum{};
        for (Index part = 0; part < parts; ++part) {
          const Square<4> more =
              load_square<4>(sums + part * size + group * 16 * each + (c * p.out + o) * panel + v, 4 * each, each);
          for (int a = 0; a < 4; ++a)
            for (int b = 0; b < 4; ++b) sum.at[a].at[b] += more.at[a].at[b];
        }
        store_square(both(to_kernel, sum), taps + v, 3 * panel, panel);
      }
      from_panel(Walk<const real>(taps), dW + ((group * p.out + o) * p.in + c * panel) * 9, 9,
                 std::min<Index>(panel, p.in - c * panel), 9);
    }
  });
}

}  // namespace bobbin::cpu::winograd
