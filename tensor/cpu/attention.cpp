// Scaled dot-product attention with several heads (Vaswani et al., 2017). Each pair of image and head is a task of its
// own, whose small products stay in the cache of one thread. The heads are not copied apart: head h is the columns h·d
// ... of the rows of Q, K and V, which a leading dimension says. Nor need these be apart from each other: their rows
// are `ld` numbers apart, which is D, or 3·D where a row has a query, a key and a value.
#include <algorithm>
#include <cmath>
#include <utility>

#include "tensor/cpu/dropout.h"
#include "tensor/cpu/softmax.h"
#include "tensor/cpu/workspace.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {
namespace {

// Where the task (b, h) finds its operands.
struct Head {
  Index query, key, y, weight;  // offsets into Q, into K and V, into y, into the weights
  const int* lens;              // of this image's queries, or null

  Head(Index task, const int* lens, const AttentionSizes& s, Index ld)
      : query(task / s.heads * s.queries * ld + task % s.heads * s.head_size),
        key(task / s.heads * s.keys * ld + task % s.heads * s.head_size),
        y((task / s.heads * s.queries * s.heads + task % s.heads) * s.head_size),
        weight(task * s.queries * s.keys),
        lens(lens ? lens + task / s.heads * s.queries : nullptr) {}
  Index len(Index query_row, const AttentionSizes& s) const { return lens ? lens[query_row] : s.keys; }
};

// Calls body(mask, begin, from, to) for ranges from ... to-1 that cover 0 ... n-1, where mask(i - begin, x) is dropout
// of element first + i of all weights (B, H, Tq, Tk). Their mask runs through all heads as one sequence, and a head
// need not begin at a whole Philox block of four.
template <class Body>
void for_each_range(DropoutMask& mask, Index first, Index n, const Body& body) {
  for (Index begin = -(first % 4); begin < n; begin += DropoutMask::chunk) {
    mask.decide(first + begin);
    body(std::as_const(mask), begin, std::max(begin, Index{0}), std::min(begin + DropoutMask::chunk, n));
  }
}

// y = dropout(x), or dropout(x) rounded, of the n weights that begin with number `first` of all. y may be x.
template <class T>
void drop_weights(DropoutMask& mask, Index first, const real* x, T* y, Index n) {
  for_each_range(mask, first, n, [x, y](const DropoutMask& mask, Index begin, Index from, Index to) {
    const real* const in = x + begin;
    T* const out = y + begin;
#pragma omp simd
    for (Index i = from - begin; i < to - begin; ++i) store(out[i], mask(i, in[i]));
  });
}

// The products of all heads of an image, side by side in rows from number `first` on, `ld` apart, while these are in
// the cache also rounded.
void multiply_into(const Both& y, Index first, const Product& p, const RoundedMatrix& a, const RoundedMatrix& b,
                   Index ld) {
  if (!y.exact) return gemm_rounded(p, a, b, {y.rounded + first, ld, p.n});
  gemm_rounded(p, a, b, {y.exact + first, ld, p.n});
  if (!y.rounded) return;
  for (Index row = first; row < first + p.m * ld; row += ld)
#pragma omp simd
    for (Index i = row; i < row + p.batch * p.n; ++i) y.rounded[i] = to_bfloat16(y.exact[i]);
}

// The `n` scores w of image b, from number `first` of its (H, Tq, Tk) on, with what is added to them.
void add_bias(const ScoreBias& bias, Index b, Index first, real* w, Index n, const AttentionSizes& s) {
  if (!bias.at) return;
  const real* const from = bias.at + b % bias.count * s.heads * s.queries * s.keys + first;
#pragma omp simd
  for (Index i = 0; i < n; ++i) w[i] += from[i];
}

void attend(const real* q, const real* k, const real* v, Index ld, const int* lens, real p, Draw draw, real* weights,
            real* y, const AttentionSizes& s, const ScoreBias& bias) {
  const Index Tq = s.queries, Tk = s.keys, d = s.head_size, D = s.heads * d;
  const real scale = 1 / std::sqrt(static_cast<real>(d));
  const Index n = Tq * Tk;
  Workspace<real> workspace(n);
  parallel_for(s.batch * s.heads, 1, [&](Index begin, Index end) {
    DropoutMask mask(p, draw);
    real* dropped = workspace.mine();  // (Tq, Tk)
    for (Index task = begin; task < end; ++task) {
      const Head head(task, lens, s, ld);
      real* w = weights + head.weight;                                                    // (Tq, Tk)
      gemm({Tq, Tk, d, scale}, {q + head.query, ld}, {k + head.key, ld, true}, {w, Tk});  // Q·Kᵀ/√d
      add_bias(bias, task / s.heads, task % s.heads * n, w, n, s);
      softmax_rows(w, w, Tq, Tk, [&](Index t) { return head.len(t, s); });
      if (p > 0) drop_weights(mask, head.weight, w, dropped, n);
      gemm({Tq, d, Tk}, {p > 0 ? dropped : w, Tk}, {v + head.key, ld}, {y + head.y, D});  // A·V
    }
  });
}

// In the forward pass this was S = Q·Kᵀ/√d, P = softmax(S), A = dropout(P), Y = A·V; so now
//     dA = dY·Vᵀ,  dP = dropout(dA) with the same mask,  dV = Aᵀ·dY,
//     dS = P ⊙ (dP - Σ P ⊙ dP),  dQ = dS·K/√d,  dK = dSᵀ·Q/√d,
// and of what is added to S the gradient is dS itself.
void attend_backward(const real* q, const real* k, const real* v, Index ld, const int* lens, real p, Draw draw,
                     const real* weights, const real* dY, real* dQ, real* dK, real* dV, const AttentionSizes& s,
                     const ScoreBias& bias) {
  const Index Tq = s.queries, Tk = s.keys, d = s.head_size, D = s.heads * d;
  const real scale = 1 / std::sqrt(static_cast<real>(d));
  const Index n = Tq * Tk;
  Workspace<real> workspace(2 * n);
  parallel_for(s.batch * s.heads, 1, [&](Index begin, Index end) {
    DropoutMask mask(p, draw);
    real* dropped = workspace.mine();  // A, (Tq, Tk)
    for (Index task = begin; task < end; ++task) {
      const Head head(task, lens, s, ld);
      real* dS = bias.dS ? bias.dS + head.weight : dropped + n;  // first dA, then dP, then dS, (Tq, Tk)
      const real* w = weights + head.weight;
      gemm({Tq, Tk, d}, {dY + head.y, D}, {v + head.key, ld, true}, {dS, Tk});
      if (p > 0)
        for_each_range(mask, head.weight, n, [=](const DropoutMask& mask, Index begin, Index from, Index to) {
#pragma omp simd
          for (Index i = from; i < to; ++i) {
            dropped[i] = mask(i - begin, w[i]);
            dS[i] = mask(i - begin, dS[i]);
          }
        });
      gemm({Tk, d, Tq}, {p > 0 ? dropped : w, Tk, true}, {dY + head.y, D}, {dV + head.key, ld});
      for (Index t = 0; t < Tq; ++t) softmax_row_backward(w + t * Tk, dS + t * Tk, dS + t * Tk, head.len(t, s), Tk);
      gemm({Tq, d, Tk, scale}, {dS, Tk}, {k + head.key, ld}, {dQ + head.query, ld});
      gemm({Tk, d, Tq, scale}, {dS, Tk, true}, {q + head.query, ld}, {dK + head.key, ld});
    }
  });
}

// Of rounded operands oneDNN multiplies those of all heads of an image together, several times faster than one by one.
// So an image is a task. Its weights, A, and dS, have to be rounded.
void attend_rounded(const bfloat16* q, const bfloat16* k, const bfloat16* v, Index ld, const int* lens, real p,
                    Draw draw, real* weights, Both y, const AttentionSizes& s, const ScoreBias& bias) {
  const Index Tq = s.queries, Tk = s.keys, d = s.head_size, D = s.heads * d, n = Tq * Tk;
  const real scale = 1 / std::sqrt(static_cast<real>(d));
  Workspace<bfloat16> workspace(s.heads * n);
  parallel_for(s.batch, 1, [&](Index begin, Index end) {
    DropoutMask mask(p, draw);
    bfloat16* A = workspace.mine();  // (H, Tq, Tk)
    for (Index b = begin; b < end; ++b) {
      const bfloat16 *Q = q + b * Tq * ld, *K = k + b * Tk * ld, *V = v + b * Tk * ld;
      const Index first = b * s.heads * n;
      real* w = weights + first;  // (H, Tq, Tk)
      gemm_rounded({Tq, Tk, d, scale, s.heads}, {Q, ld, false, d}, {K, ld, true, d}, {w, Tk, n});
      add_bias(bias, b, 0, w, s.heads * n, s);
      softmax_rows(w, w, s.heads * Tq, Tk, [&](Index row) { return lens ? lens[b * Tq + row % Tq] : Tk; });
      drop_weights(mask, first, w, A, s.heads * n);
      multiply_into(y, b * Tq * D, {Tq, d, Tk, 1, s.heads}, {A, Tk, false, n}, {V, ld, false, d}, D);
    }
  });
}

void attend_rounded_backward(const bfloat16* q, const bfloat16* k, const bfloat16* v, Index ld, const int* lens, real p,
                             Draw draw, const real* weights, const bfloat16* dY, Both dQ, Both dK, Both dV,
                             const AttentionSizes& s, const ScoreBias& bias) {
  const Index Tq = s.queries, Tk = s.keys, d = s.head_size, D = s.heads * d, n = Tq * Tk;
  const real scale = 1 / std::sqrt(static_cast<real>(d));
  Workspace<bfloat16> rounded(s.heads * n);
  Workspace<real> exact(s.heads * n);
  parallel_for(s.batch, 1, [&](Index begin, Index end) {
    DropoutMask mask(p, draw);
    bfloat16* A = rounded.mine();  // first A, then dS, (H, Tq, Tk)
    for (Index b = begin; b < end; ++b) {
      const bfloat16 *Q = q + b * Tq * ld, *K = k + b * Tk * ld, *V = v + b * Tk * ld, *G = dY + b * Tq * D;
      const Index first = b * s.heads * n;
      real* dS = bias.dS ? bias.dS + first : exact.mine();  // first dA, then dP, then dS, (H, Tq, Tk)
      const real* w = weights + first;
      drop_weights(mask, first, w, A, s.heads * n);
      multiply_into(dV, b * Tk * ld, {Tk, d, Tq, 1, s.heads}, {A, Tk, true, n}, {G, D, false, d}, ld);
      gemm_rounded({Tq, Tk, d, 1, s.heads}, {G, D, false, d}, {V, ld, true, d}, {dS, Tk, n});
      if (p > 0) drop_weights(mask, first, dS, dS, s.heads * n);
      for (Index row = 0; row < s.heads * Tq; ++row)
        softmax_row_backward(w + row * Tk, dS + row * Tk, dS + row * Tk, lens ? lens[b * Tq + row % Tq] : Tk, Tk);
#pragma omp simd
      for (Index i = 0; i < s.heads * n; ++i) A[i] = to_bfloat16(dS[i]);
      multiply_into(dQ, b * Tq * ld, {Tq, d, Tk, scale, s.heads}, {A, Tk, false, n}, {K, ld, false, d}, ld);
      multiply_into(dK, b * Tk * ld, {Tk, d, Tq, scale, s.heads}, {A, Tk, true, n}, {Q, ld, false, d}, ld);
    }
  });
}

Index width(const AttentionSizes& s) { return s.heads * s.head_size; }
// The places n numbers further on; null stays null.
Both behind(const Both& x, Index n) { return {x.exact ? x.exact + n : nullptr, x.rounded ? x.rounded + n : nullptr}; }

}  // namespace

