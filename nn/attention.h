#pragma once
#include "nn/layers.h"

namespace bobbin {

/// d2l.ai's multi-head attention: queries, keys and values are projected, each of num_heads heads
/// attends in its own num_hiddens/num_heads columns, and what they found is projected once more.
struct MultiHeadAttention {
  int num_heads;
  Linear W_q, W_k, W_v, W_o;
  Dropout dropout;      // on the attention weights
  bool causal = false;  ///< whether query i sees the keys 0 ... i alone, as in a language model: PyTorch's is_causal

  /// Throws Error unless num_heads divides num_hiddens.
  MultiHeadAttention(Index num_hiddens, int num_heads, real dropout, bool use_bias, Rng& rng)
      : num_heads(num_heads),
        W_q(num_hiddens, num_hiddens, rng, use_bias),
        W_k(num_hiddens, num_hiddens, rng, use_bias),
        W_v(num_hiddens, num_hiddens, rng, use_bias),
        W_o(num_hiddens, num_hiddens, rng, use_bias),
        dropout(dropout, rng) {
    check(num_heads >= 1 && num_hiddens % num_heads == 0, "MultiHeadAttention", num_heads,
          " heads do not divide num_hiddens ", num_hiddens);
  }

  /// (B, Tq, num_hiddens) and twice (B, Tk, num_hiddens) -> (B, Tq, num_hiddens). valid_lens is empty or says how many
  /// keys may be looked at: a number for each image (B), or for each query (B·Tq).
  Var operator()(const Var& queries, const Var& keys, const Var& values, const std::vector<int>& valid_lens = {}) {
    constexpr auto products = ReadBy::products;
    Var Q = W_q(queries, products), K = W_k(keys, products), V = W_v(values, products);
    const auto lens = causal ? causal_lens(Q.shape()[0], Q.shape()[1], valid_lens) : valid_lens;
    const bool drops = dropout.active();
    const Draw mask = drops ? dropout.draw(Q.shape()[0] * num_heads * Q.shape()[1] * K.shape()[1]) : Draw();
    return W_o(
        attention(std::move(Q), std::move(K), std::move(V), num_heads, lens, drops ? dropout.p : 0, mask, products));
  }
  void visit(auto&& v) { v("dropout", dropout), v("W_q", W_q), v("W_k", W_k), v("W_v", W_v), v("W_o", W_o); }
};

}  // namespace bobbin
