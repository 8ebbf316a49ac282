#include "nn/pretrained/vit_weights.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <span>
#include <string_view>

#include "nn/module.h"
#include "tensor/check.h"
#include "tensor/cubic.h"
#include "tensor/functions.h"

namespace bobbin {
namespace {

using Tensors = std::map<std::string, Tensor>;

// A tensor of ViT, and its name in another library. A # stands for the number of the block; ".weight" or ".bias" may
// follow.
struct Name {
  const char *d2l, *other;
};

constexpr Name timm_names[] = {
    {"cls_token", "cls_token"},
    {"dist_token", "dist_token"},
    {"reg_token", "reg_token"},
    {"pos_embedding", "pos_embed"},
    {"patch_embedding.conv", "patch_embed.proj"},
    {"norm_pre", "norm_pre"},
    {"blks.#.ln1", "blocks.#.norm1"},
    {"blks.#.attention.W_qkv", "blocks.#.attn.qkv"},
    {"blks.#.attention.W_o", "blocks.#.attn.proj"},
    {"blks.#.ls1.gamma", "blocks.#.ls1.gamma"},
    {"blks.#.ls2.gamma", "blocks.#.ls2.gamma"},
    {"blks.#.ln2", "blocks.#.norm2"},
    {"blks.#.mlp.dense1", "blocks.#.mlp.fc1"},
    {"blks.#.mlp.dense2", "blocks.#.mlp.fc2"},
    {"head.0", "norm"},
    {"head.0", "fc_norm"},  // with global_pool="avg", in place of norm
    {"head.1", "head"},
    {"head_dist", "head_dist"},
    {"attn_pool.latent", "attn_pool.latent"},
    {"attn_pool.attention.W_q", "attn_pool.q"},
    {"attn_pool.attention.W_kv", "attn_pool.kv"},
    {"attn_pool.attention.W_o", "attn_pool.proj"},
    {"attn_pool.norm", "attn_pool.norm"},
    {"attn_pool.mlp.dense1", "attn_pool.mlp.fc1"},
    {"attn_pool.mlp.dense2", "attn_pool.mlp.fc2"},
};

constexpr Name torchvision_names[] = {
    {"cls_token", "class_token"},
    {"pos_embedding", "encoder.pos_embedding"},
    {"patch_embedding.conv", "conv_proj"},
    {"blks.#.ln1", "encoder.layers.encoder_layer_#.ln_1"},
    {"blks.#.attention.W_qkv.weight", "encoder.layers.encoder_layer_#.self_attention.in_proj_weight"},
    {"blks.#.attention.W_qkv.bias", "encoder.layers.encoder_layer_#.self_attention.in_proj_bias"},
    {"blks.#.attention.W_o", "encoder.layers.encoder_layer_#.self_attention.out_proj"},
    {"blks.#.ln2", "encoder.layers.encoder_layer_#.ln_2"},
    {"blks.#.mlp.dense1", "encoder.layers.encoder_layer_#.mlp.0"},
    {"blks.#.mlp.dense2", "encoder.layers.encoder_layer_#.mlp.3"},
    {"blks.#.mlp.dense1", "encoder.layers.encoder_layer_#.mlp.linear_1"},  // in the files published first
    {"blks.#.mlp.dense2", "encoder.layers.encoder_layer_#.mlp.linear_2"},
    {"head.0", "encoder.ln"},
    {"head.1", "heads.head"},
};

constexpr Name hugging_face_names[] = {
    {"cls_token", "vit.embeddings.cls_token"},
    {"dist_token", "vit.embeddings.distillation_token"},  // of DeiT
    {"pos_embedding", "vit.embeddings.position_embeddings"},
    {"patch_embedding.conv", "vit.embeddings.patch_embeddings.projection"},
    {"blks.#.ln1", "vit.encoder.layer.#.layernorm_before"},
    {"blks.#.attention.W_q", "vit.encoder.layer.#.attention.attention.query"},
    {"blks.#.attention.W_k", "vit.encoder.layer.#.attention.attention.key"},
    {"blks.#.attention.W_v", "vit.encoder.layer.#.attention.attention.value"},
    {"blks.#.attention.W_o", "vit.encoder.layer.#.attention.output.dense"},
    {"blks.#.ln2", "vit.encoder.layer.#.layernorm_after"},
    {"blks.#.mlp.dense1", "vit.encoder.layer.#.intermediate.dense"},
    {"blks.#.mlp.dense2", "vit.encoder.layer.#.output.dense"},
    // As transformers 5 has them in memory; its files have the names above.
    {"blks.#.ln1", "vit.layers.#.layernorm_before"},
    {"blks.#.attention.W_q", "vit.layers.#.attention.q_proj"},
    {"blks.#.attention.W_k", "vit.layers.#.attention.k_proj"},
    {"blks.#.attention.W_v", "vit.layers.#.attention.v_proj"},
    {"blks.#.attention.W_o", "vit.layers.#.attention.o_proj"},
    {"blks.#.ln2", "vit.layers.#.layernorm_after"},
    {"blks.#.mlp.dense1", "vit.layers.#.mlp.fc1"},
    {"blks.#.mlp.dense2", "vit.layers.#.mlp.fc2"},
    {"head.0", "vit.layernorm"},
    {"head.1", "classifier"},
    {"head.1", "cls_classifier"},  // of DeiT with a teacher
    {"head_dist", "distillation_classifier"},
    // DINOv2, where it is not named as a ViT.
    {"reg_token", "vit.embeddings.register_tokens"},
    {"blks.#.ln1", "vit.encoder.layer.#.norm1"},
    {"blks.#.attention.W_q", "vit.encoder.layer.#.attention.q_proj"},
    {"blks.#.attention.W_k", "vit.encoder.layer.#.attention.k_proj"},
    {"blks.#.attention.W_v", "vit.encoder.layer.#.attention.v_proj"},
    {"blks.#.attention.W_o", "vit.encoder.layer.#.attention.o_proj"},
    {"blks.#.ls1.gamma", "vit.encoder.layer.#.layer_scale1.lambda1"},
    {"blks.#.ln2", "vit.encoder.layer.#.norm2"},
    {"blks.#.mlp.dense1", "vit.encoder.layer.#.mlp.fc1"},
    {"blks.#.mlp.dense2", "vit.encoder.layer.#.mlp.fc2"},
    {"blks.#.ls2.gamma", "vit.encoder.layer.#.layer_scale2.lambda1"},
    // The vision towers of CLIP and SigLIP.
    {"cls_token", "vision_model.embeddings.class_embedding"},
    {"pos_embedding", "vision_model.embeddings.position_embedding.weight"},
    {"patch_embedding.conv", "vision_model.embeddings.patch_embedding"},
    {"norm_pre", "vision_model.pre_layrnorm"},
    {"blks.#.ln1", "vision_model.encoder.layers.#.layer_norm1"},
    {"blks.#.attention.W_q", "vision_model.encoder.layers.#.self_attn.q_proj"},
    {"blks.#.attention.W_k", "vision_model.encoder.layers.#.self_attn.k_proj"},
    {"blks.#.attention.W_v", "vision_model.encoder.layers.#.self_attn.v_proj"},
    {"blks.#.attention.W_o", "vision_model.encoder.layers.#.self_attn.out_proj"},
    {"blks.#.ln2", "vision_model.encoder.layers.#.layer_norm2"},
    {"blks.#.mlp.dense1", "vision_model.encoder.layers.#.mlp.fc1"},
    {"blks.#.mlp.dense2", "vision_model.encoder.layers.#.mlp.fc2"},
    {"head.0", "vision_model.post_layernorm"},
    {"attn_pool.latent", "vision_model.head.probe"},
    {"attn_pool.attention.W_qkv.weight", "vision_model.head.attention.in_proj_weight"},
    {"attn_pool.attention.W_qkv.bias", "vision_model.head.attention.in_proj_bias"},
    {"attn_pool.attention.W_o", "vision_model.head.attention.out_proj"},
    {"attn_pool.norm", "vision_model.head.layernorm"},
    {"attn_pool.mlp.dense1", "vision_model.head.mlp.fc1"},
    {"attn_pool.mlp.dense2", "vision_model.head.mlp.fc2"},
};

// What stands in place of the #, and what follows the pattern; nothing if the name does not begin with it.
struct Match {
  std::string_view number, rest;
};
std::optional<Match> match(std::string_view pattern, std::string_view name) {
  const std::string_view before = pattern.substr(0, pattern.find('#'));
  if (!name.starts_with(before)) return {};
  name.remove_prefix(before.size());
  if (before == pattern) return Match{{}, name};
  const auto digits = std::find_if_not(name.begin(), name.end(), [](unsigned char c) { return std::isdigit(c); });
  const std::string_view number(name.begin(), digits), after = pattern.substr(before.size() + 1);
  name.remove_prefix(number.size());
  if (number.empty() || !name.starts_with(after)) return {};
  return Match{number, name.substr(after.size())};
}

// The same for a whole name.
std::optional<Match> match_whole(std::string_view pattern, std::string_view name) {
  const auto found = match(pattern, name);
  return found && (found->rest == "" || found->rest == ".weight" || found->rest == ".bias") ? found : std::nullopt;
}

// d2l's name, or the name itself if the table does not have it.
template <std::size_t n>
std::string translated(const std::string& name, const Name (&names)[n]) {
  for (const Name& row : names) {
    const auto found = match_whole(row.other, name);
    if (!found) continue;
    std::string ours = row.d2l;
    if (const auto hash = ours.find('#'); hash != std::string::npos) ours.replace(hash, 1, found->number);
    return ours.append(found->rest);
  }
  return name;
}

std::string translated(const std::string& name, VitOrigin origin) {
  switch (origin) {
    case VitOrigin::timm:
      return translated(name, timm_names);
    case VitOrigin::torchvision:
      return translated(name, torchvision_names);
    case VitOrigin::hugging_face:
      return translated(name, hugging_face_names);
    default:
      return name;
  }
}

// Adds (3·D, ...) as three of (D, ...), (2·D, ...) as two, and everything else as it is.
void add(Tensors& tensors, const std::string& name, const Tensor& tensor) {
  const auto insert = [&](const std::string& as, const Tensor& what) {
    check(tensors.emplace(as, what).second, "vit_weights", "two tensors are the ", Quoted{as}, " of the model");
  };
  for (const std::string all : {"qkv", "kv"}) {
    const auto at = name.find("W_" + all);
    if (at == std::string::npos) continue;
    const auto count = static_cast<Index>(all.size());
    const Shape& shape = tensor.shape();
    check(tensor.rank() >= 1 && shape[0] % count == 0, "vit_weights", "queries, keys and values should have one size, ",
          "but ", Quoted{name}, " of shape ", shape, " cannot be cut in ", count == 3 ? "three" : "two");
    std::vector<Index> parts{count, shape[0] / count};
    parts.insert(parts.end(), shape.begin() + 1, shape.end());
    const Tensor cut = tensor.reshape(Shape(parts.data(), static_cast<int>(parts.size())));
    for (Index i = 0; i < count; ++i)
      insert(std::string(name).replace(at, all.size() + 2, {'W', '_', all[static_cast<std::size_t>(i)]}), cut[i]);
    return;
  }
  insert(name, tensor);
}

const Tensor& need(const Tensors& tensors, const std::string& name, int rank) {
  const auto found = tensors.find(name);
  check(found != tensors.end(), "vit_weights", "there is no tensor for ", name, " among the weights");
  check(found->second.rank() == rank, "vit_weights", "the tensor for ", name, " should have ", rank,
        " axes, but its shape is ", found->second.shape());
  return found->second;
}

std::string block(int i) { return "blks." + std::to_string(i) + "."; }

// The biases of projections in the blocks.
constexpr const char* attention_biases[] = {"attention.W_q.bias", "attention.W_k.bias", "attention.W_v.bias",
                                            "attention.W_o.bias"};

// Whether a block has it.
bool any_has(const Tensors& tensors, const std::string& name) {
  for (int i = 0; tensors.contains(block(i) + "ln1.weight"); ++i)
    if (tensors.contains(block(i) + name)) return true;
  return false;
}

// Biases that no block has are zeros: those of queries, keys and values in timm's qkv_bias=False, in its
// proj_bias=False the others; and the patches' before a norm, as in CLIP.
void add_zero_biases(Tensors& tensors, const ViTConfig& config, bool timm) {
  const auto add = [&](const char* name, Index width) {
    if (!any_has(tensors, name))
      for (int i = 0; i < config.num_blks; ++i) tensors.emplace(block(i) + name, Tensor::zeros({width}));
  };
  if (config.use_bias)
    for (const char* name : attention_biases)
      if (timm || name != attention_biases[3]) add(name, config.num_hiddens);
  if (timm) add("mlp.dense1.bias", config.mlp_num_hiddens), add("mlp.dense2.bias", config.num_hiddens);
  if (config.pre_norm) tensors.emplace("patch_embedding.conv.bias", Tensor::zeros({config.num_hiddens}));
}

// CLIP's and SigLIP's class token (D) and positions (T, D), and DINOv2's class token with registers, which alone of the
// tokens before the patches has a position.
void shape_tokens(Tensors& tensors) {
  const auto cls = tensors.find("cls_token"), positions = tensors.find("pos_embedding");
  if (cls != tensors.end() && cls->second.rank() == 1) cls->second = cls->second.reshape({1, 1, cls->second.size()});
  if (positions == tensors.end()) return;
  if (positions->second.rank() == 2)
    positions->second = positions->second.reshape({1, positions->second.shape()[0], positions->second.shape()[1]});
  if (!tensors.contains("reg_token") || cls == tensors.end()) return;
  const Shape& all = need(tensors, "pos_embedding", 3).shape();
  check(all[1] >= 1 && cls->second.size() == all[2], "vit_weights", "the class token of shape ", cls->second.shape(),
        " does not fit the position embeddings of shape ", all);
  cls->second = cls->second + slice(positions->second, 1, 0, 1);
  positions->second = slice(positions->second, 1, 1, all[1]);
}

// Of two heads the logits are the mean. Where a distilled model has one head, that gives them alone as the mean of
// twice its numbers, to the bit, and zeros.
void add_zero_head(Tensors& tensors) {
  for (const std::string part : {"weight", "bias"}) {
    const auto head = tensors.find("head.1." + part);
    if (head == tensors.end()) continue;
    tensors.emplace("head_dist." + part, Tensor::zeros(head->second.shape()));
    head->second = head->second * 2;
  }
}

// What the shapes say.
ViTConfig config_of(const Tensors& tensors) {
  const Shape& patch = need(tensors, "patch_embedding.conv.weight", 4).shape();
  ViTConfig config{.img_size = 0,
                   .patch_size = {patch[2], patch[3]},
                   .num_hiddens = patch[0],
                   .mlp_num_hiddens = need(tensors, "blks.0.mlp.dense1.weight", 2).shape()[0],
                   .num_heads = 0,
                   .num_blks = 0,
                   .emb_dropout = 0,
                   .blk_dropout = 0,
                   .layer_scale = any_has(tensors, "ls1.gamma") ? real(1) : 0,
                   .use_bias = std::any_of(std::begin(attention_biases), std::end(attention_biases),
                                           [&](const char* name) { return any_has(tensors, name); }),
                   .num_classes = tensors.contains("head.1.weight") || tensors.contains("head_dist.weight")
                                      ? need(tensors, "head.1.weight", 2).shape()[0]
                                      : 0,
                   .num_channels = patch[1],
                   .class_token = tensors.contains("cls_token"),
                   .reg_tokens = tensors.contains("reg_token") ? need(tensors, "reg_token", 3).shape()[1] : 0,
                   .pre_norm = tensors.contains("norm_pre.weight"),
                   .distilled = tensors.contains("dist_token")};
  while (tensors.contains(block(config.num_blks) + "ln1.weight")) ++config.num_blks;
  return config;
}

// The (to, from) matrix that resizes a row of numbers: by the bicubic filter, which is as wide as four of the coarser
// ones of the old and the new pixels, so that nothing aliases, and is cut off at the ends.
Tensor bicubic_matrix(Index from, Index to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to), width = std::max(scale, 1.0);
  std::vector<real> matrix;
  std::vector<double> row(static_cast<std::size_t>(from));
  for (Index i = 0; i < to; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    double sum = 0;
    for (Index j = 0; j < from; ++j)
      sum += row[static_cast<std::size_t>(j)] = cubic(std::abs(static_cast<double>(j) + 0.5 - center) / width);
    for (const double weight : row) matrix.push_back(static_cast<real>(weight / sum));
  }
  return {{to, from}, matrix};
}

}  // namespace