Shape attention_keeps(const AttentionSizes& s) { return {s.batch, s.heads, s.queries, s.keys}; }
bool attention_keeps_y() { return false; }

void attention(const real* q, const real* k, const real* v, const int* lens, real p, Draw draw, real* weights, real* y,
               const AttentionSizes& s) {
  attend(q, k, v, width(s), lens, p, draw, weights, y, s, {});
}
void attention_backward(const real* q, const real* k, const real* v, const int* lens, real p, Draw draw,
                        const real* weights, const real*, const real* dY, real* dQ, real* dK, real* dV,
                        const AttentionSizes& s) {
  attend_backward(q, k, v, width(s), lens, p, draw, weights, dY, dQ, dK, dV, s, {});
}
void attention_rounded(const bfloat16* q, const bfloat16* k, const bfloat16* v, const int* lens, real p, Draw draw,
                       real* weights, Both y, const AttentionSizes& s) {
  attend_rounded(q, k, v, width(s), lens, p, draw, weights, y, s, {});
}
void attention_rounded_backward(const bfloat16* q, const bfloat16* k, const bfloat16* v, const int* lens, real p,
                                Draw draw, const real* weights, const real*, const bfloat16* dY, Both dQ, Both dK,
                                Both dV, const AttentionSizes& s) {
  attend_rounded_backward(q, k, v, width(s), lens, p, draw, weights, dY, dQ, dK, dV, s, {});
}

