#pragma once
#include <cmath>
#include <limits>
#include <type_traits>

#include "tensor/cuda/launch.h"

/// What the kernels of attention.cu and of attention_mma.cu have in common.
namespace bobbin::cuda {

/// How many keys a query sees, and how many have a weight: the same but for a query that sees none, to which all count
/// the same.
struct Sight {
  int seen = 0, weighed = 0;

  /// The score of key u, of which the product is given.
  template <class R>
  __device__ R score(R product, int u) const {
    return u < seen ? product : u < weighed ? R{0} : -std::numeric_limits<R>::infinity();
  }
};

/// What the backward pass knows of a query, and P and dS for a key u. What is behind what the query sees has no weight,
/// even if the sum is NaN, and only what it sees has a gradient.
template <class R>
struct alignas(16) KnownQuery {
  R log_sum_exp = 0, sum_P_dP = 0;
  Sight sight;

  // sight.score(score, u) - log_sum_exp, but -∞ behind what is weighed: a select fewer, and so no register is spilled.
  __device__ R P(R score, int u) const {
    constexpr R infinity = std::numeric_limits<R>::infinity();
    return std::exp(u < sight.seen ? score - log_sum_exp : u < sight.weighed ? -log_sum_exp : -infinity);
  }
  __device__ R dS(R P, R dP, int u) const { return u < sight.seen ? P * (dP - sum_P_dP) : R{0}; }
};

/// What a block works on: one image and head.
struct Head {
  Index query, key, row;  // where the head begins in Q and y (B, Tq, H·d), in K and V (B, Tk, H·d), in (B, H, Tq)
  Index stride;           // H·d: how far rows lie apart
  int size;               // d
  int queries, keys;
  real scale;       // 1/√d
  const int* lens;  // of the image's queries, or null

  __device__ Head(const int* lens, const AttentionSizes& s)
      : stride(s.heads * s.head_size),
        size(static_cast<int>(s.head_size)),
        queries(static_cast<int>(s.queries)),
        keys(static_cast<int>(s.keys)),
        scale(1 / std::sqrt(static_cast<real>(s.head_size))) {
    const Index b = blockIdx.x / s.heads, h = blockIdx.x % s.heads;
    query = (b * s.queries * s.heads + h) * s.head_size;
    key = (b * s.keys * s.heads + h) * s.head_size;
    row = blockIdx.x * s.queries;
    this->lens = lens ? lens + b * s.queries : nullptr;
  }

  /// What query t sees.
  __device__ Sight sight(int t) const {
    const int len = lens ? min(lens[t], keys) : keys;
    return {max(len, 0), len > 0 ? len : keys};
  }
  /// How many keys have a weight for one of `count` queries, from the first on: a block need not look behind them,
  /// which is half the work where attention is causal. All lanes of a warp ask together.
  __device__ int reach(int first, int count) const {
    if (!lens) return keys;
    int reach = 0;
    for (int t = first + static_cast<int>(threadIdx.x); t < min(first + count, queries); t += warp_size)
      reach = max(reach, sight(t).weighed);
#pragma unroll
    for (int distance = 1; distance < warp_size; distance *= 2)
      reach = max(reach, __shfl_xor_sync(0xffffffff, reach, distance));
    return reach;
  }
  /// The number of the weight of t and u among all (B, H, Tq, Tk).
  __device__ Index weight(int t, int u) const { return (row + t) * keys + u; }
  /// The number of the word with a bit for each weight of t and u ... u + 15, among all (B, H, Tq, ⌈Tk/16⌉).
  __device__ Index kept(int t, int u) const { return (row + t) * ((keys + 15) / 16) + u / 16; }
};

/// Calls f with the number of columns, 32, 64 or 128, for which a kernel is made, as a constant.
template <class F>
void with_columns(Index head_size, const F& f) {
  check(head_size <= 128, "attention", "on the GPU a head has at most 128 columns, got ", head_size);
  if (head_size <= 32) return f(std::integral_constant<int, 32>{});
  if (head_size <= 64) return f(std::integral_constant<int, 64>{});
  f(std::integral_constant<int, 128>{});
}

/// A block for each image and head, and for each `own` of the rows.
inline dim3 attention_grid(Index rows, int own, const AttentionSizes& s) {
  check(s.queries <= 65535 * 16 && s.keys <= 65535 * 16, "attention", "on the GPU there are at most ", 65535 * 16,
        " tokens, got ", s.queries, " queries and ", s.keys, " keys");
  return {blocks(s.batch * s.heads, 1), blocks(rows, own)};
}

}  // namespace bobbin::cuda
