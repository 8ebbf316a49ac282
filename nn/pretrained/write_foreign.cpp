// Our ViTs under the names of others, and the files that say the rest.
#include "nn/pretrained/write_foreign.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/files/json.h"
#include "nn/models/any_model.h"
#include "tensor/check.h"
#include "tensor/functions.h"

namespace bobbin {
namespace {

using nlohmann::json;

template <class... Parts>
void need(bool there, const char* library, const Parts&... what) {
  check(there, "convert", library, " has no such model: ", what...);
}

json size(Size2 s) { return s.height == s.width ? json(s.height) : json{s.height, s.width}; }

// What every library's blocks have: a bias of the projection; and of none or all of queries, keys and values.
void add_biases(const ViTConfig& c, NamedTensors& tensors, bool all) {
  for (int i = 0; i < c.num_blks; ++i)
    for (const char* name : {"W_o", "W_q", "W_k", "W_v"})
      if (all || name == std::string("W_o"))
        tensors.emplace("blks." + std::to_string(i) + ".attention." + name + ".bias", Tensor::zeros({c.num_hiddens}));
}

// Positions as parameters, with those of the tokens before the patches, whose are zeros if they have none.
void learn_positions(const ViTConfig& c, NamedTensors& tensors) {
  const Size2 grid = c.grid();
  if (c.positions == Positions::sincos) tensors["pos_embedding"] = sincos_positions(grid, c.num_hiddens);
  if (c.positions == Positions::none)
    tensors["pos_embedding"] = Tensor::zeros({1, grid.height * grid.width, c.num_hiddens});
  if (c.prefix_tokens() > 0 && (c.no_embed_class || c.positions != Positions::learned))
    tensors["pos_embedding"] =
        concat({Tensor::zeros({1, c.prefix_tokens(), c.num_hiddens}), tensors.at("pos_embedding")}, 1);
}

void check_common(const char* library, const ViTConfig& c) {
  need(c.stem_stages == 0, library, "convolutions before the patches (--stem-stages)");
  const Size2 img = c.img_size, patch = c.patch_size;
  need(img.height % patch.height == 0 && img.width % patch.width == 0, library,
       "zeros around an image that the patch size does not divide (--patch-padding same)");
  need(c.norm == Norm::pre, library, "norms after each sum (--norm post)");
  need(c.pool != Pool::seq, library, "a mean by weights that are learned (--global-pool seq)");
}

// The ratio of which `width` times is `hidden` after it is cut to a whole number.
double mlp_ratio(const ViTConfig& c) {
  double ratio = static_cast<double>(c.mlp_num_hiddens) / static_cast<double>(c.num_hiddens);
  while (static_cast<Index>(static_cast<double>(c.num_hiddens) * ratio) < c.mlp_num_hiddens)
    ratio = std::nextafter(ratio, 1e9);
  return ratio;
}

ForeignModel timm(const ModelFile& file, const ViTConfig& c) {
  constexpr const char* activations[] = {"gelu", "gelu_tanh", "quick_gelu"};
  constexpr const char* pools[] = {"token", "avg", "", "map", ""};
  check_common("timm", c);
  need(c.pool != Pool::token_and_avg, "timm", "a head that sees the class token and the mean beside it");
  const bool clip = c.layer_norm_eps == real(1e-5);
  need(clip || c.layer_norm_eps == real(1e-6), "timm", "an eps of LayerNorm but 1e-6 and 1e-5, ", c.layer_norm_eps);
  need(!c.distilled || !clip, "timm", "a distilled one with an eps of LayerNorm of 1e-5");
  need(!c.distilled || c.head_norm == HeadNorm::pooled, "timm", "a distilled one without a norm before its heads");
  const bool fc_norm = c.pool == Pool::avg && c.head_norm == HeadNorm::pooled;
  if (c.distilled) {  // timm's class has the arguments of its ViT, but not all of what they do
    need(c.reg_tokens == 0, "timm", "a distilled one with registers");
    need(c.positions == Positions::learned && !c.no_embed_class, "timm",
         "a distilled one without learned positions of all tokens");
    need(!c.pre_norm, "timm", "a distilled one with a norm before the blocks");
  }

  NamedTensors tensors = file.tensors;
  add_biases(c, tensors, false);
  const bool sincos = c.positions == Positions::sincos;
  if (sincos) tensors["pos_embedding"] = sincos_positions(c.grid(), c.num_hiddens);
  if (c.pre_norm) {
    const auto bias = tensors.extract("patch_embedding.conv.bias").mapped().values();
    need(std::all_of(bias.begin(), bias.end(), [](real x) { return x == 0; }), "timm",
         "a bias of the patches before a norm");
  }
  ForeignModel result;
  result.tensors = names_for(VitOrigin::timm, tensors);
  for (const char* part : {".weight", ".bias"})
    if (fc_norm) {
      auto norm = result.tensors.extract(std::string("norm") + part);
      norm.key() = std::string("fc_norm") + part;
      result.tensors.insert(std::move(norm));
    }

  json args{{"img_size", size(c.img_size)},
            {"patch_size", size(c.patch_size)},
            {"in_chans", c.num_channels},
            {"embed_dim", c.num_hiddens},
            {"depth", c.num_blks},
            {"num_heads", c.num_heads},
            {"mlp_ratio", mlp_ratio(c)},
            {"qkv_bias", c.use_bias},
            {"act_layer", activations[static_cast<int>(c.activation)]}};
  if (c.layer_scale != 0) args["init_values"] = c.layer_scale;
  if (!c.distilled) {
    args["class_token"] = c.class_token;
    args["reg_tokens"] = c.reg_tokens;
    args["no_embed_class"] = c.no_embed_class || sincos;
    args["pre_norm"] = c.pre_norm;
    args["final_norm"] = c.head_norm != HeadNorm::none;
    args["fc_norm"] = fc_norm;
    args["global_pool"] = pools[static_cast<int>(c.pool)];
    if (c.pool_include_prefix) args["pool_include_prefix"] = true;
    if (c.positions == Positions::none) args["pos_embed"] = "none";
  }
  const Preprocess& p = file.preprocess;
  json pictures{{"input_size", {c.num_channels, c.img_size.height, c.img_size.width}},
                {"fixed_input_size", true},
                {"interpolation", p.interpolation == Interpolation::bicubic ? "bicubic" : "bilinear"},
                {"crop_pct", p.crop_pct == 0 ? 1 : p.crop_pct},
                {"crop_mode", p.crop_pct == 0 || p.squash ? "squash" : "center"},
                {"mean", p.mean.empty() ? std::vector<real>(static_cast<std::size_t>(c.num_channels), 0) : p.mean},
                {"std", p.std.empty() ? std::vector<real>(static_cast<std::size_t>(c.num_channels), 1) : p.std},
                {"num_classes", c.num_classes},
                {"first_conv", "patch_embed.proj"},
                {"classifier", c.distilled ? json{"head", "head_dist"} : json("head")}};
  // Of timm's architectures CLIP's have the other eps.
  json config{{"architecture", c.distilled ? "deit_base_distilled_patch16_224"
                               : clip      ? "vit_base_patch16_clip_224"
                                           : "vit_base_patch16_224"},
              {"num_classes", c.num_classes},
              {"num_features", c.num_hiddens},
              {"global_pool", pools[static_cast<int>(c.pool)]},
              {"model_args", args},
              {"pretrained_cfg", pictures}};
  if (c.num_classes > 0) config["label_names"] = file.class_names;
  result.files["config.json"] = to_text(config, 2) + "\n";
  result.python = "timm.create_model('local-dir:DIR', pretrained=True)";
  return result;
}

ForeignModel transformers(const ModelFile& file, const ViTConfig& c) {
  constexpr const char* activations[] = {"gelu", "gelu_pytorch_tanh", "quick_gelu"};
  check_common("transformers", c);
  const bool dinov2 = c.layer_scale != 0, head = c.num_classes > 0;
  const char* which = "transformers' ViT, DeiT and DINOv2";
  need(c.class_token, which, "one without a class token");
  need(!c.pre_norm, which, "a norm before the blocks");
  need(c.head_norm != HeadNorm::none, which, "no norm before the head");
  need(c.pool == Pool::token || (c.pool == Pool::token_and_avg && head && dinov2), which, "a pooling by ",
       c.pool == Pool::map ? "attention" : "the mean");
  need(!dinov2 || !head || c.pool == Pool::token_and_avg, which, "LayerScale with a head for the class token alone");
  need(c.pool == Pool::token || !c.pool_include_prefix, which, "a mean of the patches and the tokens before them");
  need(dinov2 || c.reg_tokens == 0, which, "registers without LayerScale");
  need(!dinov2 || (!c.distilled && c.mlp_num_hiddens % c.num_hiddens == 0), which,
       "LayerScale with an MLP that is no whole number of times as wide as a token, or two heads");

  NamedTensors tensors = file.tensors;
  add_biases(c, tensors, c.use_bias);
  learn_positions(c, tensors);
  if (c.reg_tokens > 0) {  // whose positions transformers does not have
    const Tensor all = tensors.at("pos_embedding");
    tensors["reg_token"] = tensors.at("reg_token") + slice(all, 1, 1, 1 + c.reg_tokens);
    tensors["pos_embedding"] = concat({slice(all, 1, 0, 1), slice(all, 1, 1 + c.reg_tokens, all.shape()[1])}, 1);
  }
  const std::string type = c.distilled        ? "deit"
                           : !dinov2          ? "vit"
                           : c.reg_tokens > 0 ? "dinov2_with_registers"
                                              : "dinov2";
  const std::string name = c.distilled ? "DeiT" : !dinov2 ? "ViT" : c.reg_tokens > 0 ? "Dinov2WithRegisters" : "Dinov2";
  ForeignModel result;
  for (auto& [key, tensor] : names_for(VitOrigin::hugging_face, tensors)) {
    std::string as = key;
    if (as.starts_with("vit.")) as = (head ? type + "." : "") + as.substr(4);
    if (!c.distilled || !as.starts_with("classifier."))
      result.tensors.emplace(as, tensor);
    else
      result.tensors.emplace("cls_" + as, tensor);
  }
  const std::string made = name + (!head         ? "Model"
                                   : c.distilled ? "ForImageClassificationWithTeacher"
                                                 : "ForImageClassification");
  json config{{"architectures", {made}},
              {"model_type", type},
              {"image_size", size(c.img_size)},
              {"patch_size", size(c.patch_size)},
              {"num_channels", c.num_channels},
              {"hidden_size", c.num_hiddens},
              {"num_hidden_layers", c.num_blks},
              {"num_attention_heads", c.num_heads},
              {"hidden_act", activations[static_cast<int>(c.activation)]},
              {"hidden_dropout_prob", 0.0},
              {"attention_probs_dropout_prob", 0.0},
              {"layer_norm_eps", c.layer_norm_eps},
              {"qkv_bias", c.use_bias}};
  if (dinov2)
    config["mlp_ratio"] = c.mlp_num_hiddens / c.num_hiddens;
  else
    config["intermediate_size"] = c.mlp_num_hiddens;
  if (c.reg_tokens > 0) config["num_register_tokens"] = c.reg_tokens;
  if (file.scores == Scores::sigmoid) config["problem_type"] = "multi_label_classification";
  for (std::size_t i = 0; head && i < file.class_names.size(); ++i) {
    config["id2label"][std::to_string(i)] = file.class_names[i];
    config["label2id"][file.class_names[i]] = i;
  }
  result.files["config.json"] = to_text(config, 2) + "\n";

  const Preprocess& p = file.preprocess;
  const auto words = [](Size2 s) { return json{{"height", s.height}, {"width", s.width}}; };
  const auto uncut = [&](Index side) { return static_cast<Index>(std::floor(static_cast<double>(side) / p.crop_pct)); };
  json pictures{{"image_processor_type", p.crop_pct == 0 ? "ViTImageProcessor" : "DeiTImageProcessor"},
                {"do_resize", true},
                {"size", words(p.size)},
                {"resample", p.interpolation == Interpolation::bicubic ? 3 : 2},
                {"do_rescale", true},
                {"rescale_factor", 1 / 255.0},
                {"do_normalize", !p.mean.empty()}};
  if (!p.mean.empty()) pictures["image_mean"] = p.mean, pictures["image_std"] = p.std;
  if (p.crop_pct != 0) {
    need(p.squash || p.size.height == p.size.width, "transformers", "a cut of other proportions than a square's");
    pictures["do_center_crop"] = true;
    pictures["crop_size"] = words(p.size);
    pictures["size"] =
        p.squash ? words({uncut(p.size.height), uncut(p.size.width)}) : json{{"shortest_edge", uncut(p.size.height)}};
  }
  result.files["preprocessor_config.json"] = to_text(pictures, 2) + "\n";
  result.python = "transformers." + made + ".from_pretrained('DIR')";
  return result;
}

ForeignModel torchvision(const ModelFile& file, const ViTConfig& c) {
  check_common("torchvision", c);
  need(c.class_token && c.pool == Pool::token && !c.distilled && c.reg_tokens == 0, "torchvision",
       "a pooling but that of the class token, or other tokens");
  need(c.layer_scale == 0 && !c.pre_norm && c.head_norm != HeadNorm::none, "torchvision", "LayerScale or other norms");
  need(c.activation == Activation::gelu, "torchvision", "another activation than GELU by erf");
  need(c.img_size.height == c.img_size.width && c.patch_size.height == c.patch_size.width, "torchvision",
       "images or patches that are no squares");
  need(c.num_channels == 3, "torchvision", "images of ", c.num_channels, " channels");
  need(c.num_classes > 0, "torchvision", "none without a head");
  NamedTensors tensors = file.tensors;
  add_biases(c, tensors, true);
  learn_positions(c, tensors);
  std::ostringstream python;
  python << "model = torchvision.models.VisionTransformer(" << c.img_size.height << ", " << c.patch_size.height << ", "
         << c.num_blks << ", " << c.num_heads << ", " << c.num_hiddens << ", " << c.mlp_num_hiddens
         << ", num_classes=" << c.num_classes;
  if (c.layer_norm_eps != real(1e-6))
    python << ", norm_layer=functools.partial(torch.nn.LayerNorm, eps=" << c.layer_norm_eps << ")";
  python << "); model.load_state_dict(safetensors.torch.load_file('DIR/model.safetensors'))";
  return {names_for(VitOrigin::torchvision, tensors), {}, python.str()};
}

}  // namespace

ForeignModel for_library(VitOrigin library, const ModelFile& file) {
  AnyConfig copy = file.config;
  const ViTConfig* c = file.config.as<ViTConfig>();
  check(c, "convert", "a ", copy.title(), " is not converted: a ViT is");
  make_model(file.config, file.tensors);  // throws where they do not fit
  check(library != VitOrigin::d2l, "convert", "our own files have d2l's names");
  return library == VitOrigin::timm          ? timm(file, *c)
         : library == VitOrigin::torchvision ? torchvision(file, *c)
                                             : transformers(file, *c);
}

}  // namespace bobbin
