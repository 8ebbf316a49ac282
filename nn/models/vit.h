#pragma once
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "nn/attention.h"
#include "nn/models/check_images.h"
#include "nn/models/vit_config.h"

/// The Vision Transformer of d2l.ai's chapter "Transformers for Vision" (after Dosovitskiy et al., 2021: "An image is
/// worth 16x16 words"): its classes, names and arguments, in its order.
namespace bobbin {

/// An image cut into patches, each of them projected to num_hiddens numbers: a sentence of patches.
struct PatchEmbedding {
  Size2 patch_size;
  PatchPadding padding;
  Index num_patches;
  Conv2d conv;

  /// Throws Error unless the patch size divides the image size, or the image is padded.
  PatchEmbedding(Size2 img_size, Size2 patch_size, Index num_hiddens, Index num_channels, Rng& rng,
                 PatchPadding padding = PatchPadding::none)
      : patch_size(patch_size),
        padding(padding),
        num_patches(count_patches(img_size, patch_size, padding)),
        conv(num_channels, num_hiddens, patch_size, rng, {.stride = patch_size}) {}

  /// (B, num_channels, H, W) -> (B, num_patches, num_hiddens).
  Var operator()(const Var& X) {
    // d2l writes conv(X).flatten(2).transpose(1, 2). As kernel = stride, that is one product
    // of the patches with the kernels, which comes out in the order we want.
    const Var whole = padding == PatchPadding::none ? X : padded(padded(X, 2, patch_size.height), 3, patch_size.width);
    return linear(patches(whole, patch_size), flatten(conv.weight, 1), conv.bias);
  }
  void visit(auto&& v) { v("conv", conv); }

  /// Throws Error unless the patch size divides the image size, or the image is padded.
  static Index count_patches(Size2 img, Size2 patch, PatchPadding padding = PatchPadding::none) {
    check(patch.height >= 1 && patch.width >= 1 && img.height >= 1 && img.width >= 1 &&
              (padding == PatchPadding::same || (img.height % patch.height == 0 && img.width % patch.width == 0)),
          "PatchEmbedding", "an image of ", img.height, " x ", img.width, " cannot be cut into patches of ",
          patch.height, " x ", patch.width, ": the patch size must divide the image size");
    const Size2 grid = patch_grid(img, patch);
    return grid.height * grid.width;
  }

 private:
  // X with so many zeros along an axis that this side divides it.
  static Var padded(const Var& X, int axis, Index side) {
    const Index missing = (side - X.shape()[axis] % side) % side;
    return missing == 0 ? X : pad(X, axis, missing / 2, missing - missing / 2);
  }
};

/// The same small network for every token: num_hiddens -> mlp_num_hiddens -> mlp_num_outputs.
struct ViTMLP {
  Linear dense1;
  GELU gelu;
  Dropout dropout1;
  Linear dense2;
  Dropout dropout2;

  ViTMLP(Index num_hiddens, Index mlp_num_hiddens, Index mlp_num_outputs, real dropout, Rng& rng, GELU gelu = {})
      : dense1(num_hiddens, mlp_num_hiddens, rng),
        gelu(gelu),
        dropout1(dropout, rng),
        dense2(mlp_num_hiddens, mlp_num_outputs, rng),
        dropout2(dropout, rng) {}

  Var operator()(const Var& X) { return dropout2(dense2(gelu(dense1(X), dropout1, ReadBy::products))); }
  void visit(auto&& v) { v("dense1", dense1), v("dropout1", dropout1), v("dense2", dense2), v("dropout2", dropout2); }
};

/// Attention among the tokens, then the MLP for each, both normalised (see Norm) and added to what came in, as far as
/// LayerScale and DropPath, where there are any, let them.
struct ViTBlock {
  LayerNorm ln1;
  MultiHeadAttention attention;
  LayerNorm ln2;
  ViTMLP mlp;
  LayerScale ls1, ls2;
  DropPath drop_path1, drop_path2;
  Norm norm;

  ViTBlock(Index num_hiddens, Index norm_shape, Index mlp_num_hiddens, int num_heads, real dropout, bool use_bias,
           Rng& rng, real layer_norm_eps = real(1e-5), GELU gelu = {}, real layer_scale = 0, real drop_path = 0,
           Norm norm = Norm::pre)
      : ln1(norm_shape, layer_norm_eps),
        attention(num_hiddens, num_heads, dropout, use_bias, rng),
        ln2(norm_shape, layer_norm_eps),
        mlp(num_hiddens, mlp_num_hiddens, num_hiddens, dropout, rng, gelu),
        ls1(num_hiddens, layer_scale),
        ls2(num_hiddens, layer_scale),
        drop_path1(drop_path, rng),
        drop_path2(drop_path, rng),
        norm(norm) {}

