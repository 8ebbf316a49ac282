// Scaled dot-product attention, as FlashAttention computes it (Dao, Fu, Ermon, Rudra, Ré, 2022; in version 2, Dao,
// 2023): the weights (B, H, Tq, Tk) are never written to memory. A softmax needs its maximum and sum before its first
// weight is known; but they can be brought up to date while the keys go by. With m the largest score so far, l = Σ
// exp(s - m) and o = Σ exp(s - m)·v, a score s that is larger than m makes
//
//     m' = s,   l' = l·exp(m - m') + exp(s - m'),   o' = o·exp(m - m') + exp(s - m')·v,
//
// and at the end y = o / l. Of all weights the logarithm of Σ exp(s), m + log l, is kept: exp(s - that) is the weight
// again.
//
// All three kernels here have one form. A block of eight warps owns 32 rows of one image and head, each warp four of
// them (queries in the forward pass and for dQ, keys for dK and dV), and walks over the other side, 32 rows at a time,
// which lie in shared memory. A warp's lanes are first those 32 rows: each computes a score with the warp's own rows.
// Then, with the weights handed round in shared memory, the lanes are columns of the head, and each sums up its own:
// sum[r][c] is column 32·c + lane of the warp's row r.
//
// Operands and all else are `real`. In bfloat16 and TF32 tensor cores compute the same: attention_mma.cu.
#include "tensor/cuda/attention.h"

#include "tensor/cuda/dropout.h"

namespace bobbin::cuda {

constexpr int tile = 32;           // rows of the other side in shared memory: one for each lane
constexpr int own = tile / warps;  // rows of a warp

// Rows of one head in shared memory: D is its size rounded up to whole warps, and the column more keeps lanes that read
// the same column of different rows from waiting for the same bank of the memory.
template <int D>
using Tile = real[tile][D + 1];

// The rows of this warp: of `count` that begin at `at` and lie apart as the head says. Those behind the last are
// computed as if they were the last one, and are not stored.
struct OwnRows {
  int first, count;
  Index begin[own];

  __device__ OwnRows(Index at, int count, const Head& head)
      : first(blockIdx.y * tile + threadIdx.y * own), count(count) {
#pragma unroll
    for (int r = 0; r < own; ++r) begin[r] = at + index(r) * head.stride;
  }
  __device__ bool there(int r) const { return first + r < count; }
  __device__ int index(int r) const { return min(first + r, count - 1); }
};

// Rows first ... first + 31 of a head, which begins at x; 0 behind the last row, and behind the last column.
template <int D>
__device__ void load(Tile<D>& to, const real* x, int first, int rows, const Head& head) {
  for (int r = threadIdx.y; r < tile; r += warps)
    for (int c = threadIdx.x; c < D; c += warp_size)
      to[r][c] = first + r < rows && c < head.size ? x[(first + r) * head.stride + c] : real{0};
}

// What a warp's rows and the lanes' rows make with one another: for each row that the block owns, a number for each
// lane.
using Pairs = real[tile][tile];

// pairs[r][this lane] = x_r·(the row of the tile that is this lane's), for the rows r of this warp, which begin at
// first[r]. What a lane writes here it reads again itself.
template <int D>
__device__ void multiply(Pairs& pairs, const real* x, const Index (&first)[own], const Tile<D>& rows,
                         const Head& head) {
  real sums[own] = {};
  for (int c = 0; c < head.size; ++c) {
    const real y = rows[threadIdx.x][c];
#pragma unroll
    for (int r = 0; r < own; ++r) sums[r] += x[first[r] + c] * y;
  }
#pragma unroll
  for (int r = 0; r < own; ++r) pairs[threadIdx.y * own + r][threadIdx.x] = sums[r];
}

// sum[r] += Σ_j factor[r][j]·rows[j], for the rows r of this warp and the columns of this lane.
template <int D>
__device__ void add_products(real (&sum)[own][D / warp_size], const Pairs& factor, const Tile<D>& rows) {
  for (int j = 0; j < tile; ++j)
#pragma unroll
    for (int c = 0; c < D / warp_size; ++c) {
      const real x = rows[j][c * warp_size + threadIdx.x];
#pragma unroll
      for (int r = 0; r < own; ++r) sum[r][c] += factor[threadIdx.y * own + r][j] * x;
    }
}

// Writes scale·sum to a row that begins at y.
template <int D>
__device__ void store(const real (&sum)[D / warp_size], real scale, real* y, const Head& head) {
#pragma unroll
  for (int c = 0; c < D / warp_size; ++c)
    if (const int column = c * warp_size + threadIdx.x; column < head.size) y[column] = scale * sum[c];
}

// The softmax of a row while its scores go by: m and l of the derivation above, l of this lane's scores alone until
// all have come.
struct Softmax {
  real largest = -std::numeric_limits<real>::infinity(), total = 0;

