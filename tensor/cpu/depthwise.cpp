// Where each kernel sees one channel there is nothing to multiply matrices of: a number of an image meets h·w others.
// So channels are the vectors. A panel of them is copied with its padding so that they lie side by side at each pixel,
// and
//
//     y[p] = Σ_t W[t] ⊙ image[s·p + offset[t]],      t = (i, j),
//
// for a few neighbours p at a time, whose sums stay in registers. With vectors of pixels, which lie as they are,
// nothing would have to be copied; but a kernel moved by one pixel reads vectors that lie across two lines of the
// cache, and that takes twice as long as the copy and the sums together.
//
// dX is the same of dY, for each phase of its pixels with the elements of the kernel that see it (tensor/cpu/axis.h),
// and dW[t] = Σ_p dY[p] ⊙ image[s·p + offset[t]] keeps a few elements t in registers.
#include "tensor/cpu/depthwise.h"

#include <vector>

#include "tensor/cpu/axis.h"
#include "tensor/cpu/vectors.h"
#include "tensor/cpu/workspace.h"
#include "tensor/parallel.h"

namespace bobbin::cpu::depthwise {
namespace {

constexpr int most = registers / 2;  // sums at a time

// Kernels come in `groups` channels of `times` each.
struct Sizes {
  const Conv2dGeometry& g;
  Index batch, channels, times;
  Axis h = down(g), w = across(g);

  explicit Sizes(const Conv2dSizes& s) : g(s.geometry), batch(s.batch), channels(s.groups), times(s.out / s.groups) {}
  Index taps() const { return h.kernel * w.kernel; }
  Index panels() const { return (channels + panel - 1) / panel; }
  Index in_panel(Index c) const { return std::min<Index>(panel, channels - c); }
};

// Rows of pixels of a panel of channels, 0 beyond the image: row 0 here is row `top` there, and so with columns.
struct Image {
  Index top, left, rows, cols;

  Index size() const { return rows * cols * panel; }
  // Of planes (height, width) that lie `stride` apart.
  void copy(const real* x, Index stride, Index channels, Index height, Index width, real* to) const {
    const Index begin = std::clamp<Index>(-left, 0, cols), end = std::clamp(width - left, begin, cols);
    const Index first = std::clamp<Index>(-top, 0, rows), last = std::clamp(height - top, first, rows);
    std::fill_n(to, first * cols * panel, real{0});
    std::fill_n(to + last * cols * panel, (rows - last) * cols * panel, real{0});
    for (Index row = first; row < last; ++row) {
      real* const at = to + row * cols * panel;
      std::fill_n(at, begin * panel, real{0});
      std::fill_n(at + end * panel, (cols - end) * panel, real{0});
    }
    const real* const from = x + (top + first) * width + left + begin;
    real* const at = to + (first * cols + begin) * panel;
    if (end - begin == width)  // whole rows, which follow each other
      return to_panel(from, stride, channels, (last - first) * width, Walk(at, width, cols));
    for (Index row = 0; row < last - first; ++row)
      to_panel(from + row * width, stride, channels, end - begin, Walk(at + row * cols * panel));
  }
};

// Kernels (channels · times, h·w) as (panels, times, h·w, panel).
std::vector<real> in_panels(const real* W, const Sizes& s) {
  std::vector<real> to(static_cast<std::size_t>(s.panels() * s.times * s.taps() * panel));
  for (Index c = 0; c < s.channels; c += panel)
    for (Index k = 0; k < s.times; ++k)
      to_panel(W + (c * s.times + k) * s.taps(), s.times * s.taps(), s.in_panel(c), s.taps(),
               Walk(to.data() + (c / panel * s.times + k) * s.taps() * panel));
  return to;
}

// One element of the kernel: its number, and where it looks, in numbers from the place.
struct Tap {
  Index number, offset;
};

// y[i] = start + Σ_t W[t] ⊙ image[step·i + offset[t]] for `count` neighbours, `step` and `step_y` pixels apart, and
// half a panel of channels: so all that a row of places sees of them stays in the first cache for the next row. Without
// a start y goes on from what it is.
void add_row(const real* W, const std::vector<Tap>& taps, const real* image, Index step, const real* start, real* y,
             Index step_y, Index count) {
  for_each_part<most>(count, [&](Index first, auto count) {
    with_step(step, [&](auto step) {  // a constant one needs no arithmetic with addresses
      constexpr int n = decltype(count)::value;
      real* const to = y + first * step_y * panel;
      Vector sum[n];
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) sum[i] = load(start ? start : to + i * step_y * panel);
      for (const Tap& tap : taps) {
        const Vector w = load(W + tap.number * panel);
        const real* const from = image + tap.offset + first * step * panel;
#pragma GCC unroll 16
        for (int i = 0; i < n; ++i) sum[i] += w * load(from + i * step * panel);
      }
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) store(sum[i], to + i * step_y * panel);
    });
  });
}

