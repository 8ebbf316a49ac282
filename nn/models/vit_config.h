#pragma once
#include "data/files/fields.h"
#include "nn/layers.h"
#include "nn/models/conv_stem.h"

/// What one Vision Transformer may differ in from another: sizes, and the options that came after d2l.ai's chapter.
namespace bobbin {

/// What is done where the patch size does not divide the image size: it is an error; or zeros around the image make up
/// for what is missing, of an odd number one more below and on the right: Flax's padding='SAME'.
enum class PatchPadding { none, same };

/// The patches in a column and in a row; those that the image ends in count.
inline Size2 patch_grid(Size2 img, Size2 patch) {
  return {(img.height + patch.height - 1) / patch.height, (img.width + patch.width - 1) / patch.width};
}

/// Where a block normalises: what attention and the MLP are given; or each sum of what came in and what they found, as
/// in the original Transformer, which needs a warm-up or a small learning rate (Xiong et al., 2020: "On layer
/// normalization in the Transformer architecture").
enum class Norm { pre, post };

/// Input of the head: the class token; the mean over the patches (d2l's second exercise); a weighted mean over them,
/// by weights that are learned (sequence pooling: Hassani et al., 2021, "Escaping the big data paradigm with compact
/// transformers"); what a MapPool finds in them; or the class token and beside it the mean (DINOv2's linear probe).
enum class Pool { token, avg, seq, map, token_and_avg };

/// What the norm before the head sees: what was pooled; or the tokens, before they are pooled, which differs for a mean
/// of them, and is so for all pools but token and avg; or there is none.
enum class HeadNorm { pooled, tokens, none };

/// How the model knows where a patch is: a vector of each place, learned, or by sines and cosines (sincos_positions());
/// or not at all.
enum class Positions { learned, sincos, none };

/// Of the MLPs: GELU by erf, its approximation by tanh, or the one by a sigmoid that CLIP has.
enum class Activation { gelu, gelu_tanh, quick_gelu };

/// What the weights are at first: PyTorch's values and positions from N(0, 1), as d2l's PyTorch code has them; or as
/// its JAX code has them, Flax's: lecun_normal(), no bias, and positions of a deviation of .01.
enum class Init { pytorch, flax };

/// Hyperparameters of a ViT. The defaults are d2l's.
struct ViTConfig {
  /// The model, what --model calls it and what people do, and the parameters that are its head, by how their names
  /// begin.
  using Model = struct ViT;
  static constexpr const char *name = "vit", *title = "ViT";
  static constexpr const char* heads[] = {"head.1.", "head_dist."};

  Size2 img_size = 96, patch_size = 16;
  PatchPadding patch_padding = PatchPadding::none;
  int stem_stages = 0;     ///< of a ConvStem, whose maps are cut into patches in place of the image; 0: there is none
  int stem_convs = 1;      ///< convolutions of each of its stages
  bool stem_pool = false;  ///< its stages halve by max pooling, not by strides
  Index stem_width = 32;   ///< channels of the first
  Index num_hiddens = 512, mlp_num_hiddens = 2048;
  int num_heads = 8, num_blks = 2;
  real emb_dropout = real(0.1), blk_dropout = real(0.1);
  real drop_path = 0;    ///< of the last block's two branches; of the first's 0, and between them it rises evenly
  real layer_scale = 0;  ///< what LayerScale begins with; 0: there is none
  bool use_bias = false;
  Index num_classes = 10;
  Index num_channels = 1;
  Pool pool = Pool::token;
  Positions positions = Positions::learned;
  Norm norm = Norm::pre;
  bool class_token = true;      ///< before the patches; without it Pool::token has nothing to see
  Index reg_tokens = 0;         ///< registers beside it (Darcet et al., 2024: "Vision transformers need registers")
  bool no_embed_class = false;  ///< learned positions are those of the patches alone, not of the tokens before them
  bool pre_norm = false;        ///< a norm before the first block, as in CLIP (Radford et al., 2021)
  HeadNorm head_norm = HeadNorm::pooled;
  bool pool_include_prefix = false;  ///< avg and map see the tokens before the patches, too
  real layer_norm_eps = real(1e-5);
  Activation activation = Activation::gelu;
  Init init = Init::pytorch;
  /// A second token with a head of its own, which learns from a teacher (DeiT, Touvron et al., 2021).
  bool distilled = false;
  /// Of the last block the head sees the class token only (two tokens if distilled), so nothing else is computed there:
  /// the same function, so without dropout the same logits and gradients, for 1.67 times less work in d2l's
  /// model. True computes all of it, as d2l's code does.
  bool whole_last_block = false;

