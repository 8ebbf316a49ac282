// transformers' config.json and preprocessor_config.json, as transformers 5.24 reads them.
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "nn/pretrained/facts.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

Activation activation_of(const JsonObject& config, const char* otherwise) {
  const std::string name = config.has("hidden_act") ? config.text("hidden_act") : otherwise;
  if (name == "quick_gelu") return Activation::quick_gelu;
  if (name == "gelu" || name == "gelu_python") return Activation::gelu;
  for (const char* by_tanh : {"gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate"})
    if (name == by_tanh) return Activation::gelu_tanh;
  config.expect(false, "hidden_act", "gelu, gelu_new, gelu_pytorch_tanh or quick_gelu, as all else is not supported");
  return {};
}

// What the image classification pipeline makes of logits.
Scores scores_of(const JsonObject& config, Index num_classes) {
  const std::string type = config.has("problem_type") ? config.text("problem_type") : "single_label_classification";
  const bool several = type == "multi_label_classification";
  if (config.has("problem_type"))
    config.expect(several || type == "single_label_classification", "problem_type",
                  "single_label_classification or multi_label_classification, as all else is not supported");
  return several || num_classes == 1 ? Scores::sigmoid : Scores::softmax;
}

// Keys of any model's config that do not change its logits.
const std::vector<const char*> no_matter{"_name_or_path",
                                         "name_or_path",
                                         "architectures",
                                         "transformers_version",
                                         "dtype",
                                         "torch_dtype",
                                         "initializer_range",
                                         "hidden_dropout_prob",
                                         "attention_probs_dropout_prob",
                                         "encoder_stride",
                                         "pooler_output_size",
                                         "pooler_act",
                                         "label2id",
                                         "finetuning_task",
                                         "output_attentions",
                                         "output_hidden_states",
                                         "return_dict",
                                         "use_cache",
                                         "torchscript",
                                         "use_bfloat16",
                                         "tf_legacy_loss",
                                         "_attn_implementation",
                                         "attn_implementation",
                                         "_attn_implementation_autoset",
                                         "gradient_checkpointing",
                                         "is_encoder_decoder",
                                         "is_decoder",
                                         "chunk_size_feed_forward",
                                         "tie_word_embeddings",
                                         "tie_encoder_decoder",
                                         "add_cross_attention",
                                         "cross_attention_hidden_size",
                                         "loss_type"};

// What may be there beside: what a training sees, a decoder, or parts that are not asked for.
const std::vector<const char*> no_matter_in_vits{"decoder_hidden_size",
                                                 "decoder_intermediate_size",
                                                 "decoder_num_attention_heads",
                                                 "decoder_num_hidden_layers",
                                                 "mask_ratio",
                                                 "norm_pix_loss",
                                                 "drop_path_rate",
                                                 "layerscale_value",
                                                 "use_mask_token",
                                                 "apply_layernorm",
                                                 "reshape_hidden_states",
                                                 "stage_names",
                                                 "out_features",
                                                 "out_indices",
                                                 "attention_dropout",
                                                 "dropout",
                                                 "initializer_factor",
                                                 "projection_dim",
                                                 "vision_use_head",
                                                 "logit_scale_init_value",
                                                 "text_config",
                                                 "text_config_dict",
                                                 "bos_token_id",
                                                 "eos_token_id",
                                                 "pad_token_id"};

// A class of models: the names that its config may have, and its defaults.
struct Family {
  std::vector<const char*> types;
  double layer_norm_eps;
  const char *hidden_act = "gelu", *heads = "num_attention_heads";
};

// The class that has such weights, and among those that do the one that the config names.
Family family_of(const JsonObject& config, const VitWeights& weights) {
  const ViTConfig& has = weights.config;
  std::vector<Family> families;
  if (weights.clip && has.class_token)
    families = {{{"clip", "clip_vision_model"}, 1e-5, "quick_gelu"}};
  else if (weights.clip)
    families = {{{"siglip", "siglip_vision_model"}, 1e-6, "gelu_pytorch_tanh"}};
  else if (has.distilled)
    families = {{{"deit"}, 1e-12}};
  else if (!has.class_token)
    families = {{{"ijepa"}, 1e-12}};
  else if (has.layer_scale != 0)
    families = {{{has.reg_tokens > 0 ? "dinov2_with_registers" : "dinov2"}, 1e-6}};
  else
    families = {{{"vit"}, 1e-12}, {{"vit_mae"}, 1e-12}, {{"vit_msn"}, 1e-6}};
  if (!config.has("model_type")) return families.front();
  std::string known;
  for (const Family& family : families)
    for (const char* type : family.types) {
      if (config.text("model_type") == type) return family;
      known += (known.empty() ? "" : " or ") + std::string(type);
    }
  config.expect(false, "model_type", known + ", as its weights are");
  return {};
}

}  // namespace