  // Takes a score of each lane, which becomes exp(score - m). Returns what has become of 1 before: exp(m - m').
  __device__ real take(real& score) {
    constexpr real infinity = std::numeric_limits<real>::infinity();
    const real next = max(largest, warp_max(score));
    const real kept = largest == next ? real{1} : std::exp(largest - next);
    score = score == -infinity ? real{0} : std::exp(score - next);
    largest = next;
    total = total * kept + score;
    return kept;
  }
  // No more scores come.
  __device__ void finish() { total = warp_sum(total); }
  __device__ real log_sum_exp() const { return largest + std::log(total); }
};

template <int D>
__global__ void __launch_bounds__(warp_size* warps, 2)
    attention_kernel(const real* q, const real* k, const real* v, const int* lens, formula::Dropout dropout,
                     real* log_sum_exp, real* y, AttentionSizes s) {
  SHARED(real[tile][D + 1], keys);
  SHARED(real[tile][D + 1], values);
  SHARED(real[tile][tile], weights);
  const Head head(lens, s);
  const OwnRows rows(head.query, head.queries, head);
  Softmax softmax[own];
  real sum[own][D / warp_size] = {};

  for (int begin = 0; begin < head.keys; begin += tile) {
    load<D>(keys, k + head.key, begin, head.keys, head);
    load<D>(values, v + head.key, begin, head.keys, head);
    __syncthreads();
    if (rows.there(0)) {  // a warp without a row only helps to load
      const int u = begin + threadIdx.x;
      multiply<D>(weights, q, rows.begin, keys, head);
#pragma unroll
      for (int r = 0; r < own; ++r) {
        real& weight = weights[threadIdx.y * own + r][threadIdx.x];
        weight = head.sight(rows.index(r)).score(weight * head.scale, u);
        const real kept = softmax[r].take(weight);
        for (real& x : sum[r]) x *= kept;
      }
      if (dropout.drop_below > 0)
#pragma unroll 1
        for (int r = 0; r < own; ++r) {
          real& weight = weights[threadIdx.y * own + r][threadIdx.x];
          weight = drop(dropout, head.weight(rows.index(r), u), weight);
        }
      __syncwarp();
      add_products<D>(sum, weights, values);
    }
    __syncthreads();  // before the next tiles overwrite these
  }
#pragma unroll
  for (int r = 0; r < own; ++r)
    if (rows.there(r)) {
      softmax[r].finish();
      store<D>(sum[r], 1 / softmax[r].total, y + rows.begin[r], head);
      if (threadIdx.x == 0) log_sum_exp[head.row + rows.index(r)] = softmax[r].log_sum_exp();
    }
}

// In the forward pass this was S = Q·Kᵀ/√d, P = softmax(S), A = dropout(P), Y = A·V; so now
//     dA = dY·Vᵀ,  dP = dropout(dA) with the same mask,  dV = Aᵀ·dY,
//     dS = P ⊙ (dP - Σ P ⊙ dP),  dQ = dS·K/√d,  dK = dSᵀ·Q/√d.
// The sum over the keys need not be formed from weights: Σ P ⊙ dP = Σ A ⊙ dA = dY·Y. The kernel for dQ leaves it, a
// number for each query, to that for dK and dV.
//
// P and dS of query t and key u. Only what the query sees has a gradient.
struct WeightAndGradient {
  real P, dS;

