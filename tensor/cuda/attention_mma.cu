// Attention on tensor cores, of operands in bfloat16: FlashAttention-2 (Dao, 2023). What is computed, attention.cu
// says; here is who holds what. A block owns 64 rows of one image and head, or 32 wide ones (queries in the forward
// pass and for dQ, keys for dK and dV), each of its warps 16, and walks over the other side, as many rows at a time.
// Own rows and others lie in shared memory as the words that tensor cores read, two numbers each.
//
// A warp takes 16 rows of the other side at once, which makes 16 x 16 scores, two C of mma.h side by side. Lane 4·g + t
// holds of them
//
//     row g:      columns 2t, 2t + 1 in c[0][0], c[0][1],  columns 2t + 8, 2t + 9 in c[1][0], c[1][1];
//     row g + 8:  the same in c[.][2], c[.][3],
//
// so that four lanes share a row. Made into weights, or into dS, these very registers are the left operand of the next
// product, whose right one are the 16 rows of the other side, column by column. Its result, 16 own rows by d columns,
// is summed up in pairs of C: C number p of pair m has columns 16m + p, 16m + p + 2, ... Then two words hold what both
// need, and a lane ends up with four neighbouring columns, 16m + 4t ... 16m + 4t + 3, which it stores at once.
//
// Operands of the products are rounded, hence also the weights and dS; all else, and all sums, are float.
#include "tensor/cuda/attention.h"

#include "tensor/cuda/dropout.h"
#include "tensor/cuda/mma.h"

namespace bobbin::cuda {

// g and t of this lane.
inline __device__ int lane_row() { return static_cast<int>(threadIdx.x) / 4; }
inline __device__ int lane_in_row() { return static_cast<int>(threadIdx.x) % 4; }

// n neighbouring numbers, which are read and written at once where they are aligned.
template <class T, int n>
struct alignas(n * sizeof(T)) Group {
  T x[n];