// dW[t] += Σ_i dY[i] ⊙ image[step·i + offset[t]] over rows of places.
void add_taps(real* dW, const std::vector<Tap>& taps, const real* image, Index step, Index step_row, const real* dY,
              Index rows, Index cols) {
  for_each_part<most>(static_cast<Index>(taps.size()), [&](Index first, auto count) {
    constexpr int n = decltype(count)::value;
    for (int v = 0; v < panel; v += lanes) {
      const real* at[n];
      Vector sum[n];
#pragma GCC unroll 16
      for (int t = 0; t < n; ++t) {
        at[t] = image + taps[static_cast<std::size_t>(first + t)].offset + v;
        sum[t] = load(dW + (first + t) * panel + v);
      }
      for (Index row = 0; row < rows; ++row)
        for (Index col = 0; col < cols; ++col) {
          const Vector y = load(dY + (row * cols + col) * panel + v);
#pragma GCC unroll 16
          for (int t = 0; t < n; ++t) sum[t] += y * load(at[t] + row * step_row + col * step);
        }
#pragma GCC unroll 16
      for (int t = 0; t < n; ++t) store(sum[t], dW + (first + t) * panel + v);
    }
  });
}

// What `rows` rows of places see, from the first of them on; and where each element of the kernel looks.
Image seen_by(const Sizes& s, Index first, Index rows) {
  const auto span = [](const Axis& a, Index places) {
    return (places - 1) * a.stride + (a.kernel - 1) * a.dilation + 1;
  };
  return {first * s.h.stride - s.h.padding, -s.w.padding, span(s.h, rows), span(s.w, s.w.out)};
}
std::vector<Tap> taps_of(const Sizes& s) {
  const Index pitch = seen_by(s, 0, 1).cols;
  std::vector<Tap> taps;
  for (Index i = 0; i < s.h.kernel; ++i)
    for (Index j = 0; j < s.w.kernel; ++j)
      taps.push_back({i * s.w.kernel + j, (i * s.h.dilation * pitch + j * s.w.dilation) * panel});
  return taps;
}

}  // namespace

bool suits(const Conv2dSizes& s) { return s.groups == s.geometry.channels && s.groups >= lanes; }

void conv2d(const real* x, const real* W, const real* bias, real* y, const Conv2dSizes& sizes) {
  const Sizes s(sizes);
  const std::vector<real> kernels = in_panels(W, s);
  const std::vector<Tap> taps = taps_of(s);
  const Index plane = s.h.out * s.w.out, images = s.batch * s.panels();
  const Index count = bands(images, s.h.out, seen_by(s, 0, s.h.out).size() + plane * panel);
  const Index largest = (s.h.out + count - 1) / count, seen = seen_by(s, 0, largest).size();
  const Workspace<real> workspace(seen + largest * s.w.out * panel);
  parallel_for(images * count, 1, [&](Index begin, Index end) {
    real *const image = workspace.mine(), *const result = image + seen;
    for (Index task = begin; task < end; ++task) {
      const Band rows = band(task % count, count, s.h.out);
      const Index b = task / count / s.panels(), c = task / count % s.panels() * panel, n = s.in_panel(c);
      const Image part = seen_by(s, rows.begin, rows.rows());
      part.copy(x + (b * s.channels + c) * s.h.in * s.w.in, s.h.in * s.w.in, n, s.h.in, s.w.in, image);
      for (Index k = 0; k < s.times; ++k) {
        real start[panel] = {};
        for (Index i = 0; bias && i < n; ++i) start[i] = bias[(c + i) * s.times + k];
        real* const to = y + ((b * s.channels + c) * s.times + k) * plane + rows.begin * s.w.out;
        for (int v = 0; v < panel; v += lanes)
          for (Index row = 0; row < rows.rows(); ++row)
            add_row(kernels.data() + (c / panel * s.times + k) * s.taps() * panel + v, taps,
                    image + row * s.h.stride * part.cols * panel + v, s.w.stride, start + v,
                    result + row * s.w.out * panel + v, 1, s.w.out);
        from_panel(Walk<const real>(result), to, s.times * plane, n, rows.rows() * s.w.out);
      }
    }
  });
}

