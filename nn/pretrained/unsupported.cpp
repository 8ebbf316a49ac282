// What is known of models that are not supported, so that each is refused by its name.
#include <algorithm>
#include <string_view>
#include <vector>

#include "nn/pretrained/swin_weights.h"
#include "nn/pretrained/unwrap.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

// A part of a name, at its beginning or after a dot or an underscore, and what has it.
struct Part {
  std::string_view name;
  const char* what;
};

constexpr const char *layer_scale = "LayerScale under this name", *registers = "register tokens under this name",
                     *norm_pre = "a norm before the first block under this name",
                     *qk_norm = "norms of queries and keys", *gated = "a gated MLP (SwiGLU)",
                     *rotary = "rotary position embeddings", *relative = "relative position biases",
                     *inner = "inner norms", *patch_norm = "a patch norm", *cosine = "Swin V2",
                     *quantized = "quantized weights", *pruned = "pruned weights";

// What a Swin Transformer has, and a ViT has not.
constexpr std::string_view hierarchy = "layers.0.blocks.";

constexpr Part parts[] = {
    {"lambda_1", layer_scale},
    {"lambda_2", layer_scale},
    {"gamma_1", layer_scale},
    {"gamma_2", layer_scale},
    {"storage_tokens", registers},
    {"ln_pre.", norm_pre},
    {"q_norm.", qk_norm},
    {"k_norm.", qk_norm},
    {"q_bias", "separate query and value biases"},
    {"lambda_q1", "differential attention"},
    {"blocks.0.attn.q_proj.", "separate query, key and value projections"},
    {"mlp.w1.", gated},
    {"mlp.w12.", gated},
    {"fc1_g.", gated},
    {"gate_proj.", gated},
    {"weights_in.", gated},
    {"relative_position_bias", relative},
    {"rel_pos", relative},
    {"rope", rotary},
    {"rotary", rotary},
    {"inv_freq", rotary},
    {"freqs", rotary},
    {"pre_logits.", "a layer before the head"},
    {"detection_tokens", "detection tokens"},
    {"patch_embed.backbone.", "a convolutional stem"},
    {"patch_embed.norm.", patch_norm},
    {"attn.norm.", inner},
    {"mlp.norm.", inner},
    {"attn.inner_attn_ln.", inner},
    {"mlp.ffn_layernorm.", inner},
    {"blocks.0.0.", "chunked or parallel blocks"},
    {"blocks.0.attns.", "parallel blocks"},
    {"blocks.0.in_proj.", "attention and MLP side by side"},
    {"blocks.0.norm3.", "blocks of three parts"},
    {hierarchy, "blocks in several stages"},
    {"logit_scale", cosine},
    {"cpb_mlp.", cosine},
    {"absolute_pos_embed", "absolute positions in a Swin Transformer"},
    {"blocks_token_only.", "class attention"},
    {"se.fc", "squeeze and excitation"},
    {"se.conv", "squeeze and excitation"},
    {"conv1.0.weight", "a deep stem"},
    {"lora_", "LoRA"},
    {"flat_param", "FSDP's flattened parameters"},
    {"weight_orig", pruned},
    {"parametrizations.", "parametrized weights"},
    {"SCB", quantized},
    {"absmax", quantized},
    {"weight_scale", quantized},
};

// Where, if anywhere, the part stands in the name.
bool has(std::string_view name, std::string_view part) {
  for (std::size_t at = 0; (at = name.find(part, at)) != std::string_view::npos; ++at)
    if (at == 0 || name[at - 1] == '.' || name[at - 1] == '_') return true;
  return false;
}

}  // namespace

std::vector<UnsupportedPart> unsupported_parts(const NamedTensors& tensors, const std::string& first) {
  std::vector<UnsupportedPart> found;
  const auto add = [&](const std::string& what, const std::string& example) {
    if (std::none_of(found.begin(), found.end(), [&](const auto& known) { return known.what == what; }))
      found.push_back({what, example});
  };
  const bool swin = is_swin(tensors);
  for (const Part& part : parts)
    for (const auto& [name, tensor] : tensors)
      if (has(name, part.name) &&
          !(swin && (part.name == hierarchy || part.what == relative || part.what == patch_norm))) {
        add(part.what, name);
        break;
      }
  const auto shape = [&](const char* name) {
    const auto tensor = tensors.find(name);
    return tensor == tensors.end() ? Shape{} : tensor->second.shape();
  };
  const char* fc1 = "blocks.0.mlp.fc1.weight";
  if (const Shape in = shape(fc1), out = shape("blocks.0.mlp.fc2.weight");
      in.rank() == 2 && out.rank() == 2 && in[0] == 2 * out[1])
    add(gated, fc1);
  if (tensors.contains("norm.weight") && tensors.contains("fc_norm.weight"))
    add("a second norm before the head", "fc_norm.weight");
  for (const char* norm : {"norm.weight", "blocks.0.norm1.weight"})
    if (tensors.contains(norm) && !tensors.contains(std::string(norm).replace(std::string(norm).size() - 6, 6, "bias")))
      add("RMSNorm, a norm without a bias,", norm);
  if (first.ends_with("embeddings.patch_embedding.weight") && shape(first.c_str()).rank() == 2)
    add("a model for any number of patches (NaFlex)", first);
  // The class token stands beside the first layer, where there must be one.
  constexpr std::pair<std::string_view, const char*> class_tokens[] = {{"patch_embedding.conv.weight", "cls_token"},
                                                                       {"conv_proj.weight", "class_token"}};
  if (shape(first.c_str()).rank() == 5) add("a video model", first);
  for (const auto& [layer, token] : class_tokens) {
    if (!first.ends_with(layer) || swin) continue;
    const std::string there = first.substr(0, first.size() - layer.size()) + token;
    if (!tensors.contains(there)) add("a model without a class token", "there is no " + there);
  }
  return found;
}

std::string known_other_model(const ReadableTensors& content) {
  constexpr Part others[] = {
      {"visual.conv1.", "OpenAI's or OpenCLIP's CLIP under its own names (timm and transformers have it under theirs)"},
      {"visual.class_embedding", "CLIP under its own names"},
      {"patch_embed.backbone.", "a hybrid, which cuts patches out of what another network makes of the image,"},
      {"patch_embed.projection.", "a model of OpenMMLab"},
      {"patch_embed.proj.0.", "XCiT or another model that cuts patches by several convolutions"},
      {"word_embeddings.", "a model of text"},
      {"embed_tokens.", "a model of text"},
      {"wte.", "a model of text"},
      {"downsample_layers.0.0.", "ConvNeXt"},
      {"stem.0.weight", "ConvNeXt or another convolutional network"},
      {"conv_stem.", "EfficientNet or MobileNet"},
      {"features.conv0.", "DenseNet"},
      {"features.0.", "VGG, MobileNet, Swin V2 or another model of torchvision's with `features`"},
      {"convnext.", "ConvNeXt"},
      {"embeddings.patch_embeddings.weight", "DINOv3"},
      {"Mixed_5b.", "Inception"},
      {"Transformer/encoder", "JAX, whose names and layouts are others"},
      {"down_blocks.", "a diffusion model"},
  };
  for (const Part& other : others) {
    const auto is = [&](const auto& item) { return has(item.first, other.name); };
    if (std::any_of(content.tensors.begin(), content.tensors.end(), is) ||
        std::any_of(content.unread.begin(), content.unread.end(), is))
      return other.what;
  }
  return "";
}

}  // namespace bobbin