bool is_vit_weight(const std::string& name) {
  const auto in = [&](const auto& names) {
    return std::any_of(std::begin(names), std::end(names),
                       [&](const Name& row) { return match_whole(row.other, name) || match_whole(row.d2l, name); });
  };
  return in(timm_names) || in(torchvision_names) || in(hugging_face_names);
}

namespace {

// The name in the other library, by the first of these rows; or the name itself.
std::string translated_back(const std::string& name, std::span<const Name> names) {
  for (const Name& row : names) {
    const auto found = match_whole(row.d2l, name);
    if (!found) continue;
    std::string other = row.other;
    if (const auto hash = other.find('#'); hash != std::string::npos) other.replace(hash, 1, found->number);
    return other.append(found->rest);
  }
  return name;
}

}  // namespace

Tensors names_for(VitOrigin library, const Tensors& tensors) {
  // DINOv2's rows go before those of a ViT.
  const std::span<const Name> rows(hugging_face_names);
  const auto row_of = [&](std::string_view other) {
    return static_cast<std::size_t>(
        std::find_if(rows.begin(), rows.end(), [&](const Name& row) { return other == row.other; }) - rows.begin());
  };
  const std::size_t first = row_of("vit.embeddings.register_tokens"),
                    last = row_of("vision_model.embeddings.class_embedding");
  const auto named = [&](const std::string& name) -> std::string {
    if (library == VitOrigin::timm) return translated_back(name, timm_names);
    if (library == VitOrigin::torchvision) return translated_back(name, torchvision_names);
    const std::string as =
        any_has(tensors, "ls1.gamma") ? translated_back(name, rows.subspan(first, last - first)) : name;
    return as != name ? as : translated_back(name, rows);
  };
  Tensors result;
  for (const auto& [name, tensor] : tensors) {
    const auto at = name.find(".W_");
    const char part = at == std::string::npos || library == VitOrigin::hugging_face ? 'o' : name[at + 3];
    if (part == 'o') {
      result.emplace(named(name), tensor);
      continue;
    }
    // q, k and v as one, or of attention pooling k and v.
    const bool pool = name.starts_with("attn_pool.");
    if (pool && part == 'q') result.emplace(named(name), tensor);
    if (part != (pool ? 'k' : 'q')) continue;
    std::vector<Tensor> parts;
    for (const char one : std::string(pool ? "kv" : "qkv"))
      parts.push_back(tensors.at(std::string(name).replace(at + 3, 1, 1, one)));
    result.emplace(named(std::string(name).replace(at + 3, 1, pool ? "kv" : "qkv")), concat(parts, 0));
  }
  return result;
}

