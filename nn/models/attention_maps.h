#pragma once
#include <vector>

#include "autograd/plain.h"
#include "nn/models/vit.h"

/// Attention maps of a Vision Transformer.
namespace bobbin {

/// The attention weights of each block: (B, num_heads, T, T); the row of a query sums up to 1. Query 0 is the class
/// token; the last T - prefix_tokens() keys are the patches, left to right, then down. Dropout must be off: call
/// eval(model).
inline std::vector<Tensor> attention_maps(ViT& model, const Tensor& images) {
  std::vector<Tensor> maps;
  Var X = model.tokens(images);
  for (ViTBlock& blk : model.blks) {
    const Var Z = blk.before(blk.ln1, X);
    MultiHeadAttention& attention = blk.attention;
    maps.push_back(plain::attention_weights(attention.W_q(Z), attention.W_k(Z), attention.num_heads).value());
    X = blk(X);
  }
  return maps;
}

/// Attention rollout (Abnar and Zuidema, "Quantifying attention flow in transformers", 2020): how much of each token's
/// final state comes from each input token, (B, T, T). A block passes on half of what it has (the residual connection)
/// and half of what its heads, on average, look at:
///
///     R_0 = I,  R_l = (A_l + I)/2 · R_(l-1)
///
/// Throws Error if there is no block.
inline Tensor attention_rollout(const std::vector<Tensor>& maps) {
  check(!maps.empty(), "attention_rollout", "a model without blocks has no attention");
  const Index T = maps[0].shape()[-1];
  std::vector<real> ones_on_diagonal(static_cast<std::size_t>(T * T));
  for (Index t = 0; t < T; ++t) ones_on_diagonal[static_cast<std::size_t>(t * T + t)] = 1;
  const Tensor identity({1, T, T}, ones_on_diagonal);
  Tensor rollout = identity;
  for (const Tensor& map : maps) rollout = matmul((mean(map, 1) + identity) / 2, rollout);
  return rollout;
}

/// The map of the head over the patches, from attention weights or a rollout (T, T): the row of the class token, or
/// with another pool the mean over the rows of the patches; and of it the patches, as they lie in the image,
/// padded if it is.
inline Tensor over_patches(const Tensor& map, const ViT& model) {
  const ViTConfig& c = model.config;
  const Index T = map.shape()[0], first = model.prefix_tokens();
  const Tensor seen = c.pool == Pool::token ? map[0] : mean(slice(map, 0, first, T), 0);
  return slice(seen, 0, first, T).reshape({c.grid().height, c.grid().width});
}

}  // namespace bobbin
