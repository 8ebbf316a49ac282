// Matrix products. From Y = A·B, Y_ij = Σ_k A_ik·B_kj, follows dA_ik = Σ_j dY_ij·B_kj and
// dB_kj = Σ_i A_ik·dY_ij: dA = dY·Bᵀ and dB = Aᵀ·dY.
#include "autograd/ops.h"

namespace bobbin {

Var matmul(const Var& a, const Var& b, Transposed transposed) {
  const Operand A(a.value()), B(b.value());
  const bool trans_a = transposed.trans_a, trans_b = transposed.trans_b;
  // For an operand that is stored transposed, both sides of its formula are transposed: (dY·Bᵀ)ᵀ = B·dYᵀ.
  // One matrix used with many has the sum of their gradients.
  const auto dA = [B, trans_a, trans_b, shape = A.shape()](Tensor dY) {
    const Operand G(std::move(dY));
    return sum_to(trans_a ? matmul(B, G, {.trans_a = trans_b, .trans_b = true})
                          : matmul(G, B, {.trans_a = false, .trans_b = !trans_b}),
                  shape);
  };
  const auto dB = [A, trans_a, trans_b, shape = B.shape()](Tensor dY) {
    const Operand G(std::move(dY));
    return sum_to(trans_b ? matmul(G, A, {.trans_a = true, .trans_b = trans_a})
                          : matmul(A, G, {.trans_a = !trans_a, .trans_b = false}),
                  shape);
  };
  return record("matmul", matmul(A, B, transposed), {{a, dA}, {b, dB}});
}

Var linear(Var x, const Var& W, const Var& b, ReadBy readers) {
  const Operand X = std::move(x).operand(), Wt(W.value());
  const auto rows = [](const auto& t) { return t.reshape({t.size() / t.shape()[-1], t.shape()[-1]}); };
  // W first: when its gradient is there nobody needs X any more, and dX takes its place in memory.
  return record("linear", linear(X, Wt, b.value(), readers),
                {{W, [X, rows](Tensor dY) { return matmul(rows(Operand(std::move(dY))), rows(X), {.trans_a = true}); }},
                 {b, [rows](Tensor dY) { return sum(rows(dY), 0); }},
                 {x, [Wt, rows, shape = X.shape()](Tensor dY) {
                    return matmul(rows(Operand(std::move(dY))), Wt).reshape(shape);
                  }}});
}

}  // namespace bobbin