VitOrigin vit_origin(const Tensors& tensors) {
  // The projection of the patches has another name in each.
  if (tensors.contains("patch_embedding.conv.weight")) return VitOrigin::d2l;
  if (tensors.contains("patch_embed.proj.weight")) return VitOrigin::timm;
  if (tensors.contains("conv_proj.weight")) return VitOrigin::torchvision;
  if (tensors.contains("vit.embeddings.patch_embeddings.projection.weight") ||
      tensors.contains("vision_model.embeddings.patch_embedding.weight"))
    return VitOrigin::hugging_face;
  fail("vit_weights", "these are not weights of a Vision Transformer, a Swin Transformer or a ResNet with the names ",
       "of d2l.ai, timm, torchvision or transformers: among ", tensors.size(), " tensors ",
       "there is no patch_embedding.conv.weight, patch_embed.proj.weight, conv_proj.weight, ",
       "vit.embeddings.patch_embeddings.projection.weight or layer1.0.conv1.weight");
}

VitWeights name_weights(const Tensors& tensors) {
  VitWeights weights{vit_origin(tensors), {}, {}, 0, tensors.contains("fc_norm.weight")};
  for (const auto& [name, tensor] : tensors) add(weights.tensors, translated(name, weights.origin), tensor);
  const bool hugging_face = weights.origin == VitOrigin::hugging_face;
  weights.clip = tensors.contains("vision_model.embeddings.patch_embedding.weight");
  if (hugging_face) shape_tokens(weights.tensors);
  weights.config = config_of(weights.tensors);
  check(!weights.clip || !weights.config.class_token || weights.config.pre_norm, "vit_weights",
        "there is no tensor vision_model.pre_layrnorm.weight, the norm before the first block of every CLIP, which its "
        "class token says that this is");
  weights.config.no_embed_class = hugging_face && weights.config.reg_tokens > 0;
  weights.num_patches = need(weights.tensors, "pos_embedding", 3).shape()[1] -
                        (weights.config.no_embed_class ? 0 : weights.config.prefix_tokens());
  check(weights.num_patches >= 1, "vit_weights", "there are no position embeddings of patches: pos_embedding is ",
        weights.tensors.at("pos_embedding").shape());
  add_zero_biases(weights.tensors, weights.config, weights.origin == VitOrigin::timm);
  if (hugging_face && weights.config.distilled && !weights.tensors.contains("head_dist.weight"))
    add_zero_head(weights.tensors);
  return weights;
}

