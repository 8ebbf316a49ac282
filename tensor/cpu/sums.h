#pragma once
#include <algorithm>

#include "tensor/real.h"

/// Sums of many numbers. Added one after the other, a million floats lose three digits. So short runs are added in
/// float, where the vector registers do it, and the runs' sums in double. The runs have a fixed length, so the result
/// does not depend on the number of threads.
namespace bobbin::cpu {

constexpr Index run = 128;  ///< numbers added in float: 16 in each of a register's 8 places

/// Σ f(i) of one run, or of fewer numbers.
template <class F>
auto add_run(Index begin, Index end, F f) {
  auto sum = decltype(f(begin)){0};
#pragma omp simd reduction(+ : sum)
  for (Index i = begin; i < end; ++i) sum += f(i);
  return sum;
}

/// Σ f(i) for i in [begin, end); in double throughout where f gives doubles. From floats: right to 2e-7 of Σ |f(i)|,
/// and never worse than 1e-6 of it.
template <class F>
double add_up(Index begin, Index end, F f) {
  double total = 0;
  for (; begin < end; begin += run) total += add_run(begin, std::min(begin + run, end), f);
  return total;
}

constexpr Index wide_run = 1024;  ///< numbers for add_wide_run(): 16 in each place of its sums

/// Σ f(i) for i in [0, n), n <= wide_run, as exact as add_up(). Registers are added up side by side, several at a time,
/// and their places at the end alone: a third of the time, where numbers come from the innermost cache.
template <class F>
double add_wide_run(Index n, F f) {
  constexpr Index places = 64;
  real sums[places] = {};
  Index i = 0;
  for (; i + places <= n; i += places)
#pragma omp simd
    for (Index place = 0; place < places; ++place) sums[place] += f(i + place);
#pragma omp simd
  for (Index place = 0; place < n - i; ++place) sums[place] += f(i + place);
  double total = 0;
#pragma omp simd reduction(+ : total)
  for (Index place = 0; place < places; ++place) total += sums[place];
  return total;
}

}  // namespace bobbin::cpu
