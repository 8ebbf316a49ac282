// Attention, y = softmax(Q·Kᵀ/√d)·V, without all that makes tensor/cuda/attention.cu long: lengths, dropout, and the
// numbers that its backward pass wants. The rungs above these two are the library's own kernels.
#include <cmath>
#include <limits>

#include "tensor/cuda/ladder/ladder.h"
#include "tensor/cuda/launch.h"

namespace bobbin::cuda::ladder {

// 1. A thread computes a row of y. It goes through the keys for the largest score, so that no exponential overflows,
// and once more for the sums. All it reads are numbers of device memory: 3·d for each key.
template <int D>
__global__ void attention_naive_kernel(const real* q, const real* k, const real* v, real* y, AttentionSizes s) {
  const Index i = thread_number(), t = i % s.queries, h = i / s.queries % s.heads, b = i / s.queries / s.heads;
  if (b >= s.batch) return;
  const Index stride = s.heads * D, query = (b * s.queries + t) * stride + h * D, key = b * s.keys * stride + h * D;
  const auto score = [&](Index u) {
    real sum = 0;
    for (int c = 0; c < D; ++c) sum += q[query + c] * k[key + u * stride + c];
    return sum / std::sqrt(real{D});
  };
  real largest = -std::numeric_limits<real>::infinity(), total = 0, sum[D] = {};
  for (Index u = 0; u < s.keys; ++u) largest = max(largest, score(u));
  for (Index u = 0; u < s.keys; ++u) {
    const real weight = std::exp(score(u) - largest);
    total += weight;
    for (int c = 0; c < D; ++c) sum[c] += weight * v[key + u * stride + c];
  }
  for (int c = 0; c < D; ++c) y[query + c] = sum[c] / total;
}

// 2. A block computes 64 rows of y, of one image and head. Its threads fetch the keys and values, 32 at a time,
// neighbours next to each other, into memory that they share; each keeps its own row of Q in registers. The keys go by
// once: when a larger score comes, what was summed up so far is made smaller (the derivation is in
// tensor/cuda/attention.cu). The library's kernel for float32 began as this one: it gives a row to a few lanes.
constexpr int own = 64, tile = 32;

template <int D>
__global__ void __launch_bounds__(own)
    attention_tiled_kernel(const real* q, const real* k, const real* v, real* y, AttentionSizes s) {
  SHARED(real[tile][D], keys);
  SHARED(real[tile][D], values);
  const Index t = blockIdx.y * own + threadIdx.x, h = blockIdx.x % s.heads, b = blockIdx.x / s.heads;
  const Index stride = s.heads * D, key = b * s.keys * stride + h * D;
  const Index query = (b * s.queries + min(t, s.queries - 1)) * stride + h * D;  // behind the last row: as the last
  real row[D], sum[D] = {}, largest = -std::numeric_limits<real>::infinity(), total = 0;
#pragma unroll
  for (int c = 0; c < D; ++c) row[c] = q[query + c] / std::sqrt(real{D});

  for (Index begin = 0; begin < s.keys; begin += tile) {
    const int count = static_cast<int>(min(Index{tile}, s.keys - begin));
    for (int i = threadIdx.x; i < count * D; i += own) {
      keys[i / D][i % D] = k[key + (begin + i / D) * stride + i % D];
      values[i / D][i % D] = v[key + (begin + i / D) * stride + i % D];
    }
    __syncthreads();  // nobody reads before all is there
    for (int u = 0; u < count; ++u) {
      real score = 0;
#pragma unroll
      for (int c = 0; c < D; ++c) score += row[c] * keys[u][c];
      const real next = max(largest, score), kept = std::exp(largest - next), weight = std::exp(score - next);
      total = total * kept + weight;
#pragma unroll
      for (int c = 0; c < D; ++c) sum[c] = sum[c] * kept + weight * values[u][c];
      largest = next;
    }
    __syncthreads();  // nobody fetches the next before all have read
  }
  if (t < s.queries)
#pragma unroll
    for (int c = 0; c < D; ++c) y[query + c] = sum[c] / total;
}

namespace {

void check_columns(const AttentionSizes& s) {
  check(s.head_size == 64, "ladder", "this kernel's heads have 64 columns, got ", s.head_size);
}

}  // namespace

void attention_naive(const real* q, const real* k, const real* v, real* y, const AttentionSizes& s) {
  check_columns(s);
  launch("attention_naive", attention_naive_kernel<64>, blocks(s.batch * s.heads * s.queries, block_size), block_size,
         q, k, v, y, s);
}
void attention_tiled(const real* q, const real* k, const real* v, real* y, const AttentionSizes& s) {
  check_columns(s);
  launch("attention_tiled", attention_tiled_kernel<64>, dim3{blocks(s.batch * s.heads, 1), blocks(s.queries, own)}, own,
         q, k, v, y, s);
}

}  // namespace bobbin::cuda::ladder