  void fields(Fields& f) {
    constexpr double most = 1 << 20;
    f("img_size", img_size,
      {.help = "image size in pixels: N, or height and width", .low = 1, .high = 4096, .fixed = true});
    f("patch_size", patch_size,
      {.help = "patch size in pixels: N, or height and width", .low = 1, .high = 4096, .fixed = true});
    f("patch_padding", patch_padding,
      {.help = "where the patch size does not divide the image size: none, an error; same, zeros around the image, as "
               "many as are missing, like Flax's padding='SAME'",
       .choices = {"none", "same"},
       .fixed = true,
       .may_lack = true});
    f("stem_stages", stem_stages,
      {.help = "stages of convolutions in front of the patches, each of which halves the image; what is left of it is "
               "cut into patches",
       .low = 0,
       .high = 12,
       .fixed = true,
       .may_lack = true});
    f("stem_convs", stem_convs,
      {.help = "3x3 convolutions of a stage, each with batch normalisation and ReLU",
       .low = 1,
       .high = 12,
       .fixed = true,
       .may_lack = true});
    f("stem_pool", stem_pool,
      {.help = "stages halve by 2x2 max pooling after their first convolution, not by its stride",
       .fixed = true,
       .may_lack = true});
    f("stem_width", stem_width,
      {.help = "channels of the first stage; each that follows has twice as many",
       .low = 1,
       .high = 4096,
       .fixed = true,
       .may_lack = true});
    f("num_hiddens", num_hiddens, {.help = "dimension of a token", .low = 1, .high = 65536, .fixed = true});
    f("mlp_num_hiddens", mlp_num_hiddens,
      {.help = "hidden units of a block's MLP", .low = 1, .high = most, .fixed = true});
    f("num_heads", num_heads,
      {.help = "attention heads; must divide --num-hiddens", .low = 1, .high = 65536, .fixed = true});
    f("num_blks", num_blks, {.help = "Transformer blocks", .low = 0, .high = 1000, .fixed = true});
    f("emb_dropout", emb_dropout, {.help = "dropout probability after the embedding", .low = 0, .high = 0.9999});
    f("blk_dropout", blk_dropout, {.help = "dropout probability in the blocks", .low = 0, .high = 0.9999});
    f("drop_path", drop_path,
      {.help =
           "probability that an image passes by a branch of the last block (stochastic depth), rising evenly from 0 "
           "in the first",
       .low = 0,
       .high = 0.9999,
       .in_file = false});
    f("layer_scale", layer_scale,
      {.help = "what the factors of LayerScale begin with, after each branch; 0: no LayerScale",
       .low = 0,
       .high = 1,
       .fixed = true,
       .may_lack = true});
    f("use_bias", use_bias, {.help = "biases in the query, key, value and output projections", .fixed = true});
    f("num_classes", num_classes, {.low = 0, .high = most, .flag = ""});  // 0: features, there is no head
    f("num_channels", num_channels, {.low = 1, .high = most, .flag = ""});
    f("pool", pool,
      {.help =
           "input of the head: token, the class token; avg, the mean of the patch tokens; seq, their mean by weights "
           "that are learned; map, an attention with a learned query; token_and_avg, both side by side",
       .choices = {"token", "avg", "seq", "map", "token_and_avg"},
       .flag = "global-pool",
       .fixed = true});
    f("positions", positions,
      {.help = "position embeddings: learned; sincos, fixed sines and cosines; none",
       .choices = {"learned", "sincos", "none"},
       .flag = "pos-embed",
       .fixed = true,
       .may_lack = true});
    f("norm", norm,
      {.help = "normalize before attention and MLP: pre; or after each sum, as the original Transformer: post, which "
               "needs --warmup-epochs or a small --lr",
       .choices = {"pre", "post"},
       .fixed = true,
       .may_lack = true});
    const auto option = [&](const char* name, auto& member, About about) {
      about.fixed = about.may_lack = true;
      f(name, member, std::move(about));
    };
    option("class_token", class_token, {.flag = ""});
    option("reg_tokens", reg_tokens,
           {.help = "registers, tokens beside the class token that no head sees", .low = 0, .high = 1024});
    option("no_embed_class", no_embed_class,
           {.help = "learned positions for the patches alone, not for the class token and registers"});
    option("pre_norm", pre_norm, {.help = "a norm before the first block, as in CLIP"});
    option("head_norm", head_norm,
           {.help = "what the norm before the head sees: pooled; tokens, before they are pooled; none",
            .choices = {"pooled", "tokens", "none"}});
    option("pool_include_prefix", pool_include_prefix, {.flag = ""});
    f("layer_norm_eps", layer_norm_eps,
      {.help = "eps of LayerNorm, added to the variance", .low = 1e-20, .high = 1, .fixed = true});
    f("activation", activation,
      {.help = "activation of the MLPs: gelu, by erf; gelu_tanh, PyTorch's approximation by tanh; quick_gelu, CLIP's, "
               "x sigmoid(1.702 x)",
       .choices = {"gelu", "gelu_tanh", "quick_gelu"},
       .flag = "act",
       .fixed = true,
       .may_lack = true});
    f("init", init,
      {.help = "weights at first: pytorch, PyTorch's and positions from N(0, 1); flax, lecun_normal, biases 0 and "
               "positions from N(0, .01^2)",
       .choices = {"pytorch", "flax"},
       .fixed = true,
       .in_file = false});
    f("distilled", distilled,
      {.help =
           "a second token with a head of its own, which learns from a --teacher, as DeiT; the model's logits are the "
           "mean of both heads'",
       .fixed = true});
    f("whole_last_block", whole_last_block,
      {.help = "compute the last block for all tokens, not only for those that the head uses", .in_file = false});
  }

