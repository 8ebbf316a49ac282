// Pooling: images made smaller, each channel for itself.
#include <algorithm>
#include <limits>
#include <vector>

#include "tensor/cpu/pool_pairs.h"
#include "tensor/cpu/sums.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {
namespace {

constexpr Index grain = 1 << 13;  // numbers a thread should have at least

// Calls visit(place in y, first number in x) for every window, plane by plane: one channel of one image.
template <class Visit>
void for_each_window(Index planes, const Conv2dGeometry& g, const Visit& visit) {
  const Index out_h = g.out_h(), out_w = g.out_w();
  parallel_for(planes, grain / (g.height * g.width) + 1, [&, out_h, out_w](Index begin, Index end) {
    Index place = begin * out_h * out_w;
    for (Index plane = begin; plane < end; ++plane)
      for (Index py = 0; py < out_h; ++py)
        for (Index px = 0; px < out_w; ++px, ++place)
          visit(place, (plane * g.height + py * g.stride_h) * g.width + px * g.stride_w);
  });
}

real area(const Conv2dGeometry& g) { return static_cast<real>(g.kernel_h * g.kernel_w); }

// The largest number that each place of a plane sees, and where in the plane it lies: of a kernel's columns first, in
// every row of the image, then of its rows, each in a loop over neighbouring places, which vector registers walk: more
// of them than there are, so that they are whole registers. As in PyTorch, an equal number does not take the place of
// an earlier one, and NaN takes any.
class Largest {
 public:
  explicit Largest(const Conv2dGeometry& g)
      : g_(g),
        stride_(g.out_w() == 1 ? 1 : g.stride_w),  // of a single place, it may be anything
        first_(std::max<Index>(g.padding_w - (g.out_w() - 1) * stride_, 0)),
        end_(std::min(g.kernel_w, g.width + g.padding_w)),
        places_((g.out_w() + 15) / 16 * 16),
        padded_(size(g.width + g.padding_w - first_ + (places_ - 1) * stride_ + end_ - first_), none),
        in_rows_(size(g.height * places_)),
        columns_(in_rows_.size()),
        left_(size(places_)),
        number_(left_.size()),
        at_(left_.size()) {
    for (Index p = 0; p < g.out_w(); ++p) left_[size(p)] = static_cast<int>(p * stride_ - g.padding_w);
  }

  // What the places see in each row of the image; and, with_places, in which column.
  template <bool with_places>
  void look_at(const real* plane) {
    for (Index row = 0; row < g_.height; ++row) {
      std::copy_n(plane + row * g_.width, g_.width, padded_.data() + g_.padding_w - first_);
      real* const best = in_rows_.data() + row * places_;
      int* const column = columns_.data() + row * places_;
      std::fill_n(best, places_, none);
      if (with_places)  // where all are -inf, it is the first
        std::transform(left_.begin(), left_.end(), column, [](int left) { return std::max(left, 0); });
      for (Index j = first_; j < end_; ++j)
        if (stride_ == 1)
          take_larger<with_places>(j, std::integral_constant<Index, 1>(), best, column);
        else if (stride_ == 2)
          take_larger<with_places>(j, std::integral_constant<Index, 2>(), best, column);
        else
          take_larger<with_places>(j, stride_, best, column);
    }
  }

  // Row py of the places: number() and at() of each.
  template <bool with_places>
  void find(Index py) {
    const Index top = py * g_.stride_h - g_.padding_h, first = std::max<Index>(top, 0);
    for (Index row = first; row < std::min(top + g_.kernel_h, g_.height); ++row) {
      const real* const x = in_rows_.data() + row * places_;
      const int *const column = columns_.data() + row * places_, begin = static_cast<int>(row * g_.width);
      real* const best = number_.data();
      int* const at = at_.data();
      const bool is_first = row == first;
      const Index vectors = places_ / 16;
#pragma omp simd
      for (Index p = 0; p < 16 * vectors; ++p) {
        const bool larger = is_first || x[p] > best[p] || x[p] != x[p];
        best[p] = larger ? x[p] : best[p];
        if (with_places) at[p] = larger ? begin + column[p] : at[p];
      }
    }
  }
  const real* number() const { return number_.data(); }
  const int* at() const { return at_.data(); }

 private:
  static constexpr real none = -std::numeric_limits<real>::infinity();
  static std::size_t size(Index n) { return static_cast<std::size_t>(n); }

  // Column j of the kernel.
  template <bool with_places, class Stride>
  void take_larger(Index j, Stride stride, real* best, int* column) const {
    const real* const seen = padded_.data() + j - first_;
    const int *const left = left_.data(), j_int = static_cast<int>(j);
    const Index vectors = places_ / 16;
#pragma omp simd
    for (Index p = 0; p < 16 * vectors; ++p) {
      const real x = seen[p * stride];
      const bool larger = x > best[p] || x != x;
      best[p] = larger ? x : best[p];
      if (with_places) column[p] = larger ? left[p] + j_int : column[p];
    }
  }