void read_transformers(const JsonObject& whole, const VitWeights& weights, Facts& facts) {
  const ViTConfig& has = weights.config;
  std::vector<const char*> followed{"model_type",
                                    "hidden_act",
                                    "layer_norm_eps",
                                    "image_size",
                                    "patch_size",
                                    "num_channels",
                                    "qkv_bias",
                                    "num_labels",
                                    "num_attention_heads",
                                    "num_hidden_layers",
                                    "hidden_size",
                                    "pruned_heads",
                                    "intermediate_size",
                                    "head_dim",
                                    "problem_type",
                                    "id2label",
                                    "mlp_ratio",
                                    "use_swiglu_ffn",
                                    "num_register_tokens",
                                    "vision_config",
                                    "vision_config_dict"};
  check_keys(whole, followed, joined(no_matter, no_matter_in_vits));
  const Family family = family_of(whole, weights);
  // Where CLIP's has both, the second, completed by the defaults, takes the place of the first.
  const bool second = family.types.front() == std::string("clip") && whole.has("vision_config_dict");
  const char* const part = second ? "vision_config_dict" : "vision_config";
  const bool nested = whole.has(part);
  if (!nested && whole.has("text_config")) whole.expect(false, part, "there, as the weights are of the part that sees");
  const JsonObject config = nested ? whole.object(part) : whole;
  const std::string& where = config.place();
  if (nested) check_keys(config, followed, joined(no_matter, no_matter_in_vits));
  if (nested && config.has("model_type"))
    config.expect(config.text("model_type") == family.types.back(), "model_type", family.types.back());
  if (config.has("mlp_ratio"))
    check_shape(where, "mlp_ratio * hidden_size",
                static_cast<Index>(config.number("mlp_ratio", 0, 1000) * static_cast<double>(has.num_hiddens)),
                has.mlp_num_hiddens);
  if (config.has("use_swiglu_ffn"))
    config.expect(!config.boolean("use_swiglu_ffn"), "use_swiglu_ffn", "false, as all else is not supported");
  if (config.has("num_register_tokens"))
    check_shape(where, "num_register_tokens", config.integer("num_register_tokens", 0), has.reg_tokens);
  if (config.has("pruned_heads")) config.expect(config.at("pruned_heads").empty(), "pruned_heads", "empty");
  if (config.has("hidden_size")) check_shape(where, "hidden_size", config.integer("hidden_size"), has.num_hiddens);
  if (config.has("intermediate_size"))
    check_shape(where, "intermediate_size", config.integer("intermediate_size"), has.mlp_num_hiddens);
  if (config.has("num_hidden_layers"))
    check_shape(where, "num_hidden_layers", config.integer("num_hidden_layers", 0), has.num_blks);
  if (config.has("num_channels")) check_shape(where, "num_channels", config.integer("num_channels"), has.num_channels);
  if (whole.has("num_labels") && has.num_classes > 0)
    check_shape(whole.place(), "num_labels", whole.integer("num_labels"), has.num_classes);
  if (config.has("patch_size"))
    config.expect(config.size("patch_size") == has.patch_size, "patch_size", "that of the weights' projection");
  if (config.has("qkv_bias")) config.boolean("qkv_bias");  // the weights show it

  const Index heads = config.has("num_attention_heads") ? config.integer("num_attention_heads", 1, 65536) : 12;
  facts.num_heads.say(static_cast<int>(heads), where);
  if (config.has("head_dim"))
    config.expect(config.integer("head_dim") * heads == has.num_hiddens, "head_dim",
                  "hidden_size / num_attention_heads");
  facts.layer_norm_eps.say(static_cast<real>(config.has("layer_norm_eps") ? config.number("layer_norm_eps", 1e-20, 1)
                                                                          : family.layer_norm_eps),
                           where);
  facts.activation.say(activation_of(config, family.hidden_act), where);
  facts.trained_size.say(config.has("image_size") ? config.size("image_size") : Size2(224), where);
  facts.scores = scores_of(whole, has.num_classes);
  if (whole.has("id2label")) facts.class_names = whole.names("id2label");
}