  static __device__ bool aligned(const T* at) { return reinterpret_cast<std::uintptr_t>(at) % alignof(Group) == 0; }
  // The first `there` of those at `at`, and 0 for the others.
  static __device__ Group read(const T* at, int there) {
    if (there >= n && aligned(at)) return *reinterpret_cast<const Group*>(at);
    Group group{};
#pragma unroll
    for (int i = 0; i < n; ++i)
      if (i < there) group.x[i] = at[i];
    return group;
  }
  __device__ void write(T* at, int there) const {
    if (there >= n && aligned(at)) {
      *reinterpret_cast<Group*>(at) = *this;
      return;
    }
#pragma unroll
    for (int i = 0; i < n; ++i)
      if (i < there) at[i] = x[i];
  }
};

// Rows of one head in shared memory, of D columns. Those four words more put the words that a warp reads together, of
// eight rows, into 32 different banks.
template <int D>
struct alignas(16) Rows {
  static constexpr int words = D / 2;              // of a row
  static constexpr int count = D <= 64 ? 64 : 32;  // of 8 KB at most
  static constexpr int warps = count / 16;         // of a block
  static constexpr int blocks = 4;                 // of a multiprocessor at once, for its registers' sake
  std::uint32_t at[count][words + 4];
};

using Words = Group<std::uint32_t, 4>;

// Rows first ... of `rows` of a head, which begins at x; 0 behind the last row, and behind the last column.
template <int D>
__device__ void load(Rows<D>& to, const bfloat16* x, int first, int rows, const Head& head) {
  constexpr int threads = warp_size * Rows<D>::warps;
  const int thread = threadIdx.y * warp_size + threadIdx.x;
  if (head.size % 8 == 0 && Group<bfloat16, 8>::aligned(x)) {
    // A thread has the same four words of some rows, and reads those of a few before it waits for any.
    constexpr int fours = Rows<D>::words / 4, step = threads / fours, batch = std::min(4, Rows<D>::count / step);
    const int four = thread % fours;
    const bool there = four * 8 < head.size;
#pragma unroll 1
    for (int row = thread / fours; row < Rows<D>::count; row += batch * step) {
      Words words[batch] = {};
#pragma unroll
      for (int i = 0; i < batch; ++i)
        if (const int at = first + row + i * step; at < rows && there)
          words[i] = *reinterpret_cast<const Words*>(x + at * head.stride + four * 8);
#pragma unroll
      for (int i = 0; i < batch; ++i) *reinterpret_cast<Words*>(&to.at[row + i * step][4 * four]) = words[i];
    }
  } else {
#pragma unroll 1
    for (int i = thread; i < Rows<D>::count * Rows<D>::words; i += threads) {
      const int row = i / Rows<D>::words, word = i % Rows<D>::words;
      const int there = first + row < rows ? head.size - word * 2 : 0;
      const bfloat16* const two = x + (first + row) * head.stride + word * 2;
      to.at[row][word] = (there > 0 ? two[0].bits : 0u) | (there > 1 ? std::uint32_t{two[1].bits} << 16 : 0u);
    }
  }
}

// c += a·bᵀ of 16 rows of a tile and 16 of another.
template <int D>
__device__ void multiply_rows(float (&c)[2][4], const Rows<D>& a, int row_of_a, const Rows<D>& b, int row_of_b) {
  const int g = lane_row(), t = lane_in_row();
#pragma unroll 2
  for (int w = 0; w < Rows<D>::words; w += 8) {
    const auto &low = a.at[row_of_a + g], &high = a.at[row_of_a + g + 8];
    const std::uint32_t left[4] = {low[w + t], high[w + t], low[w + t + 4], high[w + t + 4]};
#pragma unroll
    for (int n = 0; n < 2; ++n) {
      const auto& row = b.at[row_of_b + 8 * n + g];
      const std::uint32_t right[2] = {row[w + t], row[w + t + 4]};
      multiply_add_bfloat16(c[n], left, right);
    }
  }
}

// The sums of a warp's rows: a lane has columns 16m + 4t + p + 2e of row g in [m][p][e], of row g + 8 in [m][p][2 + e].
template <int D>
using Sums = float[D / 16][2][4];

// sum += c·x, of 16 rows of x.
template <int D>
__device__ void multiply_columns(Sums<D>& sum, const float (&c)[2][4], const Rows<D>& x, int row) {
  std::uint32_t left[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) left[i] = to_bfloat16s(c[i / 2][i % 2 * 2], c[i / 2][i % 2 * 2 + 1]);
#pragma unroll
  for (int m = 0; m < D / 16; ++m) {
    std::uint32_t right[2][2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int from = row + 8 * half + 2 * lane_in_row(), word = 8 * m + lane_row();
      const std::uint32_t first = x.at[from][word], second = x.at[from + 1][word];
      right[0][half] = (first & 0xffff) | second << 16;
      right[1][half] = first >> 16 | (second & 0xffff0000);
    }
#pragma unroll
    for (int p = 0; p < 2; ++p) multiply_add_bfloat16(sum[m][p], left, right[p]);
  }
}

// Writes scale·sum to the rows first + g and first + g + 8 of a head, which begins with number `begin` of y, and the
// same rounded. Either may be null.
template <int D>
__device__ void store(const Sums<D>& sum, float scale, real* y, bfloat16* rounded_y, Index begin, int first, int rows,
                      const Head& head) {
#pragma unroll
  for (int r = 0; r < 2; ++r)
    if (const int row = first + lane_row() + 8 * r; row < rows)
#pragma unroll
      for (int m = 0; m < D / 16; ++m) {
        const int column = 16 * m + 4 * lane_in_row();
        const Index at = begin + row * head.stride + column;
        Group<real, 4> four;
        Group<bfloat16, 4> rounded;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          four.x[i] = scale * sum[m][i % 2][2 * r + i / 2];
          rounded.x[i] = to_bfloat16(four.x[i]);
        }
        if (y) four.write(y + at, head.size - column);
        if (rounded_y) rounded.write(rounded_y + at, head.size - column);
      }
}

// What the four lanes of a row hold, put together for each of them.
template <class T, class F>
__device__ T of_row(T x, const F& f) {
  x = f(x, __shfl_xor_sync(0xffffffff, x, 1));
  return f(x, __shfl_xor_sync(0xffffffff, x, 2));
}
inline __device__ float sum_of_row(float x) {
  return of_row(x, [](float a, float b) { return a + b; });
}