  const Conv2dGeometry g_;
  const Index stride_, first_, end_;  // the kernel's columns first_ ... end_ - 1 are those that meet the image
  const Index places_;                // in a row, rounded up
  std::vector<real> padded_;          // a row of the image: place p sees number p·stride + j - first_ in column j
  std::vector<real> in_rows_;         // (height, places)
  std::vector<int> columns_;          // (height, places)
  std::vector<int> left_;             // the column of the image that a place's column 0 is on
  std::vector<real> number_;          // (places)
  std::vector<int> at_;
};

// Calls visit(which plane, where to find its largest numbers) for each plane.
template <class Visit>
void for_each_plane(Index batch, const Conv2dGeometry& g, const Visit& visit) {
  parallel_for(batch * g.channels, grain / (g.height * g.width) + 1, [&](Index begin, Index end) {
    Largest largest(g);
    for (Index plane = begin; plane < end; ++plane) visit(plane, largest);
  });
}

// Calls visit(place in y, first number of the plane in x, the cell's rows, its columns, how many numbers it has).
template <class Visit>
void for_each_cell(const AdaptivePool& p, const Visit& visit) {
  const Index plane = p.height * p.width;
  parallel_for(p.planes, grain / plane + 1, [=, &visit](Index begin, Index end) {
    Index place = begin * p.out_h * p.out_w;
    for (Index at = begin * plane; at < end * plane; at += plane)
      for (Index i = 0; i < p.out_h; ++i)
        for (Index j = 0; j < p.out_w; ++j, ++place) {
          const auto rows = p.cell(i, p.height, p.out_h), columns = p.cell(j, p.width, p.out_w);
          visit(place, at, rows, columns, static_cast<double>((rows.end - rows.begin) * (columns.end - columns.begin)));
        }
  });
}

}  // namespace

void avg_pool2d(const real* x, real* y, Index batch, const Conv2dGeometry& g) {
  for_each_window(batch * g.channels, g, [=](Index place, Index first) {
    double sum = 0;  // a window may be the whole image
    for (Index i = 0; i < g.kernel_h; ++i)
      for (Index j = 0; j < g.kernel_w; ++j) sum += x[first + i * g.width + j];
    y[place] = static_cast<real>(sum / area(g));
  });
}

void avg_pool2d_backward(const real* dY, real* dX, Index batch, const Conv2dGeometry& g) {
  std::fill_n(dX, batch * g.channels * g.height * g.width, real{0});
  for_each_window(batch * g.channels, g, [=](Index place, Index first) {
    const real share = dY[place] / area(g);
    for (Index i = 0; i < g.kernel_h; ++i)
      for (Index j = 0; j < g.kernel_w; ++j) dX[first + i * g.width + j] += share;
  });
}

void max_pool2d(const real* x, real* y, Index batch, const Conv2dGeometry& g) {
  if (pairs::fits(g)) return pairs::max_pool2d(x, y, batch, g);
  const Index out_h = g.out_h(), out_w = g.out_w();
  for_each_plane(batch, g, [=](Index plane, Largest& largest) {
    largest.look_at<false>(x + plane * g.height * g.width);
    for (Index py = 0; py < out_h; ++py) {
      largest.find<false>(py);
      std::copy_n(largest.number(), out_w, y + (plane * out_h + py) * out_w);
    }
  });
}

void max_pool2d_backward(const real* x, const real* dY, real* dX, Index batch, const Conv2dGeometry& g) {
  if (pairs::fits(g)) return pairs::max_pool2d_backward(x, dY, dX, batch, g);
  const Index out_h = g.out_h(), out_w = g.out_w(), pixels = g.height * g.width;
  for_each_plane(batch, g, [=](Index plane, Largest& largest) {
    largest.look_at<true>(x + plane * pixels);
    real* const dx = dX + plane * pixels;
    std::fill_n(dx, pixels, real{0});
    for (Index py = 0; py < out_h; ++py) {
      largest.find<true>(py);
      const real* const dy = dY + (plane * out_h + py) * out_w;
      for (Index px = 0; px < out_w; ++px) dx[largest.at()[px]] += dy[px];
    }
  });
}

void adaptive_avg_pool2d(const real* x, real* y, const AdaptivePool& p) {
  for_each_cell(p, [=](Index place, Index plane, auto rows, auto columns, double numbers) {
    double sum = 0;
    for (Index row = rows.begin; row < rows.end; ++row)
      sum += add_up(columns.begin, columns.end, [in = x + plane + row * p.width](Index i) { return in[i]; });
    y[place] = static_cast<real>(sum / numbers);
  });
}

// Each number gets its share of all the cells that it is in.
void adaptive_avg_pool2d_backward(const real* dY, real* dX, const AdaptivePool& p) {
  std::fill_n(dX, p.planes * p.height * p.width, real{0});
  for_each_cell(p, [=](Index place, Index plane, auto rows, auto columns, double numbers) {
    const real share = static_cast<real>(dY[place] / numbers);
    for (Index row = rows.begin; row < rows.end; ++row)
      for (Index i = columns.begin; i < columns.end; ++i) dX[plane + row * p.width + i] += share;
  });
}

}  // namespace bobbin::cpu