  /// The patches in a column and in a row.
  Size2 grid() const { return patch_grid(map_size(), patch_size); }
  /// What is cut into them: the image, or what the stem makes of it.
  Size2 map_size() const { return ConvStem::size(stem_stages, stem_pool, img_size); }
  /// The tokens before the patches: class token, distillation token, registers.
  Index prefix_tokens() const { return Index{class_token} + Index{distilled} + reg_tokens; }
  /// The width of what the head sees.
  Index num_features() const { return pool == Pool::token_and_avg ? 2 * num_hiddens : num_hiddens; }
  GELU gelu() const { return {activation == Activation::gelu_tanh, activation == Activation::quick_gelu}; }
  Index map_channels() const { return ConvStem::channels(stem_stages, stem_width, num_channels); }
  double weights() const {
    const auto D = static_cast<double>(num_hiddens), M = static_cast<double>(mlp_num_hiddens);
    const double T = static_cast<double>(grid().height) * static_cast<double>(grid().width);
    const double patch = static_cast<double>(map_channels() * patch_size.height * patch_size.width);
    double stem = 0;
    for (int i = 0; i < stem_stages; ++i) {
      const auto in = static_cast<double>(ConvStem::channels(i, stem_width, num_channels));
      const auto out = static_cast<double>(ConvStem::channels(i + 1, stem_width, num_channels));
      stem += 9 * out * (in + (stem_convs - 1) * out);
    }
    const double pooling = pool == Pool::map ? 4 * D * D + 2 * D * M : 0;
    const double tokens = static_cast<double>(reg_tokens) + (positions == Positions::learned ? T : 0);
    return stem + D * (tokens + patch + static_cast<double>(num_classes)) + num_blks * (4 * D * D + 2 * D * M) +
           pooling;
  }
};

}  // namespace bobbin
