// The first layer of a network, 7 x 7 with a stride of 2, or 3 x 3 on one or three channels: Winograd's algorithm along
// rows. (tensor/cpu/winograd.cpp says what it is. On both axes the transforms are repaid only by sums over many
// channels.)
//
// With a stride s a kernel is s kernels without one, of which each sees every s-th column (a phase, as in
// tensor/cpu/direct.cpp): of 7 elements one sees four, and the other three. A tile, four neighbours of the result, sees
// of a phase with r elements g₀ ... g_r₋₁ the pixels d₀ ... d_r₊₂,
//
//     y_j = Σ_i g_i·d_i₊ⱼ,      j = 0 ... 3,
//
// in 4·r multiplications, of which n = r + 3 suffice. Take polynomials g(x) = Σ_i g_i·xⁱ and a(x) = Σ_j a_j·xʲ. Their
// product has n coefficients c_m = Σ_j g_m₋ⱼ·a_j, which follow from its values at n - 1 points p, and from that "at
// infinity", the leading coefficient g_r₋₁·a₃; and values are multiplied one by one: c = C·[(G·g) ⊙ (A·a)], where G and
// A take values and C interpolates. For a fixed g this is a matrix times a, and its transposed, which takes d to Σ_m
// g_m₋ⱼ·d_m = y_j, is
//
//     y = Aᵀ·[(G·g) ⊙ (Cᵀ·d)]:
//
//     (G·g)_k = g(p_k) / Π_l (p_k - p_l)  over all l but k,             at infinity g_r₋₁;
//     (Cᵀ·d)_k = Σ_i c_i·d_i, where Σ_i c_i·xⁱ = Π_l (x - p_l)  over all l but k, at infinity over all l;
//     y_j = Σ_k (p_k)ʲ·m_k, and for j = 3 what is at infinity besides.
//
// What Aᵀ does with a point does not depend on r, and a phase with fewer elements leaves out points: so what channels,
// rows of the kernel and phases give at a point is summed up before Aᵀ. For 7 x 7 with stride 2 the phases take 7 + 6
// multiplications for four results, instead of 28. The sum at a point is a product whose rows lie in Cᵀ·d, as those of
// tensor/cpu/direct.cpp in the image, but that a place is now a tile.
//
// Error in float32, against double, as the largest difference over the largest number, and of the direct way: 7 x 7
// with stride 2 on 3 channels 1.2e-6 (5e-7), on 15 1.6e-6 (9e-7); 8 x 8 on 15 2.3e-6 (1.0e-6); 3 x 3 on one 5e-7
// (1e-7). With other points it is up to three times as large. An infinite pixel becomes NaN, in all
// results of its tiles.
//
// What each choice brought, on two cores with AVX2 (Zen 3), 32 images of 3 x 224 x 224, PyTorch's time over this one,
// in turn: the direct way .76; tiles of two results .87, and .93 if the lines that sums are written to are asked for
// before they are computed; a faster transform 1.04; tiles of three 1.14, and of four 1.21. Each figure is a median of
// fifteen, from runs in which that of the direct way was .71 to .79.
#include "tensor/cpu/winograd_rows.h"

#include <array>
#include <vector>

#include "tensor/cpu/axis.h"
#include "tensor/cpu/vectors.h"
#include "tensor/cpu/workspace.h"
#include "tensor/parallel.h"

namespace bobbin::cpu::winograd_rows {
namespace {

constexpr int results = 4;                            // of a tile
constexpr int most_taps = 4;                          // of a phase
constexpr int most_values = most_taps + results - 1;  // n
constexpr real points[most_values - 1] = {0, 1, -1, real(0.5), -2, 2};

// One of the values that a phase of columns becomes: a row of G, and one of Cᵀ.
struct Value {
  Index phase;
  int taps, count, k;                          // r and n, and which of the n; infinity is the last
  real divisor = 1;                            // Π_l (p_k - p_l)
  std::array<real, most_values> of_pixels{1};  // the c_i

  Value(Index phase, int taps, int k) : phase(phase), taps(taps), count(taps + results - 1), k(k) {
    for (int l = 0; l < count - 1; ++l) {
      if (l == k) continue;
      if (!infinite()) divisor *= points[k] - points[l];
      for (int i = count - 1; i >= 0; --i) of_pixels[i] = (i > 0 ? of_pixels[i - 1] : 0) - points[l] * of_pixels[i];
    }
  }
  bool infinite() const { return k == count - 1; }
  real of_kernel(const real* g, Index step) const {
    if (infinite()) return g[(taps - 1) * step];
    real value = 0;
    for (int i = taps - 1; i >= 0; --i) value = value * points[k] + g[i * step];
    return value / divisor;
  }
};

// What a band of an image becomes: (channels, phases of rows, values, rows, tiles).
struct Transformed {
  Axis h, w;
  Index channels, tiles;
  std::vector<Value> values;