// The softmax of a row while its scores go by: m and l of attention.cu, of those that this lane has seen.
struct LaneSoftmax {
  float largest = -std::numeric_limits<float>::infinity(), total = 0;

  __device__ void take(const float (&scores)[4]) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    float next = largest;
#pragma unroll
    for (const float score : scores) next = max(next, score);
    if (next != largest) total *= std::exp(largest - next);
    largest = next;
#pragma unroll
    for (const float score : scores) total += score == -infinity ? 0.0f : std::exp(score - largest);
  }
  // log Σ exp(score) of all four lanes of the row.
  __device__ float log_sum_exp() const {
    const float m = of_row(largest, [](float a, float b) { return max(a, b); });
    return m + std::log(sum_of_row(largest == m ? total : total * std::exp(largest - m)));
  }
};

// Which weights a dropout keeps of 16 that follow one another in each of a lane's two rows: bit i of kept[r] is that of
// number first + r·next_row + i. The four lanes of a row draw for one another: each a block of four numbers in either
// row, and of the fifth blocks, into which 16 numbers reach that do not begin with one, lane r the one of row r.
inline __device__ void draw_kept(unsigned (&kept)[2], const formula::Dropout& dropout, Index first, Index next_row) {
  const int t = lane_in_row();
  const auto bits_of = [&dropout](Index block) {
    unsigned bits = 0;
    const std::array<std::uint32_t, 4> four = words(dropout, block);
#pragma unroll
    for (int i = 0; i < 4; ++i) bits |= static_cast<unsigned>(four[i] >= dropout.drop_below) << i;
    return bits;
  };
  const unsigned fifth = bits_of((first + (t == 0 ? 0 : next_row)) / 4 + 4);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const Index begin = first + r * next_row;
    const unsigned mine = bits_of(begin / 4 + t) << 4 * t | (t == r ? fifth << 16 : 0);
    kept[r] = of_row(mine, [](unsigned a, unsigned b) { return a | b; }) >> begin % 4;
  }
}

template <int D>
__global__ void __launch_bounds__(warp_size* Rows<D>::warps, Rows<D>::blocks)
    attention_mma_kernel(const bfloat16* q, const bfloat16* k, const bfloat16* v, const int* lens,
                         formula::Dropout dropout, real* log_sum_exp, real* y, bfloat16* rounded_y, AttentionSizes s) {
  SHARED(Rows<D>, queries);
  SHARED(Rows<D>, keys);
  SHARED(Rows<D>, values);
  const Head head(lens, s);
  const int first = static_cast<int>(blockIdx.y) * Rows<D>::count, of_warp = static_cast<int>(threadIdx.y) * 16;
  const float scale = static_cast<float>(head.scale), keep = static_cast<float>(dropout.scale);
  const bool there = first + of_warp < head.queries;  // a warp without a row only helps to load
  Sight sight[2];
  const Index weights = head.weight(first + of_warp + lane_row(), 0);  // the number of the first one of row g
  for (int r = 0; r < 2; ++r) {
    const int row = first + of_warp + lane_row() + 8 * r;
    if (row < head.queries) sight[r] = head.sight(row);
  }
  // A weight can only be rounded when it is known, and so is its sum. So the block walks over the keys twice: first for
  // the sums, then, beginning with the tiles that are still there, back for y.
  load<D>(queries, q + head.query, first, head.queries, head);
  LaneSoftmax softmax[2];
  const int reach = head.reach(first, Rows<D>::count), last = (reach - 1) / Rows<D>::count * Rows<D>::count;
  const auto load_keys = [&](int begin) {
    load<D>(keys, k + head.key, begin, head.keys, head);
    load<D>(values, v + head.key, begin, head.keys, head);
    __syncthreads();
  };
  for (int begin = 0; begin <= last; begin += Rows<D>::count) {
    if (begin > 0) __syncthreads();  // others may still read the tiles
    load_keys(begin);
    if (there)
#pragma unroll 1
      for (int at = 0; at < Rows<D>::count && begin + at < reach; at += 16) {
        float product[2][4] = {};
        multiply_rows<D>(product, queries, of_warp, keys, at);
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          float scores[4];
#pragma unroll
          for (int i = 0; i < 4; ++i)
            scores[i] = sight[r].score(scale * product[i / 2][2 * r + i % 2],
                                       begin + at + i / 2 * 8 + 2 * lane_in_row() + i % 2);
          softmax[r].take(scores);
        }
      }
  }
  float log_sum[2];
  for (int r = 0; r < 2; ++r) {
    const int row = first + of_warp + lane_row() + 8 * r;
    log_sum[r] = softmax[r].log_sum_exp();
    if (lane_in_row() == 0 && row < head.queries) log_sum_exp[head.row + row] = log_sum[r];
  }

  Sums<D> sum = {};
  for (int begin = last; begin >= 0; begin -= Rows<D>::count) {
    if (begin < last) {
      __syncthreads();
      load_keys(begin);
    }
    if (there)
#pragma unroll 1
      for (int at = 0; at < Rows<D>::count && begin + at < reach; at += 16) {
        float product[2][4] = {};
        multiply_rows<D>(product, queries, of_warp, keys, at);
        unsigned kept[2] = {0xffff, 0xffff};
        if (dropout.drop_below > 0) draw_kept(kept, dropout, weights + begin + at, 8 * Index{head.keys});
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          const int r = i / 2 % 2, column = i / 4 * 8 + 2 * lane_in_row() + i % 2;
          float& x = product[i / 4][i % 4];
          const float P = std::exp(sight[r].score(scale * x, begin + at + column) - log_sum[r]);
          x = P * (kept[r] >> column & 1 ? keep : 0.0f);
        }
        multiply_columns<D>(sum, product, values, at);
      }
  }
  if (there) store<D>(sum, 1, y, rounded_y, head.query, first + of_warp, head.queries, head);
}

