// Dropout, the same elements as on the processor: the mask is a function of the draw alone. A thread has the four
// elements of a block of random words.
#include "tensor/cuda/dropout.h"

#include "tensor/cuda/launch.h"

namespace bobbin::cuda {

__global__ void dropout_kernel(const real* x, real* y, Index n, formula::Dropout dropout) {
  const Index block = thread_number();
  if (4 * block >= n) return;
  const std::array<std::uint32_t, 4> four = words(dropout, block);
#pragma unroll
  for (int j = 0; j < 4; ++j)
    if (const Index i = 4 * block + j; i < n) y[i] = dropout(four[j], x[i]);
}

void dropout(const real* x, real* y, Index n, real p, Draw draw) {
  launch("dropout", dropout_kernel, blocks(n, 4 * block_size), block_size, x, y, n, formula::Dropout(p, draw));
}

}  // namespace bobbin::cuda