VitHints fixed_by_code(const VitWeights& weights) {
  VitHints hints;
  const bool attention = weights.tensors.contains("attn_pool.latent"), head = weights.config.num_classes > 0;
  if (weights.origin == VitOrigin::timm && attention) hints.pool = Pool::map;
  if (weights.origin == VitOrigin::timm) return hints;
  hints.pool = Pool::token;
  if (weights.origin == VitOrigin::hugging_face) {
    const bool wide = head && need(weights.tensors, "head.1.weight", 2).shape()[1] == 2 * weights.config.num_hiddens;
    if (!weights.config.class_token) hints.pool = attention && !head ? Pool::map : Pool::avg;
    if (weights.config.pre_norm && head) hints.pool = Pool::avg;
    if (wide) hints.pool = Pool::token_and_avg;
    return hints;
  }
  hints.layer_norm_eps = weights.origin == VitOrigin::d2l ? real(1e-5) : real(1e-6);
  hints.activation = Activation::gelu;
  if (weights.origin == VitOrigin::d2l) return hints;
  const auto side = static_cast<Index>(std::lround(std::sqrt(static_cast<double>(weights.num_patches))));
  check(side * side == weights.num_patches, "vit_weights", "there are position embeddings of ", weights.num_patches,
        " patches, which is no square, as torchvision's have");
  const Size2 patch = weights.config.patch_size;
  hints.trained_size = Size2(side * patch.height, side * patch.width);
  return hints;
}

