// Scaled dot-product attention with several heads, as one operation.
#include "autograd/ops.h"

namespace bobbin {

// The derivation stands beside the loops, in tensor/cpu/attention.cpp; the same in single ops is
// plain::attention (plain.h).
Var attention(Var queries, Var keys, Var values, int num_heads, const std::vector<int>& valid_lens, real p, Draw draw,
              ReadBy readers) {
  const Operand Q = std::move(queries).operand(), K = std::move(keys).operand(), V = std::move(values).operand();
  Attended forward = attention(Q, K, V, num_heads, valid_lens, p, draw, readers);
  Tensor Y = std::exchange(forward.y, {});
  return record("attention", std::move(Y), {queries, keys, values}, [=](Tensor dY) {
    auto [dQ, dK, dV] = attention_backward(Q, K, V, num_heads, valid_lens, p, draw, forward, Operand(std::move(dY)));
    return std::vector<Tensor>{dQ, dK, dV};
  });
}

}  // namespace bobbin
