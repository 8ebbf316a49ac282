#pragma once
#include <cuda_runtime.h>

#include "tensor/formulas.h"

namespace bobbin::cuda {

/// The words for elements 4·block ... 4·block + 3; at p = 0, where each stays, none is drawn.
inline __device__ std::array<std::uint32_t, 4> words(const formula::Dropout& dropout, Index block) {
  if (dropout.drop_below == 0) return {};
  return dropout.draw.block(static_cast<std::uint64_t>(block));
}

/// Element i of a tensor, which is x, after the dropout.
inline __device__ real drop(const formula::Dropout& dropout, Index i, real x) {
  const std::array<std::uint32_t, 4> four = words(dropout, i / 4);
  const std::uint32_t even = i % 4 == 0 ? four[0] : four[2], odd = i % 4 == 1 ? four[1] : four[3];
  return dropout(i % 2 == 0 ? even : odd, x);
}

}  // namespace bobbin::cuda
