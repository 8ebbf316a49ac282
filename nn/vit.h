#pragma once
#include "nn/attention.h"

/// The Vision Transformer of the chapter "Transformers for Vision" (d2l.ai, after Dosovitskiy et al.,
/// 2021: "An image is worth 16x16 words"): its classes, names and arguments, in its order.
namespace bobbin {

/// An image cut into patches, each of them projected to num_hiddens numbers: a sentence of patches.
struct PatchEmbedding {
  Size2 patch_size;
  Index num_patches;
  Conv2d conv;

  /// Throws Error unless the patch size divides the image size.
  PatchEmbedding(Size2 img_size, Size2 patch_size, Index num_hiddens, Index num_channels, Rng& rng)
      : patch_size(patch_size),
        num_patches(count_patches(img_size, patch_size)),
        conv(num_channels, num_hiddens, patch_size, rng, {.stride = patch_size}) {}

  /// (B, num_channels, H, W) -> (B, num_patches, num_hiddens).
  Var operator()(const Var& X) {
    // The chapter writes conv(X).flatten(2).transpose(1, 2). As kernel = stride, that is one product
    // of the patches with the kernels, which comes out in the order we want.
    return linear(patches(X, patch_size), flatten(conv.weight), conv.bias);
  }
  void visit(auto&& v) { v("conv", conv); }

 private:
  static Index count_patches(Size2 img, Size2 patch) {
    check(patch.height >= 1 && patch.width >= 1 && img.height >= 1 && img.width >= 1 &&
              img.height % patch.height == 0 && img.width % patch.width == 0,
          "PatchEmbedding", "an image of ", img.height, " x ", img.width, " cannot be cut into patches of ",
          patch.height, " x ", patch.width, ": the patch size must divide the image size");
    return img.height / patch.height * (img.width / patch.width);
  }
};

/// The same small network for every token: num_hiddens -> mlp_num_hiddens -> mlp_num_outputs.
struct ViTMLP {
  Linear dense1;
  GELU gelu;
  Dropout dropout1;
  Linear dense2;
  Dropout dropout2;

  ViTMLP(Index num_hiddens, Index mlp_num_hiddens, Index mlp_num_outputs, real dropout, Rng& rng)
      : dense1(num_hiddens, mlp_num_hiddens, rng),
        dropout1(dropout, rng),
        dense2(mlp_num_hiddens, mlp_num_outputs, rng),
        dropout2(dropout, rng) {}

  Var operator()(const Var& X) { return dropout2(dense2(gelu(dense1(X), dropout1))); }
  void visit(auto&& v) { v("dense1", dense1), v("dropout1", dropout1), v("dense2", dense2), v("dropout2", dropout2); }
};

/// Attention among the tokens, then the MLP for each, both normalised before and added to what came in.
struct ViTBlock {
  LayerNorm ln1;
  MultiHeadAttention attention;
  LayerNorm ln2;
  ViTMLP mlp;

  ViTBlock(Index num_hiddens, Index norm_shape, Index mlp_num_hiddens, int num_heads, real dropout, bool use_bias,
           Rng& rng)
      : ln1(norm_shape),
        attention(num_hiddens, num_heads, dropout, use_bias, rng),
        ln2(norm_shape),
        mlp(num_hiddens, mlp_num_hiddens, num_hiddens, dropout, rng) {}

  /// (B, T, num_hiddens) -> the same shape. For valid_lens see MultiHeadAttention.
  Var operator()(const Var& X, const std::vector<int>& valid_lens = {}) {
    const Var Z = ln1(X);
    const Var Y = X + attention(Z, Z, Z, valid_lens);
    return Y + mlp(ln2(Y));
  }
  /// The first token of what operator() gives, (B, 1, num_hiddens), for little more than the keys and values of
  /// all tokens: only the class token asks, and only it goes through the MLP.
  Var class_token(const Var& X) {
    const Var Z = ln1(X);
    const Var attended = attention(slice(Z, 1, 0, 1), Z, Z);  // named: C++ may compute either side of a + first
    const Var Y = slice(X, 1, 0, 1) + attended;
    return Y + mlp(ln2(Y));
  }
  void visit(auto&& v) { v("ln1", ln1), v("attention", attention), v("ln2", ln2), v("mlp", mlp); }
};

/// What the head looks at: the class token, or the mean over the patches (the chapter's second exercise).
enum class Pool { token, avg };

/// The chapter's arguments of ViT, with its values.
struct ViTConfig {
  Size2 img_size = 96, patch_size = 16;
  Index num_hiddens = 512, mlp_num_hiddens = 2048;
  int num_heads = 8, num_blks = 2;
  real emb_dropout = real(0.1), blk_dropout = real(0.1);
  bool use_bias = false;
  Index num_classes = 10;
  Index num_channels = 1;
  Pool pool = Pool::token;
  /// Of the last block the head sees the class token only, so nothing else is computed there: the same
  /// function, so without dropout the same logits and gradients, for 1.67 times less work in the chapter's
  /// model. True computes all of it, as the chapter's code does.
  bool whole_last_block = false;
};

/// Images (B, num_channels, H, W) -> logits (B, num_classes).
struct ViT {
  ViTConfig config;
  PatchEmbedding patch_embedding;
  Var cls_token, pos_embedding;  // (1, 1, num_hiddens), (1, 1 + num_patches, num_hiddens)
  Dropout dropout;
  std::vector<ViTBlock> blks;
  Sequential<LayerNorm, Linear> head;

  /// Throws Error where sizes do not divide: the image by the patch, the width by the heads.
  ViT(const ViTConfig& c, Rng& rng)
      : config(c),
        patch_embedding(c.img_size, c.patch_size, c.num_hiddens, c.num_channels, rng),
        cls_token(Var::parameter(Tensor::zeros({1, 1, c.num_hiddens}))),
        pos_embedding(Var::parameter(rng.normal({1, 1 + patch_embedding.num_patches, c.num_hiddens}))),
        dropout(c.emb_dropout, rng),
        head(LayerNorm(c.num_hiddens), Linear(c.num_hiddens, c.num_classes, rng)) {
    for (int i = 0; i < c.num_blks; ++i)
      blks.emplace_back(c.num_hiddens, c.num_hiddens, c.mlp_num_hiddens, c.num_heads, c.blk_dropout, c.use_bias, rng);
  }

  Var operator()(const Var& images) {
    const Index B = images.shape()[0];
    check(images.shape() == Shape{B, config.num_channels, config.img_size.height, config.img_size.width}, "ViT",
          "needs images (B, ", config.num_channels, ", ", config.img_size.height, ", ", config.img_size.width,
          "), got ", images.shape());
    Var X = patch_embedding(images);                                          // (B, T-1, C)
    X = concat({broadcast_to(cls_token, {B, 1, config.num_hiddens}), X}, 1);  // (B, T, C)
    X = dropout(std::move(X) + pos_embedding);
    const bool only_class_token = config.pool == Pool::token && !config.whole_last_block;
    for (ViTBlock& blk : blks) X = only_class_token && &blk == &blks.back() ? blk.class_token(X) : blk(X);
    return head(config.pool == Pool::token ? select(X, 1, 0) : mean(slice(X, 1, 1, X.shape()[1]), 1));
  }
  void visit(auto&& v) {
    v("cls_token", cls_token), v("pos_embedding", pos_embedding), v("patch_embedding", patch_embedding),
        v("dropout", dropout), v("blks", blks), v("head", head);
  }
};

}  // namespace bobbin
