#pragma once
#include <algorithm>

#include "tensor/real.h"

/// Sums of many numbers. Added one after the other, a million floats lose three digits. So short runs are added in
/// float, where the vector registers do it, and the runs' sums in double. The runs have a fixed length, so the result
/// does not depend on the number of threads.
namespace bobbin::cpu {

constexpr Index run = 512;  ///< numbers added in float

/// Σ f(i) for i in [begin, end); in double throughout where f gives doubles.
template <class F>
double add_up(Index begin, Index end, F f) {
  double total = 0;
  for (; begin < end; begin += run) {
    auto partial = decltype(f(begin)){0};
#pragma omp simd reduction(+ : partial)
    for (Index i = begin; i < std::min(begin + run, end); ++i) partial += f(i);
    total += partial;
  }
  return total;
}

}  // namespace bobbin::cpu
