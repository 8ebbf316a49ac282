// A convolution is the product of the kernels, a matrix (out, C·h·w), and of the columns, (C·h·w, H'·W'), of which
// column p holds what the kernel sees at place p. A row of that matrix is one channel, moved by one element of the
// kernel: it need not be written down. Images are copied with their padding, so that no place sees beyond them, and
//
//     y[o, p] = Σ_t W[o, t] · image[offset[t] + p],        t = (channel, i, j),
//
// is a product whose rows begin anywhere in the image. Places are counted as they lie there, a row of the image after
// the other: those in the padding are computed, too, and left out.
//
// With a stride s a place moves by s pixels. Then the image is copied by phases: the pixels of columns 0, s, 2s, ...
// together, those of columns 1, s+1, 2s+1, ..., and rows likewise. In one phase neighbours see neighbours again, and
// element i of the kernel, i·dilation pixels on, sees phase i·d mod s, moved by i·d div s.
//
// Backward, a pixel in phase f of the image was seen by the elements i of this phase, at the place that lies i·d div s
// before it. So each phase of dX is a convolution of dY without stride, with these elements of the kernel; it is
// written once, and nothing is added up in memory:
//
//     dX[c, phase, q] = Σ_t W[o, c, t] · dY[o, q - (t div s)],     t = (o, the elements i, j of the phase).
//
// And dW[o, t] = Σ_p dY[o, p] · image[offset[t] + p], a product over the places, where dY is transposed: (places, out).
//
// The sums stay in registers, 14 rows of two vectors (tensor/cpu/vectors.h). On two cores with AVX-512, kernels of 3 x
// 3, that is 315 GFLOP/s forward, .8 of what the same loop makes of matrices that lie in the cache (390), where columns
// would be written first; OpenBLAS's products need theirs packed once more.
#include "tensor/cpu/direct.h"

#include <vector>

#include "tensor/cpu/axis.h"
#include "tensor/cpu/vectors.h"
#include "tensor/cpu/workspace.h"
#include "tensor/parallel.h"

namespace bobbin::cpu::direct {
namespace {

// A rectangle of (rows, cols) pixels, every step-th of each axis, of which some lie beyond the image.
struct Window {
  Index row, row_step, rows, col, col_step, cols;
};

// The pixels of one channel (height, width) of an image in a window, 0 beyond it.
void copy_window(const real* x, Index height, Index width, const Window& w, real* to) {
  const auto before = [](Index first, Index step) { return first < 0 ? (-first + step - 1) / step : 0; };
  const Index begin = std::min(before(w.col, w.col_step), w.cols);
  const Index end = std::clamp(width > w.col ? (width - 1 - w.col) / w.col_step + 1 : 0, begin, w.cols);
  for (Index r = 0; r < w.rows; ++r, to += w.cols) {
    const Index row = w.row + r * w.row_step;
    if (row < 0 || row >= height) {
      std::fill_n(to, w.cols, real{0});
      continue;
    }
    const real* const from = x + row * width + w.col;
    std::fill(to, to + begin, real{0});
    with_step(w.col_step, [=](auto step) {
#pragma omp simd
      for (Index i = begin; i < end; ++i) to[i] = from[i * step];
    });
    std::fill(to + end, to + w.cols, real{0});
  }
}

// Places beyond the last that are read, but not used: as many at most as are summed up at a time. They begin where the
// last element of a kernel looks, so that the width of a kernel (its reach) comes on top.
constexpr Index slack = 8 * lanes;

// How many vectors of places are summed up at a time, for a few output channels: enough sums for the processor to have
// always some that do not wait for the one before.
constexpr int vectors_for(int rows) { return rows * 8 <= registers / 2 ? 8 : rows * 4 <= registers / 2 ? 4 : 2; }

// y[o, p] = Σ_t A[o, t] · image[offset[t] + p] for all places of `rows` rows of `pitch`, of which the first `cols` are
// of use: calls write(o, row, col, values, count) for neighbours. A is packed, as pack() does it.
void correlate(const real* A, Index out, const std::vector<Index>& offset, const real* image, Index rows, Index pitch,
               Index cols, const auto& write) {
  const auto depth = static_cast<Index>(offset.size());
  for_each_part<most_rows>(out, [&](Index first, auto count) {
    constexpr int n = decltype(count)::value, vectors = vectors_for(n);
    constexpr Index width = vectors * lanes;
    const real* const a = A + first * depth;
    for (Index p = 0; p < rows * pitch; p += width) {
      Sums<n, vectors> sums;
      sums.add(
          depth, [&](Index t, int o) { return a[t * n + o]; },
          [&](Index t) { return image + offset[static_cast<std::size_t>(t)] + p; });
      real values[n * width];
      sums.store(values);
      Index row = p / pitch, col = p % pitch;
      for (Index i = 0; i < std::min(width, rows * pitch - p); i += pitch - col, col = 0, ++row)
        if (col < cols)
          for (int o = 0; o < n; ++o)
            write(first + o, row, col, values + o * width + i, std::min({cols - col, width - i}));
    }
  });
}

// The matrix at(row, t) in parts of most_rows rows, of which each is transposed: what correlate() reads stands in
// order.
void pack(Index rows, Index depth, real* A, const auto& at) {
  for_each_part<most_rows>(rows, [&](Index first, auto count) {
    real* const a = A + first * depth;
    for (int row = 0; row < count; ++row)
      for (Index t = 0; t < depth; ++t) a[t * count + row] = at(first + row, t);
  });
}

// What the bands of an image see: the copy of `channels` channels, by phases, and where a kernel finds there what it
// sees, relative to the place.
struct Seen {
  Axis h, w;
  Index channels, pitch;

