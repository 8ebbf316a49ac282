#pragma once
#include <algorithm>
#include <cmath>

#include "tensor/rng.h"

namespace bobbin::cpu {

/// Which elements a dropout keeps: element i stays if word i of the draw is p·2^32 or more.
class DropoutMask {
 public:
  static constexpr Index chunk = 256;  ///< elements whose words are made at once

  DropoutMask(real p, Draw draw)
      : draw_(draw),
        drop_below_(static_cast<std::uint32_t>(std::min(std::ldexp(double{p}, 32), 4294967295.0))),
        scale_(1 / (1 - p)) {}

  /// y[i] = x[i] / (1-p) where element first + i stays, else 0, for n elements; x may be y.
  /// `first` is a multiple of four, the size of a Philox block.
  void apply(const real* x, real* y, Index first, Index n) {
    for (; n > 0; first += chunk, n -= chunk, x += chunk, y += chunk) {
      make_words(first / 4);
#pragma omp simd
      for (Index i = 0; i < std::min(n, chunk); ++i) y[i] = words_[i] >= drop_below_ ? x[i] * scale_ : real{0};
    }
  }

 private:
  void make_words(Index first_block) {
#pragma omp simd
    for (Index i = 0; i < chunk / 4; ++i) {
      const auto block = draw_.block(static_cast<std::uint64_t>(first_block + i));
      for (std::size_t j = 0; j < 4; ++j) words_[4 * i + static_cast<Index>(j)] = block[j];
    }
  }

  Draw draw_;
  std::uint32_t drop_below_;
  real scale_;
  std::uint32_t words_[chunk];
};

}  // namespace bobbin::cpu