void set_hints(VitWeights& weights, const VitHints& hints) {
  check(hints.num_heads && hints.pool && hints.layer_norm_eps && hints.activation && hints.trained_size, "vit_weights",
        "these weights do not say the model's number of heads, pooling, eps of LayerNorm, activation or image size: ",
        "all of them must be given");
  check(*hints.num_heads >= 1, "vit_weights", "num_heads must be 1 or more, got ", *hints.num_heads);
  ViTConfig& config = weights.config;
  config.num_heads = *hints.num_heads;
  config.pool = *hints.pool;
  config.layer_norm_eps = *hints.layer_norm_eps;
  config.activation = *hints.activation;
  config.img_size = *hints.trained_size;
  config.pool_include_prefix = hints.pool_include_prefix;
  const bool hugging_face = weights.origin == VitOrigin::hugging_face;
  // timm's fc_norm is after the pooling and its norm before, transformers' before; of a token it is the same.
  if (config.pool != Pool::token && (hugging_face || (weights.origin == VitOrigin::timm && !weights.fc_norm)))
    config.head_norm = HeadNorm::tokens;
  // CLIP's classifier averages tokens that are not normalised, and SigLIP's has no use for the attention.
  const auto leave_out = [&](const char* name) {
    std::erase_if(weights.tensors, [&](const auto& item) { return item.first.starts_with(name); });
  };
  const bool clip_classifier = hugging_face && config.pre_norm && config.pool == Pool::avg;
  if (clip_classifier) leave_out("head.0.");
  if (hugging_face && config.pool != Pool::map) leave_out("attn_pool.");
  // timm's final_norm=False is the other model without that norm; from the rest it has been lost.
  if (clip_classifier || (weights.origin == VitOrigin::timm && !weights.tensors.contains("head.0.weight")))
    config.head_norm = HeadNorm::none;
  check(PatchEmbedding::count_patches(config.img_size, config.patch_size) == weights.num_patches, "vit_weights",
        "there are position embeddings of ", weights.num_patches, " patches, which do not fit an image of ",
        config.img_size.height, " x ", config.img_size.width);
}

