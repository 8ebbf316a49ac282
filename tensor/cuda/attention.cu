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
// All three kernels here have one form, for which ladder/attention.cu has the first sketch. A block owns rows of one
// image and head (queries in the forward pass and for dQ, keys for dK and dV) and walks over the rows of the other
// side, a tile of which lies in shared memory. An own row, and what is summed up for it, is in the registers of a few
// neighbouring lanes; they add up their parts of a score by shuffles. The lanes of a warp read the same row of the tile
// at the same time. Such a read takes as long for one address as for 32, so a lane uses it for two own rows.
//
// Operands and all else are `real`, also in Precision::tf32: tensor cores took 1.7 times as long in TF32, and are less
// exact. In bfloat16 they are faster: attention_mma.cu.
#include "tensor/cuda/attention.h"

#include "tensor/cuda/dropout.h"
#include "tensor/cuda/four.h"

namespace bobbin::cuda {

constexpr int own = 2;  // rows of a lane

// A lane's part of a row of D columns, so many bytes; it is 0 behind the last column. `lanes` neighbours have a row:
// the first has the numbers 0 ... 3, 4·lanes ... 4·lanes + 3, and so on, so that they read neighbouring fours together.
template <int D, int bytes>
struct LanePart {
  static constexpr int fours = bytes / sizeof(Four<real>), lanes = D / (4 * fours);
  static constexpr int rows_of_warp = warp_size / lanes * own, most_warps = 256 / bytes;  // of a block
  // So many blocks a multiprocessor has at once, for its registers' sake.
  static constexpr int blocks = (bytes > 32 ? 3 : 2) - (sizeof(real) == sizeof(double));
  Four<real> at[fours] = {};

  static __device__ int four(int i) { return static_cast<int>(threadIdx.x) % lanes + lanes * i; }

  // Of a row of the head, or of a tile.
  static __device__ LanePart of(const real* row, const Head& head) {
    LanePart part;
#pragma unroll
    for (int i = 0; i < fours; ++i) part.at[i] = load4(row + 4 * four(i), head.size - 4 * four(i));
    return part;
  }
  static __device__ LanePart of(const Four<real> (&row)[D / 4]) {
    LanePart part;
#pragma unroll
    for (int i = 0; i < fours; ++i) part.at[i] = row[four(i)];
    return part;
  }
  __device__ void store(real scale, real* row, const Head& head) const {
#pragma unroll
    for (int i = 0; i < fours; ++i) {
      Four<real> scaled = at[i];
      for (real& x : scaled.at) x *= scale;
      store4(row + 4 * four(i), scaled, head.size - 4 * four(i));
    }
  }

  // What this part gives to the product of two rows.
  __device__ real times(const LanePart& other) const {
    real sum = 0;
#pragma unroll
    for (int i = 0; i < fours; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) sum += at[i].at[j] * other.at[i].at[j];
    return sum;
  }
  __device__ void add(real factor, const LanePart& other) {
#pragma unroll
    for (int i = 0; i < fours; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) at[i].at[j] += factor * other.at[i].at[j];
  }
  __device__ void scale(real factor) {
#pragma unroll
    for (Four<real>& four : at)
#pragma unroll
      for (real& x : four.at) x *= factor;
  }
};

// More bytes mean fewer instructions for a row, but more registers, of which the backward pass needs more.
template <int D>
using ForwardPart = LanePart<D, 64>;
template <int D>
using BackwardPart = LanePart<D, 32>;

// The sum, or f in place of it, of what the lanes of a row have, for each of them.
template <class Part, class T, class F>
__device__ T of_lanes(T x, const F& f) {
#pragma unroll
  for (int distance = 1; distance < Part::lanes; distance *= 2) x = f(x, __shfl_xor_sync(0xffffffff, x, distance));
  return x;
}
template <class Part>
__device__ real sum_of_lanes(real x) {
  return of_lanes<Part>(x, [](real a, real b) { return a + b; });
}

// This lane's rows, of `count`. Those behind the last are computed as if they were the last one, and are not stored.
template <class Part>
struct OwnRows {
  int of_warp, first, count;