  Seen(const Conv2dGeometry& g, Index channels)
      : h(down(g)), w(across(g)), channels(channels), pitch(w.out + w.reach()) {}
  Index plane(Index rows) const { return (rows + h.reach()) * pitch; }  // of one phase
  Index size(Index rows) const { return channels * h.phases() * w.phases() * plane(rows); }

  std::vector<Index> offsets(Index rows) const {
    std::vector<Index> offset;
    for (Index c = 0; c < channels; ++c)
      for (Index i = 0; i < h.kernel; ++i)
        for (Index j = 0; j < w.kernel; ++j)
          offset.push_back(((c * h.phases() + h.phase_of(i)) * w.phases() + w.phase_of(j)) * plane(rows) +
                           h.shift(i) * pitch + w.shift(j));
    return offset;
  }

  void copy(const real* x, Band rows, real* to) const {
    for (Index c = 0; c < channels; ++c, x += h.in * w.in)
      for (Index f = 0; f < h.phases(); ++f)
        for (Index e = 0; e < w.phases(); ++e, to += plane(rows.rows()))
          copy_window(
              x, h.in, w.in,
              {h.first(f) + rows.begin * h.stride, h.stride, rows.rows() + h.reach(), w.first(e), w.stride, pitch}, to);
    std::fill_n(to, slack, real{0});
  }
};

}  // namespace

void conv2d(const real* x, const real* W, const real* bias, real* y, const Conv2dSizes& s) {
  const Conv2dGeometry& g = s.geometry;
  const Index C = g.channels / s.groups, out = s.out / s.groups, depth = C * g.kernel_h * g.kernel_w;
  const Seen seen(g, C);
  const Index out_h = seen.h.out, out_w = seen.w.out, pitch = seen.pitch;
  const Index images = s.batch * s.groups, count = bands(images, out_h, seen.size(out_h));
  const Index largest = (out_h + count - 1) / count;
  // The kernels, packed; then what each thread sees.
  std::vector<real> packed(static_cast<std::size_t>(s.out * depth));
  parallel_for(s.groups, (1 << 15) / (out * depth) + 1, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i)
      pack(out, depth, packed.data() + i * out * depth, [&](Index o, Index t) { return W[(i * out + o) * depth + t]; });
  });
  const std::vector<Index> offset[] = {seen.offsets(largest), seen.offsets(std::max<Index>(1, largest - 1))};
  const Workspace<real> workspace(seen.size(largest) + slack + seen.w.reach());
  parallel_for(images * count, 1, [&](Index begin, Index end) {
    real* const image = workspace.mine();
    for (Index task = begin; task < end; ++task) {
      const Index i = task / count, group = i % s.groups;
      const Band rows = band(task % count, count, out_h);
      seen.copy(x + i * C * g.height * g.width, rows, image);
      real* const to = y + i * out * out_h * out_w + rows.begin * out_w;
      correlate(packed.data() + group * out * depth, out, offset[rows.rows() < largest], image, rows.rows(), pitch,
                out_w, [&](Index o, Index row, Index col, const real* values, Index n) {
                  const real b = bias ? bias[group * out + o] : 0;
                  real* const at = to + (o * out_h + row) * out_w + col;
#pragma omp simd
                  for (Index k = 0; k < n; ++k) at[k] = values[k] + b;
                });
    }
  });
}