  /// (B, T, num_hiddens) -> the same shape. For valid_lens see MultiHeadAttention.
  Var operator()(const Var& X, const std::vector<int>& valid_lens = {}) {
    const Var Z = before(ln1, X);
    const Var Y = after(ln1, X + drop_path1(ls1(attention(Z, Z, Z, valid_lens))));
    return after(ln2, Y + drop_path2(ls2(mlp(before(ln2, Y)))));
  }
  /// The first tokens of what operator() gives, (B, count, num_hiddens), for little more than the keys and values of
  /// all tokens: only the first ask, and only they go through the MLP.
  Var first_tokens(const Var& X, Index count) {
    const Var Z = before(ln1, X, ReadBy::anyone);  // slice() reads it, too, not only products
    // Before the sum: C++ may compute either side of a + first, and the order on the tape would be the compiler's.
    const Var attended = drop_path1(ls1(attention(slice(Z, 1, 0, count), Z, Z)));
    const Var Y = after(ln1, slice(X, 1, 0, count) + attended);
    return after(ln2, Y + drop_path2(ls2(mlp(before(ln2, Y)))));
  }
  /// What attention is given, with ln1, or the MLP, with ln2.
  Var before(LayerNorm& ln, const Var& X, ReadBy readers = ReadBy::products) {
    return norm == Norm::pre ? ln(X, readers) : X;
  }
  /// What becomes of the sum of that which came in and what they found.
  Var after(LayerNorm& ln, Var sum) { return norm == Norm::post ? ln(sum) : std::move(sum); }
  void visit(auto&& v) {
    v("ln1", ln1), v("attention", attention), v("ln2", ln2), v("mlp", mlp), v("ls1", ls1), v("ls2", ls2),
        v("drop_path1", drop_path1), v("drop_path2", drop_path2);
  }
};

/// A learned query that looks at all tokens, and an MLP for what it found (multihead attention pooling: Zhai et al.,
/// 2022, "Scaling vision transformers"; SigLIP's head). (B, T, num_hiddens) -> (B, num_hiddens).
struct MapPool {
  Var latent;  // (1, 1, num_hiddens)
  MultiHeadAttention attention;
  LayerNorm norm;
  ViTMLP mlp;

  MapPool(Index num_hiddens, Index mlp_num_hiddens, int num_heads, Rng& rng, real layer_norm_eps, GELU gelu)
      : latent(Var::parameter(rng.normal({1, 1, num_hiddens}) / std::sqrt(static_cast<real>(num_hiddens)))),
        attention(num_hiddens, num_heads, 0, /*use_bias=*/true, rng),
        norm(num_hiddens, layer_norm_eps),
        mlp(num_hiddens, mlp_num_hiddens, num_hiddens, 0, rng, gelu) {}

  Var operator()(const Var& X) {
    const Var query = broadcast_to(latent, {X.shape()[0], 1, X.shape()[2]});
    const Var found = attention(query, X, X);
    return select(found + mlp(norm(found)), 1, 0);
  }
  void visit(auto&& v) { v("latent", latent), v("attention", attention), v("norm", norm), v("mlp", mlp); }
};

/// Fixed positions of a grid of patches, (1, rows·columns, width), row by row: the sines, then the cosines, of x·ω and
/// then of y·ω, where ω falls from 1 to 1/10000 in width/4 steps (Beyer et al., 2022, "Better plain ViT baselines").
/// Throws Error unless 4 divides the width, which is 8 or more.
inline Tensor sincos_positions(Size2 grid, Index width) {
  check(width % 4 == 0 && width >= 8, "ViT", "sincos positions need a width that 4 divides, 8 or more, got ", width);
  std::vector<real> all;
  for (Index y = 0; y < grid.height; ++y)
    for (Index x = 0; x < grid.width; ++x)
      for (const Index place : {x, y})
        for (const bool cosine : {false, true})
          for (Index k = 0; k < width / 4; ++k) {
            const double omega = std::pow(10000, -static_cast<double>(k) / static_cast<double>(width / 4 - 1));
            const double angle = static_cast<double>(place) * omega;
            all.push_back(static_cast<real>(cosine ? std::cos(angle) : std::sin(angle)));
          }
  return {{1, grid.height * grid.width, width}, all};
}

/// Images (B, num_channels, H, W) -> logits (B, num_classes): if distilled, the mean of both heads. Where there are no
/// classes, (B, num_features): what a head would see.
struct ViT {
  ViTConfig config;
  ConvStem stem;
  PatchEmbedding patch_embedding;
  Var cls_token, dist_token;  // (1, 1, num_hiddens); undefined without one, dist_token unless distilled
  Var reg_token;              // (1, reg_tokens, num_hiddens); undefined without registers
  Var pos_embedding;          // (1, T, num_hiddens) for T tokens: the prefix, unless no_embed_class, then the patches
  Tensor fixed_positions;     // of the patches, if they are fixed
  Dropout dropout;
  std::vector<ViTBlock> blks;
  Sequential<LayerNorm, Linear> head;
  std::optional<Linear> head_dist, seq_pool;  // the latter: num_hiddens -> 1, for Pool::seq
  std::optional<LayerNorm> norm_pre;
  std::optional<MapPool> attn_pool;  // for Pool::map