  __device__ explicit OwnRows(int count)
      : of_warp(static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y) * Part::rows_of_warp),
        first(of_warp + static_cast<int>(threadIdx.x) / Part::lanes * own),
        count(count) {}
  __device__ bool warp_has_one() const { return of_warp < count; }  // one that has none only helps to load
  __device__ bool there(int r) const { return first + r < count; }
  // The first row of the block, and how many it has room for.
  static __device__ int of_block() { return static_cast<int>(blockIdx.y) * room(); }
  static __device__ int room() { return static_cast<int>(blockDim.y) * Part::rows_of_warp; }
  __device__ int index(int r) const { return min(first + r, count - 1); }
};

// Rows of one head in shared memory, 16 KB of them.
template <int D>
constexpr int tile = 16384 / (D * sizeof(real));
template <int D>
using Tile = Four<real>[tile<D>][D / 4];

// Rows first ... of a head, which begins at x; 0 behind the last column, and up to a multiple of four rows behind the
// last one. A thread reads four fours before it waits for the first.
template <int D>
__device__ void load(Tile<D>& to, const real* x, int first, int rows, const Head& head) {
  constexpr int fours = D / 4, batch = 4;
  const int threads = static_cast<int>(blockDim.y) * warp_size, thread = threadIdx.y * warp_size + threadIdx.x;
  const int all = min(tile<D>, (rows - first + 3) / 4 * 4) * fours;
  const auto copy = [&](const auto& read) {
#pragma unroll 1
    for (int begin = thread; begin < all; begin += batch * threads) {
      Four<real> some[batch] = {};
#pragma unroll
      for (int i = 0; i < batch; ++i) {
        const int at = begin + i * threads, row = first + at / fours, left = head.size - at % fours * 4;
        if (at < all && row < rows && left > 0) some[i] = read(x + row * head.stride + at % fours * 4, left);
      }
#pragma unroll
      for (int i = 0; i < batch; ++i)
        if (const int at = begin + i * threads; at < all) to[at / fours][at % fours] = some[i];
    }
  };
  if (head.size % 4 == 0 && aligned(x))
    copy([](const real* from, int) { return read<4>(from); });
  else
    copy([](const real* from, int left) { return load4(from, left); });
}

// Which weights a dropout keeps of 16 that follow one another in a row: bit i is that of number first + i. They lie in
// five of its blocks of four words, as they need not begin with one. The lanes of the row draw for one another.
template <class Part>
__device__ unsigned draw_kept(const formula::Dropout& dropout, Index first) {
  unsigned bits = 0;
#pragma unroll 1
  for (int block = Part::four(0); block < 5; block += Part::lanes) {
    const std::array<std::uint32_t, 4> four = words(dropout, first / 4 + block);
#pragma unroll
    for (int i = 0; i < 4; ++i) bits |= static_cast<unsigned>(four[i] >= dropout.drop_below) << (4 * block + i);
  }
  return of_lanes<Part>(bits, [](unsigned a, unsigned b) { return a | b; }) >> first % 4;
}

// The softmax of a row while its scores go by: m and l of the derivation above.
struct Softmax {
  real largest = -std::numeric_limits<real>::infinity(), total = 0;

  // Takes scores, which become exp(score - m). Returns what has become of 1 before: exp(m - m').
  __device__ real take(real (&scores)[4]) {
    constexpr real infinity = std::numeric_limits<real>::infinity();
    real next = largest;
#pragma unroll
    for (const real score : scores) next = max(next, score);
    const real from = next == -infinity ? real{0} : next;  // -∞ - -∞ would not be a number
    const real kept = std::exp(largest - from);
    largest = next;
    total *= kept;
#pragma unroll
    for (real& score : scores) total += score = std::exp(score - from);
    return kept;
  }
  __device__ real log_sum_exp() const { return largest + std::log(total); }
};

