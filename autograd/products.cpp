// Matrix products. From Y = A·B, Y_ij = Σ_k A_ik·B_kj, follows dA_ik = Σ_j dY_ij·B_kj and
// dB_kj = Σ_i A_ik·dY_ij: dA = dY·Bᵀ and dB = Aᵀ·dY.
#include "autograd/ops.h"

namespace bobbin {
namespace {

// A batch of matrices as one, from top to bottom or side by side.
Operand one_matrix(const Operand& x, bool top_to_bottom) {
  const Index rows = x.shape()[-2], cols = x.shape()[-1];
  if (top_to_bottom) return x.reshape({x.size() / cols, cols});
  const Index count = x.size() / (rows * cols);
  return Operand(permute(x.tensor().reshape({count, rows, cols}), {1, 0, 2}).reshape({rows, count * cols}));
}

// The gradient A·B of an operand of a product, which has this shape. One matrix that was used with many has the sum of
// their gradients, Σ_i A_i·B_i, and that is a single product: of all A_i side by side and all B_i from top to bottom.
Tensor gradient(const Operand& a, const Operand& b, Transposed transposed, const Shape& shape) {
  const auto matrices = [](const Shape& s) { return s.product(0, s.rank() - 2); };
  if (matrices(shape) != 1 || matrices(a.shape()) == 1 || a.size() == 0 || b.size() == 0)
    return sum_to(matmul(a, b, transposed), shape);
  return matmul(one_matrix(a, transposed.trans_a), one_matrix(b, !transposed.trans_b), transposed).reshape(shape);
}

}  // namespace

Var matmul(const Var& a, const Var& b, Transposed transposed) {
  const auto [trans_a, trans_b] = transposed;
  if (a.rank() == 1) {
    const Var Y = matmul(unsqueeze(a, 0), b, {false, trans_b});
    return squeeze(Y, b.rank() == 1 ? -1 : -2);
  }
  if (b.rank() == 1) return squeeze(matmul(a, unsqueeze(b, 1), {trans_a, false}), -1);
  const Operand A(a.value()), B(b.value());
  Tensor Y = matmul(A, B, transposed);
  // For an operand that is stored transposed, both sides of its formula are transposed: (dY·Bᵀ)ᵀ = B·dYᵀ.
  const auto dA = [B, trans_a = trans_a, trans_b = trans_b, shape = A.shape()](Tensor dY) {
    const Operand G(std::move(dY));
    return trans_a ? gradient(B, G, {.trans_a = trans_b, .trans_b = true}, shape)
                   : gradient(G, B, {.trans_a = false, .trans_b = !trans_b}, shape);
  };
  const auto dB = [A, trans_a = trans_a, trans_b = trans_b, shape = B.shape()](Tensor dY) {
    const Operand G(std::move(dY));
    return trans_b ? gradient(G, A, {.trans_a = true, .trans_b = trans_a}, shape)
                   : gradient(A, G, {.trans_a = !trans_a, .trans_b = false}, shape);
  };
  return record("matmul", std::move(Y), {{a, dA}, {b, dB}});
}

Var linear(Var x, const Var& W, const Var& b, ReadBy readers) {
  const Operand X = std::move(x).operand(), Wt(W.value());
  const auto rows = [](const auto& t) { return t.reshape({t.shape().product(0, t.rank() - 1), t.shape()[-1]}); };
  // W first: when its gradient is there nobody needs X any more, and dX takes its place in memory.
  return record("linear", linear(X, Wt, b.value(), readers),
                {{W, [X, rows](Tensor dY) { return matmul(rows(Operand(std::move(dY))), rows(X), {.trans_a = true}); }},
                 {b, [rows](Tensor dY) { return sum(rows(dY), 0); }},
                 {x,
                  [Wt, rows, shape = X.shape(), slot = x.slot()](Tensor dY) {
                    return matmul(rows(Operand(std::move(dY))), Wt, {}, gradient_readers(slot)).reshape(shape);
                  }}},
                ReadBy::products);
}

}  // namespace bobbin