void conv2d_backward_x(const real* W, const real* dY, real* dX, const Conv2dSizes& s) {
  const Conv2dGeometry& g = s.geometry;
  const Index C = g.channels / s.groups, out = s.out / s.groups, kernel = g.kernel_h * g.kernel_w;
  const Axis h = down(g), w = across(g);
  const Index steps_h = h.steps(), steps_w = w.steps(), pitch = steps_w + w.reach();
  const auto plane = [&](Index rows) { return (rows + h.reach()) * pitch; };
  const Index images = s.batch * s.groups, count = bands(images, steps_h, out * plane(steps_h));
  const Index largest = (steps_h + count - 1) / count;
  // For each phase its elements of the kernel, packed, and where these find in dY what they have given.
  struct Phase {
    Index row, col;                      // the first pixel
    std::vector<Index> taps, offset[2];  // i·w + j; of bands of the largest height, and of one row less
    std::vector<real> packed;            // (groups, C, out·taps)
  };
  std::vector<Phase> phases;
  for (Index f = 0; f < h.phases(); ++f)
    for (Index e = 0; e < w.phases(); ++e) {
      Phase& phase = phases.emplace_back(Phase{h.first(f), w.first(e), {}, {}, {}});
      for (Index i = 0; i < h.kernel; ++i)
        for (Index j = 0; j < w.kernel; ++j)
          if (h.phase_of(i) == f && w.phase_of(j) == e) phase.taps.push_back(i * w.kernel + j);
      for (const Index less : {0, 1})
        for (Index o = 0; o < out; ++o)
          for (const Index tap : phase.taps)
            phase.offset[less].push_back(o * plane(largest - less) + (h.reach() - h.shift(tap / w.kernel)) * pitch +
                                         w.reach() - w.shift(tap % w.kernel));
      phase.packed.resize(static_cast<std::size_t>(s.groups * C) * phase.offset[0].size());
    }
  parallel_for(s.groups, (1 << 15) / (C * out * kernel) + 1, [&](Index begin, Index end) {
    for (Index group = begin; group < end; ++group)
      for (Phase& phase : phases) {
        const auto taps = static_cast<Index>(phase.taps.size()), depth = out * taps;
        pack(C, depth, phase.packed.data() + group * C * depth, [&](Index c, Index t) {
          return W[((group * out + t / taps) * C + c) * kernel + phase.taps[static_cast<std::size_t>(t % taps)]];
        });
      }
  });
  // Where no element of the kernel looks.
  if (h.phases() < g.stride_h || w.phases() < g.stride_w) fill(dX, 0, s.batch * g.channels * g.height * g.width);

  const Workspace<real> workspace(out * plane(largest) + slack + w.reach());
  parallel_for(images * count, 1, [&](Index begin, Index end) {
    real* const image = workspace.mine();
    for (Index task = begin; task < end; ++task) {
      const Index i = task / count;
      const Band rows = band(task % count, count, steps_h);
      for (Index o = 0; o < out; ++o)
        copy_window(dY + (i * out + o) * h.out * w.out, h.out, w.out,
                    {rows.begin - h.reach(), 1, rows.rows() + h.reach(), -w.reach(), 1, pitch},
                    image + o * plane(rows.rows()));
      std::fill_n(image + out * plane(rows.rows()), slack, real{0});
      for (const Phase& phase : phases) {
        const std::vector<Index>& offset = phase.offset[rows.rows() < largest];
        const real* const A = phase.packed.data() + i % s.groups * C * static_cast<Index>(offset.size());
        correlate(A, C, offset, image, rows.rows(), pitch, steps_w,
                  [&](Index c, Index row, Index col, const real* values, Index n) {
                    const Index y = phase.row + (rows.begin + row) * g.stride_h;
                    if (y < 0 || y >= g.height) return;
                    real* const to = dX + ((i * C + c) * g.height + y) * g.width;
                    const Index x = phase.col + col * g.stride_w;
                    const Index k0 = x < 0 ? (-x + g.stride_w - 1) / g.stride_w : 0;
                    const Index k1 = x < g.width ? std::min(n, (g.width - 1 - x) / g.stride_w + 1) : 0;
                    with_step(g.stride_w, [=](auto step) {
#pragma omp simd
                      for (Index k = k0; k < k1; ++k) to[x + k * step] = values[k];
                    });
                  });
      }
    }
  });
}