void biased_attention(const real* qkv, real* weights, real* y, const AttentionSizes& s, const ScoreBias& bias) {
  const Index D = width(s);
  attend(qkv, qkv + D, qkv + 2 * D, 3 * D, nullptr, 0, {}, weights, y, s, bias);
}
void biased_attention_backward(const real* qkv, const real* weights, const real* dY, real* dqkv,
                               const AttentionSizes& s, const ScoreBias& bias) {
  const Index D = width(s);
  attend_backward(qkv, qkv + D, qkv + 2 * D, 3 * D, nullptr, 0, {}, weights, dY, dqkv, dqkv + D, dqkv + 2 * D, s, bias);
}
void biased_attention_rounded(const bfloat16* qkv, real* weights, Both y, const AttentionSizes& s,
                              const ScoreBias& bias) {
  const Index D = width(s);
  attend_rounded(qkv, qkv + D, qkv + 2 * D, 3 * D, nullptr, 0, {}, weights, y, s, bias);
}
void biased_attention_rounded_backward(const bfloat16* qkv, const real* weights, const bfloat16* dY, Both dqkv,
                                       const AttentionSizes& s, const ScoreBias& bias) {
  const Index D = width(s);
  attend_rounded_backward(qkv, qkv + D, qkv + 2 * D, 3 * D, nullptr, 0, {}, weights, dY, dqkv, behind(dqkv, D),
                          behind(dqkv, 2 * D), s, bias);
}

}  // namespace bobbin::cpu