  /// Throws Error where sizes do not divide: the image by the patch, the width by the heads; if distilled with
  /// another pool than the token's; for a pool that sees a class token where there is none; and for patches without
  /// learned positions that ask for gigabytes.
  ViT(const ViTConfig& c, Rng& rng)
      : config(c),
        stem(c.stem_stages, c.stem_convs, c.stem_pool, c.stem_width, c.num_channels, rng),
        patch_embedding(c.map_size(), c.patch_size, c.num_hiddens, c.map_channels(), rng, c.patch_padding),
        cls_token(c.class_token ? Var::parameter(Tensor::zeros({1, 1, c.num_hiddens})) : Var()),
        pos_embedding(c.positions == Positions::learned
                          ? Var::parameter(rng.normal({1, embedded_tokens(), c.num_hiddens}))
                          : Var()),
        fixed_positions(fixed_positions_of(c)),
        dropout(c.emb_dropout, rng),
        head(LayerNorm(c.num_hiddens, c.layer_norm_eps), Linear(c.num_features(), c.num_classes, rng)) {
    check(!c.distilled || (c.pool == Pool::token && c.class_token), "ViT",
          "distilled has two heads, each for a token: needs Pool::token (--global-pool token) and a class token");
    check(c.class_token || (c.pool != Pool::token && c.pool != Pool::token_and_avg), "ViT",
          "without a class token the head needs another pool");
    for (int i = 0; i < c.num_blks; ++i)
      blks.emplace_back(c.num_hiddens, c.num_hiddens, c.mlp_num_hiddens, c.num_heads, c.blk_dropout, c.use_bias, rng,
                        c.layer_norm_eps, c.gelu(), c.layer_scale,
                        c.drop_path * real(i) / real(std::max(c.num_blks - 1, 1)),  // torch.linspace(0, drop_path)
                        c.norm);
    if (c.pool == Pool::seq) seq_pool.emplace(c.num_hiddens, 1, rng);
    if (c.pool == Pool::map)
      attn_pool.emplace(c.num_hiddens, c.mlp_num_hiddens, c.num_heads, rng, c.layer_norm_eps, c.gelu());
    if (c.pre_norm) norm_pre.emplace(c.num_hiddens, c.layer_norm_eps);
    if (c.reg_tokens > 0) reg_token = Var::parameter(rng.normal({1, c.reg_tokens, c.num_hiddens}) * real(1e-6));
    auto& [norm, linear] = head.layers;
    if (c.head_norm == HeadNorm::none) norm.weight = norm.bias = Var();
    if (c.num_classes == 0) linear.weight = linear.bias = Var();
    if (c.distilled) {
      // Not 0 as the class token, or without positions of their own the two would be one.
      dist_token = Var::parameter(rng.normal({1, 1, c.num_hiddens}) * real(0.02));
      if (c.num_classes > 0) head_dist.emplace(c.num_hiddens, c.num_classes, rng);
    }
    if (c.init == Init::flax) begin_as_flax(rng);
  }

  Var operator()(const Var& images) {
    if (head_dist) {
      const auto [of_labels, of_teacher] = both_heads(images);
      return (of_labels + of_teacher) / 2;
    }
    const Var Z = features(images);
    return config.num_classes > 0 ? std::get<1>(head.layers)(Z) : Z;
  }
  /// If distilled, the logits of each head, (B, num_classes): of the class token's, which learns the labels, and of the
  /// distillation token's, which learns from a teacher. Else the logits of the one head, twice.
  std::pair<Var, Var> both_heads(const Var& images) {
    if (!head_dist) {
      const Var logits = (*this)(images);
      return {logits, logits};
    }
    const Var X = encode(images);
    return {std::get<1>(head.layers)(normalised(select(X, 1, 0))), (*head_dist)(normalised(select(X, 1, 1)))};
  }
  /// What the head sees: (B, num_channels, H, W) -> (B, num_features); if distilled, the mean of what both see.
  Var features(const Var& images) { return pool(encode(images)); }

