#pragma once
#include <algorithm>
#include <cmath>

#include "tensor/cpu/philox.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {

/// Which elements a dropout keeps: element i stays if word i of the draw is p·2^32 or more.
class DropoutMask {
 public:
  static constexpr Index chunk = 256;  ///< elements that are decided at once

  DropoutMask(real p, Draw draw)
      : draw_(draw),
        drop_below_(static_cast<std::uint32_t>(std::min(std::ldexp(double{p}, 32), 4294967295.0))),
        scale_(1 / (1 - p)) {}

  /// Decides on the elements first ... first + chunk-1; `first` is a multiple of four, the size of a Philox block.
  void decide(Index first) {
    if (drop_below_ > 0) philox_blocks(draw_, static_cast<std::uint64_t>(first / 4), chunk / 4, words_);
  }
  /// x / (1-p) if element first + i stays, else 0.
  real operator()(Index i, real x) const { return words_[i] >= drop_below_ ? x * scale_ : real{0}; }

 private:
  Draw draw_;
  std::uint32_t drop_below_;
  real scale_;
  std::uint32_t words_[chunk] = {};  // at p = 0 none is drawn, and 0 >= 0 keeps all
};

/// Calls body(mask, begin, length) for chunks that cover n elements, on all threads; `mask` has decided on elements
/// begin ... of the tensor.
template <class Body>
void for_each_chunk(Index n, real p, Draw draw, const Body& body) {
  constexpr Index chunk = DropoutMask::chunk;
  parallel_for((n + chunk - 1) / chunk, 32, [=](Index begin, Index end) {
    DropoutMask mask(p, draw);
    for (Index first = begin * chunk; first < std::min(n, end * chunk); first += chunk) {
      mask.decide(first);
      body(mask, first, std::min(n - first, chunk));
    }
  });
}

}  // namespace bobbin::cpu
