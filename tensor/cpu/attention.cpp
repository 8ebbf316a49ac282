// Scaled dot-product attention with several heads (Vaswani et al., 2017). Each pair of image and head
// is a task of its own, whose small products stay in the cache of one thread. The heads are not
// copied apart: head h is the columns h·d ... of the rows of Q, K and V, which a leading dimension says.
#include <cmath>

#include "tensor/cpu/dropout.h"
#include "tensor/cpu/softmax.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {
namespace {

// Where the task (b, h) finds its operands.
struct Head {
  Index query, key, weight;  // offsets into Q and y, into K and V, into the weights
  const int* lens;           // of this image's queries, or null

  Head(Index task, const int* lens, const AttentionSizes& s)
      : query((task / s.heads * s.queries * s.heads + task % s.heads) * s.head_size),
        key((task / s.heads * s.keys * s.heads + task % s.heads) * s.head_size),
        weight(task * s.queries * s.keys),
        lens(lens ? lens + task / s.heads * s.queries : nullptr) {}
  Index len(Index query_row, const AttentionSizes& s) const { return lens ? lens[query_row] : s.keys; }
};

// The weights after dropout. Their mask runs through (B, H, Tq, Tk) as one sequence, in which a head
// need not begin at a whole Philox block of four: the mask of a few elements before it is made too.
class DroppedWeights {
 public:
  DroppedWeights(real p, Draw draw, const AttentionSizes& s)
      : p_(p), mask_(p, draw), buffer_(static_cast<std::size_t>(p > 0 ? s.queries * s.keys + 3 : 0)) {}

  // dropout(weights) for a head whose weights begin at element `first` of all; weights itself if p = 0.
  const real* operator()(const real* weights, Index first, Index n) {
    if (p_ == 0) return weights;
    const Index lead = first % 4;
    std::copy_n(weights, n, buffer_.data() + lead);
    mask_.apply(buffer_.data(), buffer_.data(), first - lead, n + lead);
    return buffer_.data() + lead;
  }

 private:
  real p_;
  DropoutMask mask_;
  std::vector<real> buffer_;
};

}  // namespace

void attention(const real* q, const real* k, const real* v, const int* lens, real p, Draw draw, real* weights, real* y,
               const AttentionSizes& s) {
  const Index Tq = s.queries, Tk = s.keys, d = s.head_size, D = s.heads * d;
  const real scale = 1 / std::sqrt(static_cast<real>(d));
  parallel_for(s.batch * s.heads, 1, [&](Index begin, Index end) {
    DroppedWeights dropped(p, draw, s);
    for (Index task = begin; task < end; ++task) {
      const Head head(task, lens, s);
      real* w = weights + head.weight;                                                    // (Tq, Tk)
      gemm(false, true, Tq, Tk, d, scale, q + head.query, D, k + head.key, D, 0, w, Tk);  // Q·Kᵀ/√d
      for (Index t = 0; t < Tq; ++t) softmax_row(w + t * Tk, w + t * Tk, head.len(t, s), Tk);
      const real* kept = dropped(w, head.weight, Tq * Tk);
      gemm(false, false, Tq, d, Tk, 1, kept, Tk, v + head.key, D, 0, y + head.query, D);  // weights·V
    }
  });
}

// In the forward pass this was S = Q·Kᵀ/√d, P = softmax(S), A = dropout(P), Y = A·V; so now
//     dV = Aᵀ·dY,  dA = dY·Vᵀ,  dP = dropout(dA) with the same mask,
//     dS = P ⊙ (dP - Σ P ⊙ dP),  dQ = dS·K/√d,  dK = dSᵀ·Q/√d.
void attention_backward(const real* q, const real* k, const real* v, const int* lens, real p, Draw draw,
                        const real* weights, const real* dY, real* dQ, real* dK, real* dV, const AttentionSizes& s) {
  const Index Tq = s.queries, Tk = s.keys, d = s.head_size, D = s.heads * d;
  const real scale = 1 / std::sqrt(static_cast<real>(d));
  parallel_for(s.batch * s.heads, 1, [&](Index begin, Index end) {
    DroppedWeights dropped(p, draw, s);
    std::vector<real> dA(static_cast<std::size_t>(Tq * Tk)), dS(dA.size());  // (Tq, Tk)
    for (Index task = begin; task < end; ++task) {
      const Head head(task, lens, s);
      const real* w = weights + head.weight;
      const real* kept = dropped(w, head.weight, Tq * Tk);
      gemm(true, false, Tk, d, Tq, 1, kept, Tk, dY + head.query, D, 0, dV + head.key, D);
      gemm(false, true, Tq, Tk, d, 1, dY + head.query, D, v + head.key, D, 0, dA.data(), Tk);
      const real* dP = dropped(dA.data(), head.weight, Tq * Tk);
      for (Index t = 0; t < Tq; ++t)
        softmax_row_backward(w + t * Tk, dP + t * Tk, dS.data() + t * Tk, head.len(t, s), Tk);
      gemm(false, false, Tq, d, Tk, scale, dS.data(), Tk, k + head.key, D, 0, dQ + head.query, D);
      gemm(true, false, Tk, d, Tq, scale, dS.data(), Tk, q + head.query, D, 0, dK + head.key, D);
    }
  });
}

}  // namespace bobbin::cpu