// The backward pass, as in attention.cu: P, dA = dY·Vᵀ, dP, dS = P ⊙ (dP - Σ P ⊙ dP), dQ = dS·K/√d, and with queries
// for columns, so that again the registers of Aᵀ and dSᵀ are the next left operand, dV = Aᵀ·dY and dK = dSᵀ·Q/√d. The
// kernel for dQ leaves two things to that for dK and dV: Σ P ⊙ dP = dY·y of each query, and which weights the dropout
// keeps, 16 to a word (B, H, Tq, ⌈Tk/16⌉), since there a lane's weights are not neighbours.
//
// y was made of weights that were rounded, each by 2^-9 of itself at most, and so is that sum; the
// processor, which keeps all P, adds up P ⊙ dP. Hence dS, dQ and dK are the processor's to a step of bfloat16 only,
// 2^-7 of the largest number; all else is to the rounding of sums.

template <int D>
__global__ void __launch_bounds__(warp_size* Rows<D>::warps, Rows<D>::blocks)
    attention_dq_mma_kernel(const bfloat16* q, const bfloat16* k, const bfloat16* v, const int* lens,
                            formula::Dropout dropout, const real* log_sum_exp, const real* y, const bfloat16* dY,
                            real* dQ, bfloat16* rounded_dQ, real* sum_P_dP, std::uint16_t* kept_weights,
                            AttentionSizes s) {
  SHARED(Rows<D>, queries);
  SHARED(Rows<D>, dYs);
  SHARED(Rows<D>, keys);
  SHARED(Rows<D>, values);
  const Head head(lens, s);
  const int first = static_cast<int>(blockIdx.y) * Rows<D>::count, of_warp = static_cast<int>(threadIdx.y) * 16;
  const float scale = static_cast<float>(head.scale), keep = static_cast<float>(dropout.scale);
  const bool there = first + of_warp < head.queries;  // a warp without a row only helps to load
  load<D>(queries, q + head.query, first, head.queries, head);
  load<D>(dYs, dY + head.query, first, head.queries, head);

  KnownQuery<float> query[2];
  const Index weights = head.weight(first + of_warp + lane_row(), 0);  // the number of the first one of row g
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int row = first + of_warp + lane_row() + 8 * r;
    float products = 0;
    if (row < head.queries)
#pragma unroll
      for (int m = 0; m < D / 16; ++m) {
        const int column = 16 * m + 4 * lane_in_row();
        const Index at = head.query + row * head.stride + column;
        const auto four = Group<real, 4>::read(y + at, head.size - column);
        const auto d = Group<bfloat16, 4>::read(dY + at, head.size - column);
#pragma unroll
        for (int i = 0; i < 4; ++i) products += static_cast<float>(to_real(d.x[i]) * four.x[i]);
      }
    products = sum_of_row(products);
    if (row < head.queries) {
      query[r] = {static_cast<float>(log_sum_exp[head.row + row]), products, head.sight(row)};
      if (lane_in_row() == 0) sum_P_dP[head.row + row] = products;
    }
  }

  Sums<D> sum = {};
  for (int begin = 0; begin < head.reach(first, Rows<D>::count); begin += Rows<D>::count) {
    if (begin > 0) __syncthreads();  // others may still read the tiles
    load<D>(keys, k + head.key, begin, head.keys, head);
    load<D>(values, v + head.key, begin, head.keys, head);
    __syncthreads();
    if (there)
#pragma unroll 1
      for (int at = 0; at < Rows<D>::count && begin + at < head.keys; at += 16) {
        float product[2][4] = {}, dA[2][4] = {};
        multiply_rows<D>(product, queries, of_warp, keys, at);
        multiply_rows<D>(dA, dYs, of_warp, values, at);
        unsigned kept[2] = {0xffff, 0xffff};
        if (dropout.drop_below > 0) {
          draw_kept(kept, dropout, weights + begin + at, 8 * Index{head.keys});
          for (int r = 0; r < 2; ++r)
            if (const int row = first + of_warp + lane_row() + 8 * r; lane_in_row() == 0 && row < head.queries)
              kept_weights[head.kept(row, begin + at)] = static_cast<std::uint16_t>(kept[r]);
        }
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          const int r = i / 2 % 2, column = i / 4 * 8 + 2 * lane_in_row() + i % 2, u = begin + at + column;
          float& x = product[i / 4][i % 4];
          const float dP = dA[i / 4][i % 4] * (kept[r] >> column & 1 ? keep : 0.0f);
          x = query[r].dS(query[r].P(scale * x, u), dP, u);
        }
        multiply_columns<D>(sum, product, keys, at);
      }
  }
  if (there) store<D>(sum, scale, dQ, rounded_dQ, head.query, first + of_warp, head.queries, head);
}