namespace {

// dW of few output channels, summed up over the lanes: sums[o, t] += Σ_p dY[o, p] · image[offset[t] + p]. Each number
// of sums is a vector.
void add_by_places(const real* dY, Index out, Index plane, const std::vector<Index>& offset, const real* image,
                   Index rows, Index cols, Index pitch, real* sums) {
  constexpr int most = registers / 4;
  const auto depth = static_cast<Index>(offset.size());
  for (Index o = 0; o < out; ++o)
    for_each_part<most>(depth, [&](Index first, auto count) {
      constexpr int n = decltype(count)::value;
      const real* at[n];
      Vector sum[n];
      real* const kept = sums + (o * depth + first) * lanes;
      for (int t = 0; t < n; ++t) at[t] = image + offset[static_cast<std::size_t>(first + t)];
      for (int t = 0; t < n; ++t) sum[t] = load(kept + t * lanes);
      for (Index row = 0; row < rows; ++row) {
        const real* const from = dY + o * plane + row * cols;
        Index col = 0;
        for (; col + lanes <= cols; col += lanes) {
          const Vector y = load(from + col);
#pragma GCC unroll 16
          for (int t = 0; t < n; ++t) sum[t] += y * load(at[t] + row * pitch + col);
        }
        if (col == cols) continue;
        const Vector y = load(from + col, cols - col);
#pragma GCC unroll 16
        for (int t = 0; t < n; ++t) sum[t] += y * load(at[t] + row * pitch + col, cols - col);
      }
      for (int t = 0; t < n; ++t) store(sum[t], kept + t * lanes);
    });
}

// The same for many: sums (panels of out, depth, panel) += image, as above, times dY transposed, (panels of out, rows ·
// cols, panel).
void add_by_channels(const real* dY, Index panels, const std::vector<Index>& offset, const real* image, Index rows,
                     Index cols, Index pitch, real* sums) {
  constexpr int most = std::min(8, most_rows);  // each has a pointer in a register
  const auto depth = static_cast<Index>(offset.size());
  for (Index k = 0; k < panels; ++k)
    for_each_part<most>(depth, [&](Index first, auto count) {
      constexpr int n = decltype(count)::value;
      const real* at[n];
      for (int t = 0; t < n; ++t) at[t] = image + offset[static_cast<std::size_t>(first + t)];
      real* const kept = sums + (k * depth + first) * panel;
      Sums<n, 2> sum(kept);
      const real* from = dY + k * rows * cols * panel;
      for (Index row = 0; row < rows; ++row, from += cols * panel)
        sum.add(
            cols, [&](Index col, int t) { return at[t][row * pitch + col]; },
            [&](Index col) { return from + col * panel; });
      sum.store(kept);
    });
}

}  // namespace