void conv2d_backward_x(const real* W, const real* dY, real* dX, const Conv2dSizes& sizes) {
  const Sizes s(sizes);
  const std::vector<real> kernels = in_panels(W, s);
  const Axis &h = s.h, &w = s.w;
  // A band is a number of steps of each phase; their pixels lie together in rows of steps · stride.
  const Index steps_h = h.steps(), steps_w = w.steps(), pitch = steps_w * w.stride;
  const auto seen_by_steps = [&](Index first, Index rows) {
    return Image{first - h.reach(), -w.reach(), rows + h.reach(), steps_w + w.reach()};
  };
  struct Phase {
    Index row, col;  // its first pixel, relative to that of the first step
    std::vector<Tap> taps;
  };
  std::vector<Phase> phases;
  for (Index f = 0; f < h.phases(); ++f)
    for (Index e = 0; e < w.phases(); ++e) {
      Phase& phase = phases.emplace_back(Phase{h.first(f) + h.padding, w.first(e) + w.padding, {}});
      for (Index i = 0; i < h.kernel; ++i)
        for (Index j = 0; j < w.kernel; ++j)
          if (h.phase_of(i) == f && w.phase_of(j) == e)
            phase.taps.push_back(
                {i * w.kernel + j,
                 ((h.reach() - h.shift(i)) * seen_by_steps(0, 1).cols + w.reach() - w.shift(j)) * panel});
    }
  const Index plane = h.out * w.out, images = s.batch * s.panels();
  const Index count = bands(images, steps_h, seen_by_steps(0, steps_h).size() + steps_h * h.stride * pitch * panel);
  const Index largest = (steps_h + count - 1) / count, seen = seen_by_steps(0, largest).size();
  const Workspace<real> workspace(seen + largest * h.stride * pitch * panel);
  parallel_for(images * count, 1, [&](Index begin, Index end) {
    real *const image = workspace.mine(), *const result = image + seen;
    for (Index task = begin; task < end; ++task) {
      const Band rows = band(task % count, count, steps_h);
      const Index b = task / count / s.panels(), c = task / count % s.panels() * panel, n = s.in_panel(c);
      const Image part = seen_by_steps(rows.begin, rows.rows());
      std::fill_n(result, rows.rows() * h.stride * pitch * panel, real{0});
      for (Index k = 0; k < s.times; ++k) {
        part.copy(dY + ((b * s.channels + c) * s.times + k) * plane, s.times * plane, n, h.out, w.out, image);
        for (int v = 0; v < panel; v += lanes)
          for (const Phase& phase : phases)
            for (Index row = 0; row < rows.rows(); ++row)
              add_row(kernels.data() + (c / panel * s.times + k) * s.taps() * panel + v, phase.taps,
                      image + row * part.cols * panel + v, 1, nullptr,
                      result + ((row * h.stride + phase.row) * pitch + phase.col) * panel + v, w.stride, steps_w);
      }
      const Index first = rows.begin * h.stride - h.padding;  // the row of the image that result begins with
      for (Index row = std::max<Index>(first, 0); row < std::min(rows.end * h.stride - h.padding, h.in); ++row)
        from_panel(Walk<const real>(result + ((row - first) * pitch + w.padding) * panel),
                   dX + ((b * s.channels + c) * h.in + row) * w.in, h.in * w.in, n, w.in);
    }
  });
}

void conv2d_backward_w(const real* x, const real* dY, real* dW, const Conv2dSizes& sizes) {
  const Sizes s(sizes);
  const std::vector<Tap> taps = taps_of(s);
  const Index plane = s.h.out * s.w.out, size = s.panels() * s.times * s.taps() * panel;
  const Index count = bands(s.batch, s.h.out, seen_by(s, 0, s.h.out).size() + plane * panel);
  const Index largest = (s.h.out + count - 1) / count, seen = seen_by(s, 0, largest).size();
  // Each thread sums up its own part of the images, and the parts are added in order: the same bits each time.
  const Index parts = std::min<Index>(omp_in_parallel() ? 1 : omp_get_max_threads(), s.batch * count);
  std::vector<real> sums(static_cast<std::size_t>(parts * size));
  const Workspace<real> workspace(seen + largest * s.w.out * panel);
  parallel_for(parts, 1, [&](Index first, Index last) {
    real *const image = workspace.mine(), *const from = image + seen;
    for (Index part = first; part < last; ++part)
      for (Index task = s.batch * count * part / parts; task < s.batch * count * (part + 1) / parts; ++task)
        for (Index c = 0; c < s.channels; c += panel) {
          const Band rows = band(task % count, count, s.h.out);
          const Index b = task / count, n = s.in_panel(c);
          const Image seen = seen_by(s, rows.begin, rows.rows());
          seen.copy(x + (b * s.channels + c) * s.h.in * s.w.in, s.h.in * s.w.in, n, s.h.in, s.w.in, image);
          for (Index k = 0; k < s.times; ++k) {
            to_panel(dY + ((b * s.channels + c) * s.times + k) * plane + rows.begin * s.w.out, s.times * plane, n,
                     rows.rows() * s.w.out, Walk(from));
            add_taps(sums.data() + part * size + (c / panel * s.times + k) * s.taps() * panel, taps, image,
                     s.w.stride * panel, s.h.stride * seen.cols * panel, from, rows.rows(), s.w.out);
          }
        }
  });
  for (Index part = 1; part < parts; ++part)
    for (Index i = 0; i < size; ++i)
      sums[static_cast<std::size_t>(i)] += sums[static_cast<std::size_t>(part * size + i)];
  for (Index c = 0; c < s.channels; c += panel)
    for (Index k = 0; k < s.times; ++k)
      from_panel(Walk<const real>(sums.data() + (c / panel * s.times + k) * s.taps() * panel),
                 dW + (c * s.times + k) * s.taps(), s.times * s.taps(), s.in_panel(c), s.taps());
}

}  // namespace bobbin::cpu::depthwise