template <int D>
__global__ void __launch_bounds__(warp_size* Rows<D>::warps, Rows<D>::blocks - 1)  // it has twice the sums
    attention_dkdv_mma_kernel(const bfloat16* q, const bfloat16* k, const bfloat16* v, const int* lens,
                              formula::Dropout dropout, const real* log_sum_exp, const real* sum_P_dP,
                              const std::uint16_t* kept_weights, const bfloat16* dY, real* dK, bfloat16* rounded_dK,
                              real* dV, bfloat16* rounded_dV, AttentionSizes s) {
  SHARED(Rows<D>, keys);
  SHARED(Rows<D>, values);
  SHARED(Rows<D>, queries);
  SHARED(Rows<D>, dYs);
  SHARED(KnownQuery<float>[Rows<D>::count], known);             // of the queries in the tile
  SHARED(std::uint16_t[Rows<D>::warps][Rows<D>::count], kept);  // and of the weights of each warp's 16 keys
  const Head head(lens, s);
  const int first = static_cast<int>(blockIdx.y) * Rows<D>::count, of_warp = static_cast<int>(threadIdx.y) * 16;
  const float scale = static_cast<float>(head.scale), keep = static_cast<float>(dropout.scale);
  const bool there = first + of_warp < head.keys;  // a warp without a row only helps to load
  load<D>(keys, k + head.key, first, head.keys, head);
  load<D>(values, v + head.key, first, head.keys, head);

  Sums<D> sum_K = {}, sum_V = {};
  for (int begin = 0; begin < head.queries; begin += Rows<D>::count) {
    // Queries none of which has a weight for the block's keys give them nothing.
    if (head.reach(begin, Rows<D>::count) <= first) continue;
    if (begin > 0) __syncthreads();  // others may still read the tiles
    load<D>(queries, q + head.query, begin, head.queries, head);
    load<D>(dYs, dY + head.query, begin, head.queries, head);
    if (const int i = static_cast<int>(threadIdx.y * warp_size + threadIdx.x); i < Rows<D>::count) {
      const Index row = head.row + begin + i;
      known[i] = begin + i < head.queries ? KnownQuery<float>{static_cast<float>(log_sum_exp[row]),
                                                              static_cast<float>(sum_P_dP[row]), head.sight(begin + i)}
                                          : KnownQuery<float>{};
    }
    if (there)
      for (int i = threadIdx.x; i < Rows<D>::count && begin + i < head.queries; i += warp_size) {
        const bool left = head.sight(begin + i).weighed > first + of_warp;  // by the kernel for dQ: where a weight is
        kept[threadIdx.y][i] = dropout.drop_below == 0 ? std::uint16_t{0xffff}
                               : left                  ? kept_weights[head.kept(begin + i, first + of_warp)]
                                                       : std::uint16_t{0};
      }
    __syncthreads();
    if (there)
#pragma unroll 1
      for (int at = 0; at < Rows<D>::count && begin + at < head.queries; at += 16) {
        float product[2][4] = {}, dA[2][4] = {};
        multiply_rows<D>(product, keys, of_warp, queries, at);
        multiply_rows<D>(dA, values, of_warp, dYs, at);
#pragma unroll
        for (int j = 0; j < 4; ++j) {  // this lane's queries
          const int n = j / 2, t = at + 8 * n + 2 * lane_in_row() + j % 2;
          const KnownQuery<float> query = known[t];
          const unsigned bits = kept[threadIdx.y][t];
#pragma unroll
          for (int r = 0; r < 2; ++r) {
            const int row = lane_row() + 8 * r, u = first + of_warp + row;
            const float factor = bits >> row & 1 ? keep : 0.0f;
            float &x = product[n][2 * r + j % 2], &d = dA[n][2 * r + j % 2];
            const float P = query.P(scale * x, u);
            x = P * factor;
            d = query.dS(P, d * factor, u);
          }
        }
        multiply_columns<D>(sum_V, product, dYs, at);
        multiply_columns<D>(sum_K, dA, queries, at);
      }
  }
  if (there) {
    store<D>(sum_K, scale, dK, rounded_dK, head.key, first + of_warp, head.keys, head);
    store<D>(sum_V, 1, dV, rounded_dV, head.key, first + of_warp, head.keys, head);
  }
}