  Transformed(const Conv2dGeometry& g, Index channels)
      : h(down(g)), w(across(g)), channels(channels), tiles((w.out + results - 1) / results) {
    for (Index phase = 0; phase < w.phases(); ++phase) {
      const int taps = static_cast<int>((w.kernel - phase + w.stride - 1) / w.stride);
      for (int k = 0; k < taps + results - 1; ++k) values.emplace_back(phase, taps, k);
    }
  }
  Index count() const { return static_cast<Index>(values.size()); }
  Index plane(Index rows) const { return (rows + h.reach()) * tiles; }
  Index size(Index rows) const { return channels * h.phases() * count() * plane(rows); }
  // Where a channel, a row of the kernel and a value are found, relative to the tile.
  Index offset(Index channel, Index row, Index value, Index rows) const {
    return ((channel * h.phases() + h.phase_of(row)) * count() + value) * plane(rows) + h.shift(row) * tiles;
  }

  // Next to one another, a row of pixels lies split up by the distance of tiles: every results·stride-th pixel in one
  // part.
  Index parts() const { return results * w.stride; }
  Index part() const { return tiles + most_values; }
  void split(const real* row, real* to) const {
    for (Index i = 0; i < parts(); ++i, to += part()) {
      const Index first = i - w.padding;
      const Index begin = std::min(first < 0 ? (-first + parts() - 1) / parts() : 0, part());
      const Index end = std::clamp(first < w.in ? (w.in - 1 - first) / parts() + 1 : 0, begin, part());
      std::fill_n(to, begin, real{0});
      for (Index t = begin; t < end; ++t) to[t] = row[first + t * parts()];
      std::fill(to + end, to + part(), real{0});
    }
  }
  void transform(const real* x, Band band, real* pixels, real* to) const {
    const Index each = plane(band.rows());
    for (Index c = 0; c < channels; ++c, x += h.in * w.in)
      for (Index f = 0; f < h.phases(); ++f)
        for (Index r = 0; r < band.rows() + h.reach(); ++r) {
          const Index row = h.first(f) + (band.begin + r) * h.stride;
          const bool inside = row >= 0 && row < h.in;
          if (inside) split(x + row * w.in, pixels);
          real* at = to + (c * h.phases() + f) * count() * each + r * tiles;
          for (const Value& value : values) {
            if (inside)
              with_constant<most_values>(value.count, [&](auto n) {
                const real* d[n];
                real factor[n];
                for (int i = 0; i < n; ++i) {
                  factor[i] = value.of_pixels[i];
                  const Index column = value.phase + i * w.stride;
                  d[i] = pixels + column % parts() * part() + column / parts();
                }
#pragma omp simd
                for (Index t = 0; t < tiles; ++t) {
                  real sum = 0;
                  for (int i = 0; i < n; ++i) sum += factor[i] * d[i][t];
                  at[t] = sum;
                }
              });
            else
              std::fill_n(at, tiles, real{0});
            at += each;
          }
        }
  }
};

// Aᵀ·m, of vectors of tiles: the results of a tile become neighbours.
template <int n>
void to_results(const real (&m)[most_values][n], Index last, real* y) {
  for (int j = 0; j < n; j += lanes, y += results * lanes) {
    Vector sum[results] = {};
    sum[results - 1] = load(m[last] + j);
    for (Index k = 0; k < last; ++k) {
      Vector term = load(m[k] + j);
      sum[0] += term;
      for (int i = 1; i < results; ++i) term *= points[k], sum[i] += term;
    }
    alignas(vector_bytes) real apart[results][lanes];
    for (int i = 0; i < results; ++i) store(sum[i], apart[i]);
#pragma omp simd
    for (int lane = 0; lane < lanes; ++lane)
      for (int i = 0; i < results; ++i) y[results * lane + i] = apart[i][lane];
  }
}

}  // namespace

// Of 3 x 3 with stride 2 and the like phases have two elements or fewer, and there is little to gain; 3 x 3 on many
// channels is tensor/cpu/winograd.h's. With AVX2 5 x 5 with stride 2 on 16 and 64 channels was a quarter slower than
// the direct way.
bool suits(const Conv2dSizes& s) {
  const Conv2dGeometry& g = s.geometry;
  return g.dilation_w == 1 && g.kernel_w > 2 * g.stride_w && g.kernel_w <= most_taps * g.stride_w && g.out_w() >= 8 &&
         g.channels / s.groups < 16 && s.out / s.groups >= 8;
}

void conv2d(const real* x, const real* W, const real* bias, real* y, const Conv2dSizes& s) {
  const Conv2dGeometry& g = s.geometry;
  const Index C = g.channels / s.groups, out = s.out / s.groups;
  const Transformed seen(g, C);
  const Index out_h = seen.h.out, out_w = seen.w.out, tiles = seen.tiles;
  const Index images = s.batch * s.groups, count = bands(images, out_h, seen.size(out_h));
  const Index largest = (out_h + count - 1) / count;

  // What is summed up at each point, infinity last: the kernels, packed as they are read, and where their rows lie, in
  // bands of the largest height and of one row less.
  const int last = seen.values.front().count - 1;  // the first phase has the most taps
  Index before[most_values + 1] = {};              // terms of the points before
  std::vector<Index> offset[2];
  std::vector<std::array<Index, 3>> terms;  // channel, row of the kernel, value
  for (int k = 0; k <= last; ++k) {
    for (Index c = 0; c < C; ++c)
      for (Index i = 0; i < g.kernel_h; ++i)
        for (Index v = 0; v < seen.count(); ++v) {
          const Value& value = seen.values[static_cast<std::size_t>(v)];
          if ((value.infinite() ? last : value.k) != k) continue;
          terms.push_back({c, i, v});
          for (const Index less : {0, 1})
            offset[less].push_back(seen.offset(c, i, v, std::max<Index>(1, largest - less)));
        }
    before[k + 1] = static_cast<Index>(terms.size());
  }
  const Index depth = before[last + 1];
  std::vector<real> packed(static_cast<std::size_t>(s.out * depth));
  parallel_for(s.groups, (1 << 15) / (out * depth) + 1, [&](Index begin, Index end) {
    for (Index group = begin; group < end; ++group)
      for_each_part<most_rows>(out, [&](Index first, auto n) {
        real* a = packed.data() + (group * out + first) * depth;
        for (const auto& [c, i, v] : terms) {
          const Value& value = seen.values[static_cast<std::size_t>(v)];
          for (int o = 0; o < n; ++o)
            *a++ = value.of_kernel(
                W + (((group * out + first + o) * C + c) * g.kernel_h + i) * g.kernel_w + value.phase, g.stride_w);
        }
      });
  });

  const Workspace<real> workspace(seen.size(largest) + panel + seen.parts() * seen.part());
  parallel_for(images * count, 1, [&](Index begin, Index end) {
    real *const image = workspace.mine(), *const pixels = image + seen.size(largest) + panel;
    for (Index task = begin; task < end; ++task) {
      const Index i = task / count, group = i % s.groups;
      const Band rows = band(task % count, count, out_h);
      seen.transform(x + i * C * g.height * g.width, rows, pixels, image);
      const Index* const offsets = offset[rows.rows() < largest].data();
      for_each_part<most_rows>(out, [&](Index first, auto constant) {
        constexpr int n = decltype(constant)::value;
        const real* const a = packed.data() + (group * out + first) * depth;
        real* const to = y + (i * out + first) * out_h * out_w + rows.begin * out_w;
        for (Index p = 0; p < rows.rows() * tiles; p += panel) {
          Index row = p / tiles, tile = p % tiles;
          for (int o = 0; o < n; ++o)
            for (Index ahead = 0; ahead < results * panel; ahead += Index{64} / sizeof(real))  // cache lines
              __builtin_prefetch(to + (o * out_h + row) * out_w + results * tile + ahead, 1);
          real m[most_values][n * panel];
          for (int k = 0; k <= last; ++k) {
            Sums<n, 2> sums;
            sums.add(
                before[k + 1] - before[k], [a = a + before[k] * n](Index t, int o) { return a[t * n + o]; },
                [image = image + p, at = offsets + before[k]](Index t) { return image + at[t]; });
            sums.store(m[k]);
          }
          real values[n * panel * results];
          to_results(m, last, values);
          for (Index j = 0; j < std::min<Index>(panel, rows.rows() * tiles - p); j += tiles - tile, tile = 0, ++row) {
            const Index some = std::min(results * std::min(tiles - tile, panel - j), out_w - results * tile);
            for (int o = 0; o < n; ++o) {
              const real b = bias ? bias[group * out + first + o] : 0;
              const real* const from = values + (o * panel + j) * results;
              real* const at = to + (o * out_h + row) * out_w + results * tile;
#pragma omp simd
              for (Index l = 0; l < some; ++l) at[l] = from[l] + b;
            }
          }
        }
      });
    }
  });
}

}  // namespace bobbin::cpu::winograd_rows