  __device__ WeightAndGradient(real product, real dP, real log_sum_exp, real sum_P_dP, int t, int u, const Head& head) {
    const Sight sight = head.sight(t);
    P = std::exp(sight.score(product * head.scale, u) - log_sum_exp);
    dS = u < sight.seen ? P * (dP - sum_P_dP) : real{0};
  }
};

template <int D>
__global__ void __launch_bounds__(warp_size* warps, 2)
    attention_dq_kernel(const real* q, const real* k, const real* v, const int* lens, formula::Dropout dropout,
                        const real* log_sum_exp, const real* y, const real* dY, real* dQ, real* sum_P_dP,
                        AttentionSizes s) {
  SHARED(real[tile][D + 1], keys);
  SHARED(real[tile][D + 1], values);
  SHARED(real[tile][tile], dS);
  SHARED(real[tile][tile], dA);
  const Head head(lens, s);
  const OwnRows rows(head.query, head.queries, head);
  real sum[own][D / warp_size] = {};
  for (int r = 0; r < own; ++r) {
    real products = 0;
    for (int c = threadIdx.x; c < head.size; c += warp_size) products += dY[rows.begin[r] + c] * y[rows.begin[r] + c];
    products = warp_sum(products);
    if (threadIdx.x == 0 && rows.there(r)) sum_P_dP[head.row + rows.index(r)] = products;
  }
  __syncwarp();  // the others read them, too

  for (int begin = 0; begin < head.keys; begin += tile) {
    load<D>(keys, k + head.key, begin, head.keys, head);
    load<D>(values, v + head.key, begin, head.keys, head);
    __syncthreads();
    if (rows.there(0)) {  // a warp without a row only helps to load
      const int u = begin + threadIdx.x;
      multiply<D>(dS, q, rows.begin, keys, head);
      multiply<D>(dA, dY, rows.begin, values, head);
#pragma unroll 1
      for (int r = 0; r < own; ++r) {
        const int t = rows.index(r);
        real& pair = dS[threadIdx.y * own + r][threadIdx.x];
        const real dP = drop(dropout, head.weight(t, u), dA[threadIdx.y * own + r][threadIdx.x]);
        pair = WeightAndGradient(pair, dP, log_sum_exp[head.row + t], sum_P_dP[head.row + t], t, u, head).dS;
      }
      __syncwarp();
      add_products<D>(sum, dS, keys);
    }
    __syncthreads();
  }
#pragma unroll
  for (int r = 0; r < own; ++r)
    if (rows.there(r)) store<D>(sum[r], head.scale, dQ + rows.begin[r], head);
}

template <int D>
__global__ void __launch_bounds__(warp_size* warps, 2)
    attention_dkdv_kernel(const real* q, const real* k, const real* v, const int* lens, formula::Dropout dropout,
                          const real* log_sum_exp, const real* sum_P_dP, const real* dY, real* dK, real* dV,
                          AttentionSizes s) {
  SHARED(real[tile][D + 1], queries);
  SHARED(real[tile][D + 1], dYs);
  SHARED(real[tile][tile], A);
  SHARED(real[tile][tile], dS);
  const Head head(lens, s);
  const OwnRows rows(head.key, head.keys, head);
  real sum_K[own][D / warp_size] = {}, sum_V[own][D / warp_size] = {};

  for (int begin = 0; begin < head.queries; begin += tile) {
    load<D>(queries, q + head.query, begin, head.queries, head);
    load<D>(dYs, dY + head.query, begin, head.queries, head);
    __syncthreads();
    if (rows.there(0)) {  // a warp without a row only helps to load
      const int next = begin + threadIdx.x, t = min(next, head.queries - 1);
      const bool there = next < head.queries;
      multiply<D>(A, k, rows.begin, queries, head);
      multiply<D>(dS, v, rows.begin, dYs, head);
#pragma unroll 1
      for (int r = 0; r < own; ++r) {
        const int u = rows.index(r);
        const Index weight = head.weight(t, u);
        real &product = A[threadIdx.y * own + r][threadIdx.x], &dA = dS[threadIdx.y * own + r][threadIdx.x];
        const WeightAndGradient w(product, drop(dropout, weight, dA), log_sum_exp[head.row + t], sum_P_dP[head.row + t],
                                  t, u, head);
        product = there ? drop(dropout, weight, w.P) : real{0};
        dA = there ? w.dS : real{0};
      }
      __syncwarp();
      add_products<D>(sum_V, A, dYs);
      add_products<D>(sum_K, dS, queries);
    }
    __syncthreads();
  }
#pragma unroll
  for (int r = 0; r < own; ++r)
    if (rows.there(r)) {
      store<D>(sum_K[r], head.scale, dK + rows.begin[r], head);
      store<D>(sum_V[r], 1, dV + rows.begin[r], head);
    }
}

namespace {

constexpr int most_columns = sizeof(real) == sizeof(float) ? 128 : 32;  // of more, tiles do not fit into shared memory

bool on_tensor_cores() { return sizeof(real) == sizeof(float) && ProductsIn::current() == Precision::tf32; }

}  // namespace

// Of each query the logarithm of the sum of its exponentials.
Shape attention_keeps(const AttentionSizes& s) { return {s.batch, s.heads, s.queries}; }
bool attention_keeps_y() { return true; }

void attention(const real* q, const real* k, const real* v, const int* lens, real p, Draw draw, real* log_sum_exp,
               real* y, const AttentionSizes& s) {
  if (on_tensor_cores()) return attention_tf32(q, k, v, lens, p, draw, log_sum_exp, y, s);
  const auto device_lens = ints(lens, s.batch * s.queries);
  with_columns<most_columns>(s.head_size, [&](auto columns) {
    launch("attention", attention_kernel<columns>, attention_grid(s.queries, tile, s), block_of_warps, q, k, v,
           device_lens.get(), formula::Dropout(p, draw), log_sum_exp, y, s);
  });
}

void attention_backward(const real* q, const real* k, const real* v, const int* lens, real p, Draw draw,
                        const real* log_sum_exp, const real* y, const real* dY, real* dQ, real* dK, real* dV,
                        const AttentionSizes& s) {
  if (on_tensor_cores()) return attention_tf32_backward(q, k, v, lens, p, draw, log_sum_exp, y, dY, dQ, dK, dV, s);
  const auto device_lens = ints(lens, s.batch * s.queries);
  const auto sum_P_dP = scratch<real>(s.batch * s.heads * s.queries);
  const formula::Dropout dropout(p, draw);
  with_columns<most_columns>(s.head_size, [&](auto columns) {
    launch("attention_dq", attention_dq_kernel<columns>, attention_grid(s.queries, tile, s), block_of_warps, q, k, v,
           device_lens.get(), dropout, log_sum_exp, y, dY, dQ, sum_P_dP.get(), s);
    launch("attention_dkdv", attention_dkdv_kernel<columns>, attention_grid(s.keys, tile, s), block_of_warps, q, k, v,
           device_lens.get(), dropout, log_sum_exp, sum_P_dP.get(), dY, dK, dV, s);
  });
}

}  // namespace bobbin::cuda