VitWeights vit_weights(const Tensors& tensors, const VitHints& hints) {
  VitWeights weights = name_weights(tensors);
  VitHints all = fixed_by_code(weights);
  if (hints.num_heads) all.num_heads = hints.num_heads;
  if (hints.pool) all.pool = hints.pool;
  if (hints.layer_norm_eps) all.layer_norm_eps = hints.layer_norm_eps;
  if (hints.activation) all.activation = hints.activation;
  if (hints.trained_size) all.trained_size = hints.trained_size;
  all.pool_include_prefix = hints.pool_include_prefix;
  set_hints(weights, all);
  return weights;
}

void set_img_size(ViTConfig& config, Tensors& tensors, Size2 img_size) {
  PatchEmbedding::count_patches(img_size, config.patch_size, config.patch_padding);  // throws where it must
  const Size2 from = config.grid();
  config.img_size = img_size;
  if (config.positions != Positions::learned) return;
  const Tensor& positions = need(tensors, "pos_embedding", 3);
  tensors["pos_embedding"] = resize_positions(positions, from, config.grid());
}

Tensor resize_positions(const Tensor& positions, Size2 from, Size2 to) {
  if (from == to) return positions;
  check(positions.rank() == 3 && positions.shape()[0] == 1 && positions.shape()[1] >= from.height * from.width,
        "resize_positions", "there should be position embeddings (1, T, C) of ", from.height, " x ", from.width,
        " patches, got ", positions.shape());
  const Index C = positions.shape()[2], tokens = positions.shape()[1] - from.height * from.width;
  const Tensor all = positions.reshape({positions.shape()[1], C});
  const Tensor patches = slice(all, 0, tokens, all.shape()[0]);
  const Tensor lower = matmul(bicubic_matrix(from.height, to.height), patches.reshape({from.height, from.width * C}));
  const Tensor resized = matmul(bicubic_matrix(from.width, to.width), lower.reshape({to.height, from.width, C}));
  const Tensor rows = resized.reshape({to.height * to.width, C});
  const Tensor result = tokens ? concat({slice(all, 0, 0, tokens), rows}, 0) : rows;
  return result.reshape({1, tokens + to.height * to.width, C});
}

}  // namespace bobbin