void conv2d_backward_w(const real* x, const real* dY, real* dW, const Conv2dSizes& s) {
  const Conv2dGeometry& g = s.geometry;
  const Index C = g.channels / s.groups, out = s.out / s.groups, depth = C * g.kernel_h * g.kernel_w;
  const Seen seen(g, C);
  const Index out_h = seen.h.out, out_w = seen.w.out, plane = out_h * out_w;
  const bool by_places = out <= lanes / 2;
  const Index panels = (out + panel - 1) / panel;
  // So few rows that what they see, and dY, fit into the cache.
  const Index count = bands(s.batch, out_h, 2 * (seen.size(out_h) + panels * panel * plane));
  const Index largest = (out_h + count - 1) / count;
  const std::vector<Index> offset[] = {seen.offsets(largest), seen.offsets(std::max<Index>(1, largest - 1))};
  // Each thread sums up its own part of the images, and the parts are added in order: the same bits each time.
  const Index group_size = by_places ? out * depth * lanes : panels * depth * panel, size = s.groups * group_size;
  const Index parts = std::min<Index>(omp_in_parallel() ? 1 : omp_get_max_threads(), s.batch * count);
  const Index mine = seen.size(largest) + slack + panels * panel * largest * out_w;
  std::vector<real> sums(static_cast<std::size_t>(parts * size));
  std::vector<real> work(static_cast<std::size_t>(parts * mine));
  parallel_for(parts, 1, [&](Index first, Index last) {
    for (Index part = first; part < last; ++part) {
      real *const image = work.data() + part * mine, *const turned = image + seen.size(largest) + slack;
      for (Index task = s.batch * count * part / parts; task < s.batch * count * (part + 1) / parts; ++task)
        for (Index group = 0; group < s.groups; ++group) {
          const Index i = task / count * s.groups + group;
          const Band rows = band(task % count, count, out_h);
          const real* const from = dY + i * out * plane + rows.begin * out_w;
          real* const to = sums.data() + part * size + group * group_size;
          seen.copy(x + i * C * g.height * g.width, rows, image);
          const std::vector<Index>& offsets = offset[rows.rows() < largest];
          if (by_places) {
            add_by_places(from, out, plane, offsets, image, rows.rows(), out_w, seen.pitch, to);
          } else {
            const Index places = rows.rows() * out_w;
            for (Index k = 0; k < panels; ++k)
              to_panel(from + k * panel * plane, plane, std::min<Index>(panel, out - k * panel), places,
                       Walk(turned + k * places * panel));
            add_by_channels(turned, panels, offsets, image, rows.rows(), out_w, seen.pitch, to);
          }
        }
    }
  });
  parallel_for(s.out, (1 << 14) / (depth * parts) + 1, [&](Index begin, Index end) {
    for (Index o = begin; o < end; ++o)
      for (Index t = 0; t < depth; ++t) {
        const Index group = o / out, k = o % out;
        real sum = 0;
        for (Index part = 0; part < parts; ++part) {
          const real* const from = sums.data() + part * size + group * group_size;
          if (by_places)
            for (int lane = 0; lane < lanes; ++lane) sum += from[(k * depth + t) * lanes + lane];
          else
            sum += from[(k / panel * depth + t) * panel + k % panel];
        }
        dW[o * depth + t] = sum;
      }
  });
}

}  // namespace bobbin::cpu::direct