void read_transformers(const JsonObject& config, const ResNetWeights& weights, Facts& facts) {
  const std::string& where = config.place();
  std::vector<const char*> harmless = no_matter;  // what follows is of other blocks, of backbones, or in the shapes
  for (const char* key : {"downsample_in_bottleneck", "out_features", "out_indices", "stage_names", "depths",
                          "hidden_sizes", "embedding_size", "num_labels"})
    harmless.push_back(key);
  check_keys(config,
             {"model_type", "layer_type", "hidden_act", "downsample_in_first_stage", "num_channels", "problem_type",
              "id2label"},
             harmless);
  if (config.has("model_type")) config.expect(config.text("model_type") == "resnet", "model_type", "resnet");
  if (config.has("hidden_act"))
    config.expect(config.text("hidden_act") == "relu", "hidden_act", "relu, as all else is not supported");
  if (config.has("layer_type"))
    config.expect(config.text("layer_type") == "basic", "layer_type",
                  "basic, as the weights have blocks of two convolutions");
  if (config.has("downsample_in_first_stage"))
    config.expect(!config.boolean("downsample_in_first_stage"), "downsample_in_first_stage",
                  "false, as all else is not supported");
  if (config.has("num_channels"))
    check_shape(where, "num_channels", config.integer("num_channels"), weights.config.num_channels());
  facts.scores = scores_of(config, weights.config.num_classes());
  if (config.has("id2label")) facts.class_names = config.names("id2label");
}

namespace {

// ConvNextImageProcessor, which ResNets have: below 384 pixels the shorter side becomes size / crop_pct and a square is
// cut out; from there on pictures are squashed.
void read_convnext(const JsonObject& config, Facts& facts) {
  const std::string& where = config.place();
  const bool named = config.is_object("size");
  if (named) check_keys(config.object("size"), {"shortest_edge"}, {});
  const Index side = named                ? config.object("size").integer("shortest_edge")
                     : config.has("size") ? config.integer("size")
                                          : 384;
  const double crop_pct = config.has("crop_pct") ? config.number("crop_pct", 0.1, 1) : 0.875;
  facts.crop.say({side < 384 ? crop_pct : 0, false, side < 384}, where);
  facts.pictures = Size2(side);
}

}  // namespace

