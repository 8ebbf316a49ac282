// Pooling: images made smaller, each channel for itself.
#include <algorithm>
#include <limits>
#include <vector>

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

// A row of places, one beside the other: the largest number that each sees, and which of the plane's numbers it is.
struct Largest {
  std::vector<real> number;
  std::vector<Index> at;

  explicit Largest(Index places) : number(static_cast<std::size_t>(places)), at(number.size()) {}

  // Row py of the places of a plane. A kernel's number after the other is compared for all places: that is a loop over
  // neighbours, which vector registers walk. As PyTorch does it, an equal number does not take the place of an earlier
  // one, and NaN of any.
  template <bool with_places>
  void find(const real* plane, Index py, const Conv2dGeometry& g) {
    const Index out_w = static_cast<Index>(number.size()), top = py * g.stride_h - g.padding_h;
    const Index first_row = std::max<Index>(top, 0), end_row = std::min(top + g.kernel_h, g.height);
    std::fill(number.begin(), number.end(), -std::numeric_limits<real>::infinity());
    if (with_places)  // where all are -inf, it is the first
      for (Index px = 0; px < out_w; ++px)
        at[static_cast<std::size_t>(px)] = first_row * g.width + std::max<Index>(px * g.stride_w - g.padding_w, 0);
    for (Index row = first_row; row < end_row; ++row)
      for (Index j = 0; j < g.kernel_w; ++j) {
        const Index left = j - g.padding_w;  // the column that place 0 sees; the places whose column is in the image:
        const Index begin = left >= 0 ? 0 : (-left + g.stride_w - 1) / g.stride_w;
        const Index end = left >= g.width ? 0 : std::min((g.width - 1 - left) / g.stride_w + 1, out_w);
        const Index from = row * g.width + left;
        if (g.stride_w == 1)
          compare<with_places>(plane, from, std::integral_constant<Index, 1>(), begin, end);
        else if (g.stride_w == 2)
          compare<with_places>(plane, from, std::integral_constant<Index, 2>(), begin, end);
        else
          compare<with_places>(plane, from, g.stride_w, begin, end);
      }
  }

 private:
  template <bool with_places, class Stride>
  void compare(const real* plane, Index from, Stride stride, Index begin, Index end) {
    real* const best = number.data();
    Index* const where = at.data();
#pragma omp simd
    for (Index px = begin; px < end; ++px) {
      const real x = plane[from + px * stride], b = best[px];
      const bool larger = x > b || x != x;
      best[px] = larger ? x : b;
      if (with_places) where[px] = larger ? from + px * stride : where[px];
    }
  }
};

// Calls visit(first place in y, first number of the plane in x, row of the plane's places, where to find their largest)
// for each row of places.
template <class Visit>
void for_each_row(Index batch, const Conv2dGeometry& g, const Visit& visit) {
  const Index out_h = g.out_h(), out_w = g.out_w(), plane = g.height * g.width;
  parallel_for(batch * g.channels, grain / plane + 1, [=, &visit](Index begin, Index end) {
    Largest largest(out_w);
    for (Index p = begin; p < end; ++p)
      for (Index py = 0; py < out_h; ++py) visit((p * out_h + py) * out_w, p * plane, py, largest);
  });
}

// The numbers along one axis that cell i of m has: first ... end - 1.
struct Span {
  Index first, end;
};
Span cell(Index i, Index n, Index m) { return {i * n / m, ((i + 1) * n + m - 1) / m}; }

// Calls visit(place in y, first number of the plane in x, the cell's rows, its columns, how many numbers it has).
template <class Visit>
void for_each_cell(const AdaptivePool& p, const Visit& visit) {
  const Index plane = p.height * p.width;
  parallel_for(p.planes, grain / plane + 1, [=, &visit](Index begin, Index end) {
    Index place = begin * p.out_h * p.out_w;
    for (Index at = begin * plane; at < end * plane; at += plane)
      for (Index i = 0; i < p.out_h; ++i)
        for (Index j = 0; j < p.out_w; ++j, ++place) {
          const Span rows = cell(i, p.height, p.out_h), columns = cell(j, p.width, p.out_w);
          visit(place, at, rows, columns, static_cast<double>((rows.end - rows.first) * (columns.end - columns.first)));
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
  for_each_row(batch, g, [=](Index places, Index plane, Index py, Largest& largest) {
    largest.find<false>(x + plane, py, g);
    std::copy(largest.number.begin(), largest.number.end(), y + places);
  });
}

void max_pool2d_backward(const real* x, const real* dY, real* dX, Index batch, const Conv2dGeometry& g) {
  for_each_row(batch, g, [=](Index places, Index plane, Index py, Largest& largest) {
    if (py == 0) std::fill_n(dX + plane, g.height * g.width, real{0});
    largest.find<true>(x + plane, py, g);
    for (const Index at : largest.at) dX[plane + at] += dY[places++];
  });
}

void adaptive_avg_pool2d(const real* x, real* y, const AdaptivePool& p) {
  for_each_cell(p, [=](Index place, Index plane, Span rows, Span columns, double numbers) {
    double sum = 0;
    for (Index row = rows.first; row < rows.end; ++row)
      sum += add_up(columns.first, columns.end, [in = x + plane + row * p.width](Index i) { return in[i]; });
    y[place] = static_cast<real>(sum / numbers);
  });
}

// Each number gets its share of all the cells that it is in.
void adaptive_avg_pool2d_backward(const real* dY, real* dX, const AdaptivePool& p) {
  std::fill_n(dX, p.planes * p.height * p.width, real{0});
  for_each_cell(p, [=](Index place, Index plane, Span rows, Span columns, double numbers) {
    const real share = static_cast<real>(dY[place] / numbers);
    for (Index row = rows.first; row < rows.end; ++row)
      for (Index i = columns.first; i < columns.end; ++i) dX[plane + row * p.width + i] += share;
  });
}

}  // namespace bobbin::cpu