  /// The input of the first block: (B, num_channels, H, W) -> (B, T, num_hiddens).
  Var tokens(const Var& images) {
    check_images("ViT", images, config);
    Var X = patch_embedding(stem(images));  // (B, number of patches, C)
    if (fixed_positions.defined()) X = std::move(X) + fixed_positions;
    if (pos_embedding.defined() && config.no_embed_class) X = std::move(X) + pos_embedding;
    std::vector<Var> all;
    for (const Var& token : {cls_token, dist_token, reg_token})
      if (token.defined()) all.push_back(broadcast_to(token, token.shape().with(0, images.shape()[0])));
    if (!all.empty()) all.push_back(std::move(X)), X = concat(all, 1);  // (B, T, C)
    if (pos_embedding.defined() && !config.no_embed_class) X = std::move(X) + pos_embedding;
    X = dropout(std::move(X));
    return norm_pre ? (*norm_pre)(X) : X;
  }
  /// The number of tokens before the patches.
  Index prefix_tokens() const { return config.prefix_tokens(); }
  void visit(auto&& v) {
    v("cls_token", cls_token), v("dist_token", dist_token), v("reg_token", reg_token);
    v("pos_embedding", pos_embedding), v("stem", stem), v("patch_embedding", patch_embedding), v("dropout", dropout);
    v("norm_pre", norm_pre), v("blks", blks), v("head", head), v("head_dist", head_dist);
    v("attention_pool", seq_pool), v("attn_pool", attn_pool);
  }

 private:
  // The weights bound the tokens whose positions are learned, and say nothing of others.
  static Tensor fixed_positions_of(const ViTConfig& c) {
    const auto [rows, cols] = c.grid();
    const Index most = 1 << 27;
    check(c.positions == Positions::learned || rows * cols <= most / c.num_hiddens, "ViT", rows, " x ", cols,
          " patches of ", c.num_hiddens, " numbers are more than ", most,
          " numbers: smaller images or larger patches have fewer");
    return c.positions == Positions::sincos ? sincos_positions(c.grid(), c.num_hiddens) : Tensor();
  }
  // LayerNorm begins with ones, tokens with zeros in either.
  void begin_as_flax(Rng& rng) {
    if (pos_embedding.defined()) pos_embedding.mutable_value().assign(rng.normal(pos_embedding.shape(), 0, real(0.01)));
    for (auto& [name, parameter] : named_parameters(*this))
      if (name.ends_with(".bias"))
        parameter.mutable_value().assign(Tensor::zeros(parameter.shape()));
      else if (name.ends_with(".weight") && parameter.rank() > 1)
        lecun_normal(parameter, rng);
  }
  Index embedded_tokens() const {
    return (config.no_embed_class ? 0 : config.prefix_tokens()) + patch_embedding.num_patches;
  }
  // What comes out of the last block: (B, num_channels, H, W) -> (B, T, num_hiddens). Where the head sees only the
  // first tokens, the last block computes only these.
  Var encode(const Var& images) {
    Var X = tokens(images);
    const bool only_first = config.pool == Pool::token && !config.whole_last_block && !blks.empty();
    const std::size_t whole = blks.size() - only_first;
    for (std::size_t i = 0; i < whole; ++i) X = blks[i](X);
    return only_first ? blks.back().first_tokens(X, config.distilled ? 2 : 1) : X;
  }
  Var normalised(const Var& X) {
    LayerNorm& norm = std::get<0>(head.layers);
    return norm.weight.defined() ? norm(X) : X;
  }
  // What the head sees of the tokens: (B, T, C) -> (B, num_features).
  Var pool(const Var& X) {
    if (config.pool == Pool::token)
      return config.distilled ? mean(normalised(slice(X, 1, 0, 2)), 1) : normalised(select(X, 1, 0));
    const Var rest = slice(X, 1, config.pool_include_prefix ? 0 : prefix_tokens(), X.shape()[1]);
    if (config.pool == Pool::avg && config.head_norm == HeadNorm::pooled) return normalised(mean(rest, 1));
    const Var Z = normalised(rest);  // (B, P, C)
    if (config.pool == Pool::avg) return mean(Z, 1);
    if (config.pool == Pool::map) return (*attn_pool)(Z);
    if (config.pool == Pool::token_and_avg) return concat({normalised(select(X, 1, 0)), mean(Z, 1)}, 1);
    const Var weights = softmax(transpose((*seq_pool)(Z), 1, 2));  // (B, 1, P)
    return select(matmul(weights, Z), 1, 0);
  }
};

}  // namespace bobbin