void read_preprocessor(const JsonObject& config, bool resnet, Facts& facts) {
  const std::string& where = config.place();
  bool deit = false, convnext = resnet, siglip = false, clip = false;
  for (const char* key : {"feature_extractor_type", "image_processor_type"})  // the second counts, if both are there
    if (config.has(key)) {
      const std::string type = config.text(key);
      deit = type.starts_with("DeiT");
      siglip = type.starts_with("SiglipImageProcessor");
      clip = type.starts_with("CLIP") || type.starts_with("BitImageProcessor");
      convnext = type.starts_with("ConvNext");
      config.expect(siglip || type.starts_with("CLIPImageProcessor") || type == "CLIPFeatureExtractor" ||
                        type.starts_with("BitImageProcessor") || type.starts_with("ViTImageProcessor") ||
                        type.starts_with("DeiTImageProcessor") || type.starts_with("ConvNextImageProcessor") ||
                        type == "ViTFeatureExtractor" || type == "DeiTFeatureExtractor" ||
                        type == "ConvNextFeatureExtractor",
                    key,
                    "the ImageProcessor of ViT, DeiT, CLIP, Siglip, Bit (DINOv2) or, of a ResNet, ConvNext, as all "
                    "else is not supported");
    }
  std::vector<const char*> followed{"do_resize",
                                    "size",
                                    "resample",
                                    "do_rescale",
                                    "rescale_factor",
                                    "do_normalize",
                                    "image_mean",
                                    "image_std",
                                    "do_center_crop",
                                    "crop_size",
                                    "image_processor_type",
                                    "feature_extractor_type",
                                    "do_convert_grayscale",
                                    "do_pad",
                                    "pad_size",
                                    "rescale_offset",
                                    "do_reduce_labels",
                                    "default_to_square"};
  if (convnext) followed.push_back("crop_pct");
  check_keys(config, followed,
             {"do_convert_rgb", "processor_class", "data_format", "input_data_format", "return_tensors", "device",
              "disable_grouping", "image_seq_length", "_valid_processor_keys", "valid_processor_keys"});
  const auto flag = [&](const char* key, bool otherwise) { return config.has(key) ? config.boolean(key) : otherwise; };
  for (const char* step : {"do_resize", "do_rescale", "default_to_square"})
    if (!flag(step, true) && !((convnext || clip) && step == std::string("default_to_square")))
      config.expect(false, step, "true, as all else is not supported");
  for (const char* step : {"do_convert_grayscale", "do_pad", "rescale_offset", "do_reduce_labels"})
    if (flag(step, false)) config.expect(false, step, "false, as all else is not supported");
  if (config.has("rescale_factor"))
    config.expect(std::abs(config.number("rescale_factor", 0, 1) * 255 - 1) < 1e-6, "rescale_factor", "1 / 255");

  const Index filter = config.has("resample")               ? config.integer("resample", 0)
                       : deit || clip || siglip || convnext ? 3
                                                            : 2;
  if (config.has("resample")) config.expect(filter == 2 || filter == 3, "resample", "2, bilinear, or 3, bicubic");
  facts.interpolation.say(filter == 3 ? Interpolation::bicubic : Interpolation::bilinear, where);
  const auto numbers = [&](const char* key) {
    if (!flag("do_normalize", true)) return std::vector<real>{};
    if (config.has(key)) return config.numbers(key);
    return !clip                              ? std::vector<real>{real(0.5)}
           : key == std::string("image_mean") ? std::vector<real>(std::begin(clip_mean), std::end(clip_mean))
                                              : std::vector<real>(std::begin(clip_std), std::end(clip_std));
  };
  facts.mean.say(numbers("image_mean"), where);
  facts.std.say(numbers("image_std"), where);

  if (convnext) {
    if (flag("do_center_crop", false)) config.expect(false, "do_center_crop", "false, as all else is not supported");
    return read_convnext(config, facts);
  }
  // A picture becomes `size`, squashed; or its shorter side becomes `shortest_edge`; then crop_size is cut out of the
  // middle.
  // CLIP's and DINOv2's size is one number, the shortest edge.
  const bool crops = flag("do_center_crop", deit || clip), has_size = config.has("size");
  const bool edge = clip && (!has_size || !config.is_object("size"));
  const bool covers = edge || (config.is_object("size") && config.object("size").has("shortest_edge"));
  if (config.is_object("size"))
    check_keys(config.object("size"),
               covers ? std::vector<const char*>{"shortest_edge"} : std::vector<const char*>{"height", "width"}, {});
  if (covers) config.expect(crops, "size", "height and width where nothing is cropped");
  const Size2 size = edge       ? Size2(has_size ? config.integer("size") : 224)
                     : covers   ? Size2(config.object("size").integer("shortest_edge"))
                     : has_size ? config.size("size")
                                : Size2(deit ? 256 : 224);
  const Size2 seen = !crops ? size : config.has("crop_size") ? config.size("crop_size") : Size2(224);
  const bool squash = crops && !covers && seen != size;
  const double crop_pct = covers || squash ? share(seen.height, size.height) : 0;
  if (crop_pct != 0) {
    const auto uncut = static_cast<Index>(std::floor(static_cast<double>(seen.width) / crop_pct));
    check(crop_pct >= 0.1 && crop_pct <= 1 && uncut == size.width, "read_model_file", where, ".crop_size should be ",
          "the same share, from a tenth to all, of the height and the width of size, got ", seen.height, " x ",
          seen.width, " of ", size.height, " x ", size.width);
  }
  facts.crop.say({crop_pct, squash, crop_pct != 0}, where);
  facts.pictures = seen;
}

}  // namespace bobbin
