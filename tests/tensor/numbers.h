#pragma once
#include <cmath>
#include <limits>
#include <vector>

#include "tensor/functions.h"
#include "tests/cuda/emulator/sanitizers.h"
#include "tests/helpers.h"

/// What the tests of several families compare on.
namespace bobbin::test {

using Limits = std::numeric_limits<real>;
using Doubles = std::vector<double>;
constexpr double epsilon = Limits::epsilon();
constexpr double inf = std::numeric_limits<double>::infinity();
constexpr real infinity = Limits::infinity();
constexpr real not_a_number = Limits::quiet_NaN();

/// A sanitizer's build has no vector registers, whose places share a run of numbers: it adds all 128 one by one.
#ifdef EMULATOR_ASAN
constexpr double in_a_row = 8;
#else
constexpr double in_a_row = 1;
#endif

constexpr Index odd_sizes[] = {1, 3, 17, 37, 65, 129, 8191, 8192, 30001};  // a thread has 8192 or more

const Shape row_shapes[] = {{1},      {17},      {1, 1},    {3, 1},    {1, 17},       {17, 3},
                            {37, 37}, {65, 129}, {129, 65}, {3, 5, 7}, {2, 1, 3, 17}, {257, 129}};

/// f(x[0]), f(x[1]), ... in double.
template <class F>
Doubles map(const Tensor& x, const F& f) {
  Doubles result;
  for (const real value : x.values()) result.push_back(f(double{value}));
  return result;
}
template <class F>
Doubles map(const Tensor& a, const Tensor& b, const F& f) {
  Doubles result;
  for (Index i = 0; i < a.size(); ++i) result.push_back(f(double{a.data()[i]}, double{b.data()[i]}));
  return result;
}

/// Numbers around which functions go wrong, repeated so that each meets vector loop and remainder.
inline Tensor special_numbers() {
  const Doubles some = {0.0,
                        -0.0,
                        1,
                        -1,
                        not_a_number,
                        inf,
                        -inf,
                        Limits::denorm_min(),
                        -Limits::denorm_min(),
                        Limits::min() / 3,
                        Limits::min(),
                        0.5,
                        -0.75,
                        30,
                        -30,
                        1e18,
                        -1e18};
  Tensor x({37 * static_cast<Index>(some.size())});
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<real>(some[static_cast<std::size_t>(i) % some.size()]);
  return x;
}

/// How many numbers are NaN.
inline Index nans(const Tensor& x) {
  Index count = 0;
  for (const real value : x.values()) count += std::isnan(value);
  return count;
}

inline double inner_product(const Tensor& a, const Tensor& b) {
  double total = 0;
  for (Index i = 0; i < a.size(); ++i) total += double{a.data()[i]} * b.data()[i];
  return total;
}

}  // namespace bobbin::test
