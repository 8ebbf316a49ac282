#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "tensor/draw.h"
#include "tensor/tensor.h"

namespace bobbin {

/// What random words of a picture, or of a batch, are for. Each use has its own, so that one more word here changes
/// nothing there.
enum class WordsFor : std::uint64_t { flip_and_shift, erasing, noise, mixing, policy, jitter, crop };

/// The random words of the i-th picture of a draw, as many as are wanted: a pure function of the draw, i and the use.
/// Word n is word n % 4 of block use 2^56 + (n / 4) 2^32 + i, where i < 2^32 and n < 2^26.
class RandomWords {
 public:
  RandomWords(const Draw& draw, Index i, WordsFor use)
      : draw_(draw), block_(static_cast<std::uint64_t>(use) << 56 | static_cast<std::uint64_t>(i)) {}

  /// Evenly distributed in [0, 2^32).
  std::uint32_t word() {
    if (next_ == 4) words_ = draw_.block(block_), block_ += std::uint64_t{1} << 32, next_ = 0;
    return words_[next_++];
  }
  /// Evenly distributed in [low, high).
  double uniform(double low = 0, double high = 1) { return low + (high - low) * (word() * 0x1p-32); }
  bool coin(double probability) { return uniform() < probability; }
  /// A whole number in [0, n).
  Index below(Index n) { return static_cast<Index>(std::uint64_t{word()} * static_cast<std::uint64_t>(n) >> 32); }
  /// Of the standard normal distribution, by Box and Muller's method, which takes two words.
  double normal() {
    const double radius = std::sqrt(-2 * std::log((word() + 1.0) * 0x1p-32));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }

 private:
  Draw draw_;
  std::uint64_t block_;
  std::array<std::uint32_t, 4> words_{};
  std::size_t next_ = 4;
};

}  // namespace bobbin
