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

}  // namespace bobbin::cpu