void attention_rounded(const bfloat16* q, const bfloat16* k, const bfloat16* v, const int* lens, real p, Draw draw,
                       real* log_sum_exp, Both y, const AttentionSizes& s) {
  const auto device_lens = ints(lens, s.batch * s.queries);
  with_columns(s.head_size, [&](auto columns) {
    using Own = Rows<columns>;
    launch("attention", attention_mma_kernel<columns>, attention_grid(s.queries, Own::count, s),
           dim3(warp_size, Own::warps), q, k, v, device_lens.get(), formula::Dropout(p, draw), log_sum_exp, y.exact,
           y.rounded, s);
  });
}

void attention_rounded_backward(const bfloat16* q, const bfloat16* k, const bfloat16* v, const int* lens, real p,
                                Draw draw, const real* log_sum_exp, const real* y, const bfloat16* dY, Both dQ, Both dK,
                                Both dV, const AttentionSizes& s) {
  const auto device_lens = ints(lens, s.batch * s.queries);
  const Index rows = s.batch * s.heads * s.queries;
  const auto sum_P_dP = scratch<real>(rows);
  const auto kept = p > 0 ? scratch<std::uint16_t>(rows * ((s.keys + 15) / 16)) : nullptr;
  const formula::Dropout dropout(p, draw);
  with_columns(s.head_size, [&](auto columns) {
    using Own = Rows<columns>;
    launch("attention_dq", attention_dq_mma_kernel<columns>, attention_grid(s.queries, Own::count, s),
           dim3(warp_size, Own::warps), q, k, v, device_lens.get(), dropout, log_sum_exp, y, dY, dQ.exact, dQ.rounded,
           sum_P_dP.get(), kept.get(), s);
    launch("attention_dkdv", attention_dkdv_mma_kernel<columns>, attention_grid(s.keys, Own::count, s),
           dim3(warp_size, Own::warps), q, k, v, device_lens.get(), dropout, log_sum_exp, sum_P_dP.get(), kept.get(),
           dY, dK.exact, dK.rounded, dV.exact, dV.rounded, s);
  });
}

}  // namespace bobbin::cuda
