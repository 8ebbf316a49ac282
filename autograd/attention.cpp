// Scaled dot-product attention with several heads, as one operation.
#include <algorithm>
#include <array>

#include "autograd/ops.h"
#include "autograd/plain.h"
#include "tensor/backend.h"

namespace bobbin {

// The derivation stands beside the loops, in tensor/cpu/attention.cpp; the same in single ops is
// plain::attention (plain.h).
Var attention(Var queries, Var keys, Var values, int num_heads, const std::vector<int>& valid_lens, real p, Draw draw,
              ReadBy readers) {
  const Operand Q = std::move(queries).operand(), K = std::move(keys).operand(), V = std::move(values).operand();
  Attended forward = attention(Q, K, V, num_heads, valid_lens, p, draw, readers);
  Tensor Y = std::exchange(forward.y, {});
  // The gradients that are wanted are read alike, if they are: as in a layer, where each is for a product of its own.
  const auto slot = [](const Var& x) { return x.requires_grad() ? x.slot() : nullptr; };
  const std::array slots{slot(queries), slot(keys), slot(values)};
  const auto vjp = [=](Tensor dY) {
    const auto products = [](const GradSlot* slot) { return !slot || gradient_readers(slot) == ReadBy::products; };
    AttentionGradients d = attention_backward(Q, K, V, num_heads, valid_lens, p, draw, forward, Operand(std::move(dY)),
                                              std::ranges::all_of(slots, products) ? ReadBy::products : ReadBy::anyone);
    return std::vector<Tensor>{d.dqueries, d.dkeys, d.dvalues};
  };
  return record("attention", std::move(Y), {queries, keys, values}, vjp, ReadBy::products);
}

Var biased_attention(Var qkv, int num_heads, const Var& bias, ReadBy readers) {
  if (on_gpu) return plain::biased_attention(qkv, num_heads, bias);
  const Operand QKV = std::move(qkv).operand();
  Attended forward = biased_attention(QKV, num_heads, bias.value(), readers);
  Tensor Y = std::exchange(forward.y, {});
  const GradSlot* const slot = qkv.requires_grad() ? qkv.slot() : nullptr;
  const auto vjp = [=, B = bias.value()](Tensor dY) {
    BiasedAttentionGradients d = biased_attention_backward(QKV, num_heads, forward, Operand(std::move(dY)), B,
                                                           slot ? gradient_readers(slot) : ReadBy::products);
    const Shape& all = d.dbias.shape();  // (B, heads, T, T): what the images of one number of the bias give adds up
    const Index G = B.shape()[0], n = all.product(1, 4);
    return std::vector<Tensor>{d.dqkv, sum(d.dbias.reshape(Shape{all[0] / G, G * n}), 0).reshape(B.shape())};
  };
  return record("attention", std::move(Y), {qkv, bias}, vjp, ReadBy::products);
}

}  // namespace bobbin
