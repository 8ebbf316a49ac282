#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>

#include "tensor/host_device.h"
#include "tensor/real.h"

namespace bobbin::cuda {

/// A number that all threads of a kernel divide by, to find their place in a tensor. A GPU has no division: 32 bits
/// take some twenty instructions, 64 three times as many. The program divides once, and the threads multiply:
///
///     n / d = ⌊n·m / 2^(31+s)⌋,   2^(s-1) < d <= 2^s,   m = ⌈2^(31+s) / d⌉ < 2^32,   for n < 2^31,
///
/// because m·d is too large by less than 2^s, hence n·m / 2^(31+s) by less than 1/d. Larger n are divided. (Granlund,
/// Montgomery, 1994: "Division by invariant integers using multiplication".)
class Divisor {
 public:
  template <class I>
  struct Result {
    I quotient, remainder;
  };

  Divisor(Index d)
      : d_(d),
        shift_(31 + std::bit_width(static_cast<std::uint64_t>(clipped(d) - 1))),
        multiplier_(static_cast<std::uint32_t>(((std::uint64_t{1} << shift_) + clipped(d) - 1) / clipped(d))) {}

  /// Of numbers that are 0 or more.
  BOBBIN_HD Result<int> divide(int n) const {
    const int q = quotient(n);
    return {q, n - q * static_cast<int>(d_)};
  }
  BOBBIN_HD Result<Index> divide(Index n) const {
    const Index q = n <= most ? quotient(static_cast<int>(n)) : n / d_;
    return {q, n - q * d_};
  }

 private:
  static constexpr Index most = 0x7fffffff;
  static std::uint64_t clipped(Index d) { return static_cast<std::uint64_t>(std::min(d, most + 1)); }  // beyond: n < d

  BOBBIN_HD int quotient(int n) const {
    return static_cast<int>((static_cast<std::uint64_t>(n) * multiplier_) >> shift_);
  }

  Index d_;
  int shift_;
  std::uint32_t multiplier_;
};

}  // namespace bobbin::cuda
