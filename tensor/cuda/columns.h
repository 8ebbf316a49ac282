#pragma once
#include "tensor/cuda/four.h"

namespace bobbin::cuda {

/// Σ term(row) over the rows begin ... end-1, for kernels whose blocks are block_of_warps: a lane has a column, or some
/// side by side, and the warps take the rows in turn, warp w those from begin + w on. The sum of all is in warp 0.
/// Every thread of the block has to call this, once; one without a column with begin = end.
///
/// Unrolled, since a thread then has eight rows under way at once, and it is those that hide how far away memory is.
template <class F>
__device__ auto sum_over_rows(Index begin, Index end, const F& term) {
  using Sum = decltype(term(begin));
  SHARED(Sum[warps][warp_size], sums);
  Sum sum{};
#pragma unroll 8
  for (Index row = begin + threadIdx.y; row < end; row += warps) sum += term(row);
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y == 0)
    for (int w = 1; w < warps; ++w) sum += sums[w][threadIdx.x];
  return sum;
}

}  // namespace bobbin::cuda
