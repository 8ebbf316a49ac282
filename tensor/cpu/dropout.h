#pragma once
#include <algorithm>

#include "tensor/cpu/philox.h"
#include "tensor/formulas.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {

/// Decides for a chunk of elements at a time which of them a dropout keeps.
class DropoutMask {
 public:
  static constexpr Index chunk = 256;  ///< elements that are decided at once

  DropoutMask(real p, Draw draw) : dropout_(p, draw) {}

  bool drops() const { return dropout_.drop_below > 0; }
  /// Decides on the elements first ... first + chunk-1; `first` is a multiple of four, the size of a Philox block.
  void decide(Index first) {
    if (drops()) philox_blocks(dropout_.draw, static_cast<std::uint64_t>(first / 4), chunk / 4, words_);
  }
  /// x / (1-p) if element first + i stays, else 0.
  real operator()(Index i, real x) const { return dropout_(words_[i], x); }

 private:
  formula::Dropout dropout_;
  // At p = 0 none is drawn, and 0 >= 0 keeps all. Loads that straddle cache lines would take half as long again.
  alignas(64) std::uint32_t words_[chunk] = {};
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
