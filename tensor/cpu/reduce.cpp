// Sums and the like, the same for any number of threads.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "tensor/cpu/sums.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {
namespace {

constexpr Index piece = 1 << 14;  // numbers that one thread adds at a time, whole runs
constexpr Index few = run / 8;    // rows added in float
constexpr Index stripe = 64;      // neighbouring columns added together
constexpr real infinity = std::numeric_limits<real>::infinity();

// x (n, inner): the sums over n of `width` columns. Few columns are a constant, and their sums stay in registers.
template <class X, class Width>
void sum_columns(const X* x, real* y, Index n, Index inner, Width width) {
  double total[stripe] = {};
  for (Index begin = 0; begin < n; begin += few) {
    real partial[stripe] = {};
    for (Index i = begin; i < std::min(begin + few, n); ++i)
#pragma omp simd
      for (Index c = 0; c < width; ++c) partial[c] += to_real(x[i * inner + c]);
    for (Index c = 0; c < width; ++c) total[c] += partial[c];
  }
  for (Index c = 0; c < width; ++c) y[c] = static_cast<real>(total[c]);
}

// The same for the `width` columns.
template <class X, Index... few_columns>
void sum_columns_of(std::integer_sequence<Index, few_columns...>, const X* x, real* y, Index n, Index inner,
                    Index width) {
  const bool known =
      ((width == few_columns && (sum_columns(x, y, n, inner, std::integral_constant<Index, few_columns>()), true)) ||
       ...);
  if (!known) sum_columns(x, y, n, inner, width);
}

Range range_of_piece(const real* x, Index n) {
  real low = infinity, high = -infinity;
  int nan = 0, inf = 0;
#pragma omp simd reduction(min : low) reduction(max : high) reduction(+ : nan, inf)
  for (Index i = 0; i < n; ++i) {
    const bool finite = std::abs(x[i]) < infinity;
    const real if_low = finite ? x[i] : infinity, if_high = finite ? x[i] : -infinity;
    nan += x[i] != x[i];
    inf += std::abs(x[i]) == infinity;
    low = if_low < low ? if_low : low;
    high = if_high > high ? if_high : high;
  }
  // Without a finite number some compilers give the largest one there is, with which they begin such a reduction.
  if (nan + inf == n) return {infinity, -infinity, nan, inf};
  return {low, high, nan, inf};
}

}  // namespace

template <class X>
void sum(const X* x, real* y, Index outer, Index n, Index inner) {
  if (inner > 1) {
    const Index stripes = (inner + stripe - 1) / stripe;
    parallel_for(outer * stripes, piece / (n * stripe) + 1, [=](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        const Index row = i / stripes, column = i % stripes * stripe;
        sum_columns_of(std::make_integer_sequence<Index, 9>(), x + row * n * inner + column, y + row * inner + column,
                       n, inner, std::min(stripe, inner - column));
      }
    });
    return;
  }
  const Index pieces = (n + piece - 1) / piece;
  std::vector<double> partial(static_cast<std::size_t>(outer * pieces));
  parallel_for(outer * pieces, piece / n + 1, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const X* row = x + i / pieces * n;
      const Index first = i % pieces * piece;
      partial[static_cast<std::size_t>(i)] =
          add_up(first, std::min(first + piece, n), [=](Index j) { return to_real(row[j]); });
    }
  });
  for (Index row = 0; row < outer; ++row) {
    double total = 0;
    for (Index i = 0; i < pieces; ++i) total += partial[static_cast<std::size_t>(row * pieces + i)];
    y[row] = static_cast<real>(total);
  }
}
template void sum(const real*, real*, Index, Index, Index);
template void sum(const bfloat16*, real*, Index, Index, Index);

void norms(const std::vector<const real*>& x, const std::vector<Index>& n, double* y) {
  for (std::size_t k = 0; k < x.size(); ++k)
    y[k] = std::sqrt(add_up(0, n[k], [at = x[k]](Index i) { return double{at[i]} * at[i]; }));
}

// The largest is found by vectors, then where it stands.
void argmax(const real* x, int* y, Index rows, Index cols) {
  parallel_for(rows, piece / cols + 1, [=](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      const real* const in = x + row * cols;
      real largest = -infinity;
      int nan = 0;
#pragma omp simd reduction(max : largest) reduction(| : nan)
      for (Index c = 0; c < cols; ++c) {
        largest = in[c] > largest ? in[c] : largest;
        nan |= in[c] != in[c];
      }
      const auto found = [=](real v) { return nan ? v != v : v == largest; };
      const Index at = std::find_if(in, in + cols, found) - in;
      y[row] = at < cols ? static_cast<int>(at) : 0;  // of -inf alone, above which some compilers begin a reduction
    }
  });
}

Range range(const real* x, Index n) {
  const Index pieces = (n + piece - 1) / piece;
  std::vector<Range> parts(static_cast<std::size_t>(pieces));
  parallel_for(pieces, 1, [&](Index begin, Index end) {
    for (Index p = begin; p < end; ++p)
      parts[static_cast<std::size_t>(p)] = range_of_piece(x + p * piece, std::min(piece, n - p * piece));
  });
  Range all{infinity, -infinity, 0, 0};
  for (const Range& part : parts)
    all = {std::min(all.min, part.min), std::max(all.max, part.max), all.nan + part.nan, all.inf + part.inf};
  return all;
}

}  // namespace bobbin::cpu
