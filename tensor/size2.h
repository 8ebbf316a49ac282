#pragma once
#include "tensor/real.h"

namespace bobbin {

/// A height and a width; a single number stands for both, as in d2l.ai's img_size=96.
struct Size2 {
  Index height, width;

  Size2(Index both) : height(both), width(both) {}
  Size2(Index height, Index width) : height(height), width(width) {}
  bool operator==(const Size2&) const = default;
};

}  // namespace bobbin