template <int D>
__global__ void __launch_bounds__(warp_size* ForwardPart<D>::most_warps, ForwardPart<D>::blocks)
    attention_kernel(const real* q, const real* k, const real* v, const int* lens, formula::Dropout dropout,
                     real* log_sum_exp, real* y, AttentionSizes s) {
  using Part = ForwardPart<D>;
  SHARED(Tile<D>, keys);
  SHARED(Tile<D>, values);
  const Head head(lens, s);
  const OwnRows<Part> rows(head.queries);
  Part query[own], sum[own];
  Softmax softmax[own];
  Sight sight[own];
#pragma unroll
  for (int r = 0; r < own; ++r) {
    query[r] = Part::of(q + head.query + rows.index(r) * head.stride, head);
    sight[r] = head.sight(rows.index(r));
  }

  for (int begin = 0; begin < head.reach(rows.of_block(), rows.room()); begin += tile<D>) {
    if (begin > 0) __syncthreads();  // others may still read the tiles
    load<D>(keys, k + head.key, begin, head.keys, head);
    load<D>(values, v + head.key, begin, head.keys, head);
    __syncthreads();
    const int count = rows.warp_has_one() ? min(tile<D>, head.keys - begin) : 0;
    unsigned kept[own] = {};
#pragma unroll 1
    for (int u = 0; u < count; u += 4) {  // four keys at a time, so that a larger score makes sums smaller once for all
      real weights[own][4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const Part key = Part::of(keys[u + j]);
#pragma unroll
        for (int r = 0; r < own; ++r) weights[r][j] = query[r].times(key);
      }
#pragma unroll
      for (int r = 0; r < own; ++r) {
#pragma unroll
        for (int j = 0; j < 4; ++j)
          weights[r][j] = sight[r].score(sum_of_lanes<Part>(weights[r][j]) * head.scale, begin + u + j);
        sum[r].scale(softmax[r].take(weights[r]));
      }
      if (dropout.drop_below > 0)
#pragma unroll
        for (int r = 0; r < own; ++r) {
          if (u % 16 == 0) kept[r] = draw_kept<Part>(dropout, head.weight(rows.index(r), begin + u));
#pragma unroll
          for (int j = 0; j < 4; ++j) weights[r][j] *= kept[r] >> (u + j) % 16 & 1 ? dropout.scale : real{0};
        }
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const Part value = Part::of(values[u + j]);
#pragma unroll
        for (int r = 0; r < own; ++r) sum[r].add(weights[r][j], value);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < own; ++r)
    if (rows.there(r)) {
      sum[r].store(1 / softmax[r].total, y + head.query + rows.index(r) * head.stride, head);
      if (Part::four(0) == 0) log_sum_exp[head.row + rows.index(r)] = softmax[r].log_sum_exp();
    }
}

// In the forward pass this was S = Q·Kᵀ/√d, P = softmax(S), A = dropout(P), Y = A·V; so now
//     dA = dY·Vᵀ,  dP = dropout(dA) with the same mask,  dV = Aᵀ·dY,
//     dS = P ⊙ (dP - Σ P ⊙ dP),  dQ = dS·K/√d,  dK = dSᵀ·Q/√d.
// The sum over the keys need not be formed from weights: Σ P ⊙ dP = Σ A ⊙ dA = dY·Y. The kernel for dQ leaves two
// things to that for dK and dV: this sum, a number for each query, and which weights the dropout keeps, 16 to a word
// (B, H, Tq, ⌈Tk/16⌉), since there a lane's weights are not neighbours.

template <int D>
__global__ void __launch_bounds__(warp_size* BackwardPart<D>::most_warps, BackwardPart<D>::blocks)
    attention_dq_kernel(const real* q, const real* k, const real* v, const int* lens, formula::Dropout dropout,
                        const real* log_sum_exp, const real* y, const real* dY, real* dQ, real* sum_P_dP,
                        std::uint16_t* kept_weights, AttentionSizes s) {
  using Part = BackwardPart<D>;
  SHARED(Tile<D>, keys);
  SHARED(Tile<D>, values);
  const Head head(lens, s);
  const OwnRows<Part> rows(head.queries);
  Part query[own], dy[own], sum[own];
  KnownQuery<real> known[own];
#pragma unroll
  for (int r = 0; r < own; ++r) {
    const Index at = head.query + rows.index(r) * head.stride, row = head.row + rows.index(r);
    query[r] = Part::of(q + at, head);
    dy[r] = Part::of(dY + at, head);
    known[r] = {log_sum_exp[row], sum_of_lanes<Part>(dy[r].times(Part::of(y + at, head))), head.sight(rows.index(r))};
    if (rows.there(r) && Part::four(0) == 0) sum_P_dP[row] = known[r].sum_P_dP;
  }

  for (int begin = 0; begin < head.reach(rows.of_block(), rows.room()); begin += tile<D>) {
    if (begin > 0) __syncthreads();  // others may still read the tiles
    load<D>(keys, k + head.key, begin, head.keys, head);
    load<D>(values, v + head.key, begin, head.keys, head);
    __syncthreads();
    const int count = rows.warp_has_one() ? min(tile<D>, head.keys - begin) : 0;
    unsigned kept[own] = {0xffff, 0xffff};
#pragma unroll 1
    for (int i = 0; i < count; ++i) {
      const int u = begin + i;
      if (dropout.drop_below > 0 && u % 16 == 0) {
#pragma unroll
        for (int r = 0; r < own; ++r) {
          const int t = rows.index(r);
          kept[r] = draw_kept<Part>(dropout, head.weight(t, u));
          if (rows.there(r) && Part::four(0) == 0) kept_weights[head.kept(t, u)] = static_cast<std::uint16_t>(kept[r]);
        }
      }
      const Part key = Part::of(keys[i]), value = Part::of(values[i]);
#pragma unroll
      for (int r = 0; r < own; ++r) {
        const real P = known[r].P(sum_of_lanes<Part>(query[r].times(key)) * head.scale, u);
        const real dA = sum_of_lanes<Part>(dy[r].times(value));
        sum[r].add(known[r].dS(P, dA * (kept[r] >> u % 16 & 1 ? dropout.scale : real{0}), u), key);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < own; ++r)
    if (rows.there(r)) sum[r].store(head.scale, dQ + head.query + rows.index(r) * head.stride, head);
}

template <int D>
__global__ void __launch_bounds__(warp_size* BackwardPart<D>::most_warps, BackwardPart<D>::blocks)
    attention_dkdv_kernel(const real* q, const real* k, const real* v, const int* lens, formula::Dropout dropout,
                          const real* log_sum_exp, const real* sum_P_dP, const std::uint16_t* kept_weights,
                          const real* dY, real* dK, real* dV, AttentionSizes s) {
  using Part = BackwardPart<D>;
  SHARED(Tile<D>, queries);
  SHARED(Tile<D>, dYs);
  SHARED(KnownQuery<real>[tile<D>], known);
  const Head head(lens, s);
  const OwnRows<Part> rows(head.keys);
  Part key[own], value[own], sum_K[own], sum_V[own];
#pragma unroll
  for (int r = 0; r < own; ++r) {
    const Index at = head.key + rows.index(r) * head.stride;
    key[r] = Part::of(k + at, head);
    value[r] = Part::of(v + at, head);
  }

  for (int begin = 0; begin < head.queries; begin += tile<D>) {
    // Queries none of which has a weight for the block's keys give them nothing.
    if (head.reach(begin, tile<D>) <= rows.of_block()) continue;
    if (begin > 0) __syncthreads();  // others may still read the tiles
    const int here = min(tile<D>, head.queries - begin);
    for (int i = threadIdx.y * warp_size + threadIdx.x; i < here; i += static_cast<int>(blockDim.y) * warp_size) {
      const Index row = head.row + begin + i;
      known[i] = {log_sum_exp[row], sum_P_dP[row], head.sight(begin + i)};
    }
    load<D>(queries, q + head.query, begin, head.queries, head);
    load<D>(dYs, dY + head.query, begin, head.queries, head);
    __syncthreads();
    const int count = rows.warp_has_one() ? here : 0;
#pragma unroll 1
    for (int t = 0; t < count; ++t) {
      const KnownQuery<real> query = known[t];
      unsigned kept = 0xffff;      // a word has the weights of both rows
      if (dropout.drop_below > 0)  // the kernel for dQ left none where there is no weight
        kept = rows.index(0) < query.sight.weighed ? kept_weights[head.kept(begin + t, rows.index(0))] : 0;
      const Part q_t = Part::of(queries[t]), dY_t = Part::of(dYs[t]);
#pragma unroll
      for (int r = 0; r < own; ++r) {
        const int u = rows.index(r);
        const real factor = kept >> u % 16 & 1 ? dropout.scale : real{0};
        const real P = query.P(sum_of_lanes<Part>(key[r].times(q_t)) * head.scale, u);
        const real dA = sum_of_lanes<Part>(value[r].times(dY_t));
        sum_V[r].add(P * factor, dY_t);
        sum_K[r].add(query.dS(P, dA * factor, u), q_t);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < own; ++r)
    if (rows.there(r)) {
      const Index at = head.key + rows.index(r) * head.stride;
      sum_K[r].store(head.scale, dK + at, head);
      sum_V[r].store(1, dV + at, head);
    }
}

namespace {

// Launches a kernel that owns `rows` rows of each image and head, with no more warps than these need.
template <class Part, class... P>
void launch_for(const char* name, Index rows, const AttentionSizes& s, void (*kernel)(P...),
                std::type_identity_t<P>... args) {
  const Index warps = std::min(Index{Part::most_warps}, (rows + Part::rows_of_warp - 1) / Part::rows_of_warp);
  launch(name, kernel, attention_grid(rows, static_cast<int>(warps) * Part::rows_of_warp, s),
         dim3(warp_size, static_cast<unsigned>(warps)), args...);
}

}  // namespace

// Of each query the logarithm of the sum of its exponentials.
Shape attention_keeps(const AttentionSizes& s) { return {s.batch, s.heads, s.queries}; }
bool attention_keeps_y() { return true; }

void attention(const real* q, const real* k, const real* v, const int* lens, real p, Draw draw, real* log_sum_exp,
               real* y, const AttentionSizes& s) {
  const auto device_lens = ints(lens, s.batch * s.queries);
  with_columns(s.head_size, [&](auto columns) {
    launch_for<ForwardPart<columns>>("attention", s.queries, s, attention_kernel<columns>, q, k, v, device_lens.get(),
                                     formula::Dropout(p, draw), log_sum_exp, y, s);
  });
}

void attention_backward(const real* q, const real* k, const real* v, const int* lens, real p, Draw draw,
                        const real* log_sum_exp, const real* y, const real* dY, real* dQ, real* dK, real* dV,
                        const AttentionSizes& s) {
  const auto device_lens = ints(lens, s.batch * s.queries);
  const Index rows = s.batch * s.heads * s.queries;
  const auto sum_P_dP = scratch<real>(rows);
  const auto kept = p > 0 ? scratch<std::uint16_t>(rows * ((s.keys + 15) / 16)) : nullptr;
  const formula::Dropout dropout(p, draw);
  with_columns(s.head_size, [&](auto columns) {
    launch_for<BackwardPart<columns>>("attention_dq", s.queries, s, attention_dq_kernel<columns>, q, k, v,
                                      device_lens.get(), dropout, log_sum_exp, y, dY, dQ, sum_P_dP.get(), kept.get(),
                                      s);
    launch_for<BackwardPart<columns>>("attention_dkdv", s.keys, s, attention_dkdv_kernel<columns>, q, k, v,
                                      device_lens.get(), dropout, log_sum_exp, sum_P_dP.get(), kept.get(), dY, dK, dV,
                                      s);
  });
}

}  // namespace bobbin::cuda
