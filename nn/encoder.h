#pragma once
#include <utility>
#include <vector>

#include "nn/attention.h"
#include "nn/layers.h"

/// The block of the original Transformer's encoder (Vaswani et al., 2017: "Attention is all you need"), with d2l.ai's
/// classes, names and arguments: it normalises after each sum, where the Vision Transformer's block does before.
namespace bobbin {

/// The same small network for every token: num_hiddens -> ffn_num_hiddens -> ffn_num_outputs.
struct PositionWiseFFN {
  Linear dense1;
  ReLU relu;
  Linear dense2;

  PositionWiseFFN(Index num_hiddens, Index ffn_num_hiddens, Index ffn_num_outputs, Rng& rng)
      : dense1(num_hiddens, ffn_num_hiddens, rng), dense2(ffn_num_hiddens, ffn_num_outputs, rng) {}

  Var operator()(const Var& X) { return dense2(relu(dense1(X))); }
  void visit(auto&& v) { v("dense1", dense1), v("dense2", dense2); }
};

/// What a branch Y of the network found is added to X, and the sum normalised.
struct AddNorm {
  Dropout dropout;
  LayerNorm ln;

  AddNorm(Index norm_shape, real dropout, Rng& rng) : dropout(dropout, rng), ln(norm_shape) {}

  /// Twice (..., norm_shape) -> the same shape.
  Var operator()(const Var& X, Var Y) { return ln(dropout(std::move(Y)) + X); }
  void visit(auto&& v) { v("dropout", dropout), v("ln", ln); }
};

/// Attention among the tokens, then the network for each, each of them added to what came in and normalised.
struct TransformerEncoderBlock {
  MultiHeadAttention attention;
  AddNorm addnorm1;
  PositionWiseFFN ffn;
  AddNorm addnorm2;

  TransformerEncoderBlock(Index num_hiddens, Index ffn_num_hiddens, int num_heads, real dropout, bool use_bias,
                          Rng& rng)
      : attention(num_hiddens, num_heads, dropout, use_bias, rng),
        addnorm1(num_hiddens, dropout, rng),
        ffn(num_hiddens, ffn_num_hiddens, num_hiddens, rng),
        addnorm2(num_hiddens, dropout, rng) {}

  /// (B, T, num_hiddens) -> the same shape. For valid_lens see MultiHeadAttention.
  Var operator()(const Var& X, const std::vector<int>& valid_lens = {}) {
    const Var Y = addnorm1(X, attention(X, X, X, valid_lens));
    return addnorm2(Y, ffn(Y));
  }
  void visit(auto&& v) { v("attention", attention), v("addnorm1", addnorm1), v("ffn", ffn), v("addnorm2", addnorm2); }
};

}  // namespace bobbin
