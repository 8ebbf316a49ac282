// timm's config.json, as timm 1.0.31 reads it: models/_hub.py, models/_builder.py and data/config.py there.
#include <iterator>
#include <nlohmann/json.hpp>

#include "nn/pretrained/facts.h"
#include "nn/pretrained/published.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

// Throws unless each of these keys, if it is there, has this value.
void check_values(const JsonObject& from, const nlohmann::json& only) {
  for (const auto& [key, value] : only.items())
    if (from.has(key.c_str()))
      from.expect(from.at(key.c_str()) == value, key.c_str(), value.dump() + ", as all else is not supported");
}

// The arguments of VisionTransformer that somebody chose: they change what the architecture has.
void read_model_args(const JsonObject& args, const VitWeights& weights, ViTConfig& said, Facts& facts) {
  const std::string& where = args.place();
  check_keys(args, {"img_size",         "patch_size",      "in_chans",       "num_classes", "global_pool",
                    "embed_dim",        "depth",           "num_heads",      "mlp_ratio",   "qkv_bias",
                    "act_layer",        "norm_layer",      "fc_norm",        "class_token", "qk_norm",
                    "scale_attn_norm",  "scale_mlp_norm",  "proj_bias",      "init_values", "pos_embed",
                    "no_embed_class",   "reg_tokens",      "pre_norm",       "final_norm",  "pool_include_prefix",
                    "dynamic_img_size", "dynamic_img_pad", "strict_img_size"},
             {"drop_rate", "pos_drop_rate", "patch_drop_rate", "proj_drop_rate", "attn_drop_rate", "drop_path_rate",
              "weight_init", "fix_init"});
  check_values(args, {{"norm_layer", "layernorm"},
                      {"qk_norm", false},
                      {"scale_attn_norm", false},
                      {"scale_mlp_norm", false},
                      {"pos_embed", "learn"},
                      {"dynamic_img_pad", false},
                      {"strict_img_size", true}});
  for (const char* key : {"qkv_bias", "proj_bias", "dynamic_img_size"})
    if (args.has(key)) args.boolean(key);  // the weights show the former; images have one size here
  if (args.has("norm_layer")) facts.layer_norm_eps.say(real(1e-6), where);
  if (args.has("init_values")) said.layer_scale = args.number("init_values", -1e6, 1e6) == 0 ? 0 : 1;
  if (args.has("class_token")) said.class_token = args.boolean("class_token");
  if (args.has("reg_tokens")) said.reg_tokens = args.integer("reg_tokens", 0, 1024);
  if (args.has("pre_norm")) said.pre_norm = args.boolean("pre_norm");
  if (args.has("no_embed_class")) facts.no_embed_class.say(args.boolean("no_embed_class"), where);
  if (args.has("pool_include_prefix")) facts.pool_include_prefix.say(args.boolean("pool_include_prefix"), where);
  if (args.has("in_chans")) check_shape(where, "in_chans", args.integer("in_chans"), weights.config.num_channels);
  const double mlp_ratio = static_cast<double>(said.mlp_num_hiddens) / static_cast<double>(said.num_hiddens);
  if (args.has("embed_dim")) said.num_hiddens = args.integer("embed_dim");
  if (args.has("embed_dim") || args.has("mlp_ratio"))
    said.mlp_num_hiddens = static_cast<Index>(static_cast<double>(said.num_hiddens) *
                                              (args.has("mlp_ratio") ? args.number("mlp_ratio", 0, 1000) : mlp_ratio));
  if (args.has("depth")) said.num_blks = static_cast<int>(args.integer("depth"));
  if (args.has("patch_size")) said.patch_size = args.size("patch_size");
  if (args.has("img_size")) facts.trained_size.say(args.size("img_size"), where);
  if (args.has("num_heads")) facts.num_heads.say(static_cast<int>(args.integer("num_heads", 1, 65536)), where);
  if (!args.has("act_layer")) return;
  const std::string name = args.text("act_layer");
  args.expect(name == "gelu" || name == "gelu_tanh" || name == "quick_gelu", "act_layer",
              "gelu, gelu_tanh or quick_gelu, as all else is not supported");
  facts.activation.say(name == "gelu"        ? Activation::gelu
                       : name == "gelu_tanh" ? Activation::gelu_tanh
                                             : Activation::quick_gelu,
                       where);
}

const char* name_of(Pool pool) { return pool == Pool::avg ? "avg" : pool == Pool::map ? "map" : "token"; }

std::optional<Pool> pool_of(const JsonObject& from) {
  if (!from.has("global_pool")) return {};
  const std::string name = from.text("global_pool");
  from.expect(name == "token" || name == "avg" || name == "map", "global_pool",
              "token, avg or map, as all else is not supported");
  return name == "avg" ? Pool::avg : name == "map" ? Pool::map : Pool::token;
}

// How pictures are prepared: resolve_data_config().
void read_pretrained_cfg(const JsonObject& from, const nlohmann::json& args, Index num_channels, Facts& facts) {
  const std::string& where = from.place();
  // What is falsy in Python counts as absent there.
  const auto has = [&](const char* key) {
    return from.has(key) && from.at(key) != "" && from.at(key) != 0 && from.at(key) != nlohmann::json::array();
  };
  const std::string filter = has("interpolation") ? from.text("interpolation") : "bicubic";
  if (has("interpolation"))
    from.expect(filter == "bilinear" || filter == "bicubic", "interpolation",
                "bilinear or bicubic, as all else is not supported");
  facts.interpolation.say(filter == "bicubic" ? Interpolation::bicubic : Interpolation::bilinear, where);
  const double crop_pct = has("crop_pct") ? from.number("crop_pct", 0, 1) : 0.875;
  if (has("crop_pct")) from.expect(crop_pct >= 0.1, "crop_pct", "0, or from 0.1 to 1");
  const std::string mode = has("crop_mode") ? from.text("crop_mode") : "center";
  if (has("crop_mode"))
    from.expect(mode == "center" || mode == "squash", "crop_mode", "center or squash, as all else is not supported");
  facts.crop.say({crop_pct, mode == "squash"}, where);
  facts.mean.say(
      has("mean") ? from.numbers("mean") : std::vector<real>(std::begin(imagenet_mean), std::end(imagenet_mean)),
      where);
  facts.std.say(has("std") ? from.numbers("std") : std::vector<real>(std::begin(imagenet_std), std::end(imagenet_std)),
                where);
  if (has("label_offset")) from.expect(false, "label_offset", "0, as all else is not supported");

  if (!has("input_size")) return;
  const nlohmann::json& size = from.at("input_size");
  const auto whole = [&](std::size_t i) {
    return size[i].is_number_unsigned() && size[i].get<std::uint64_t>() >= 1 && size[i].get<std::uint64_t>() <= 1 << 20;
  };
  from.expect(size.is_array() && size.size() == 3 && whole(0) && whole(1) && whole(2), "input_size",
              "channels, height and width");
  // Where model_args say channels and size, these go before.
  if (!args.contains("in_chans")) check_shape(where, "input channels", size[0].get<Index>(), num_channels);
  const bool fixed = from.has("fixed_input_size") && from.boolean("fixed_input_size");
  if (fixed && args.contains("img_size")) return;
  facts.pictures = {size[1].get<Index>(), size[2].get<Index>()};
  if (fixed) facts.trained_size.say(*facts.pictures, where);
}

const std::vector<const char*> of_pretrained_cfg{
    "input_size", "fixed_input_size", "interpolation", "crop_pct",    "crop_mode", "mean",
    "std",        "num_classes",      "label_names",   "label_offset"},
    no_matter{
        "url",         "file",         "state_dict",         "hf_hub_id",       "hf_hub_filename", "source",
        "tag",         "architecture", "custom_load",        "test_input_size", "min_input_size",  "test_crop_pct",
        "pool_size",   "first_conv",   "label_descriptions", "test_pool_size",  "classifier",      "license",
        "description", "origin_url",   "paper_name",         "paper_ids",       "notes",           "num_features"};

// The config's own parts. The first files had all in one; where they say nothing of pictures, that is not taken for
// timm's defaults.
struct Parts {
  const JsonObject& config;
  bool nested = config.has("pretrained_cfg"), has_args = config.has("model_args");
  bool flat = !nested && !has_args && (config.has("mean") || config.has("std") || config.has("input_size"));
  nlohmann::json given = has_args ? config.at("model_args") : nlohmann::json::object();

  void check_own_keys() const {
    std::vector<const char*> of_model{"architecture", "num_classes", "global_pool",   "label_names",
                                      "labels",       "model_args",  "pretrained_cfg"};
    if (config.has("model_type")) {  // transformers' wrapper of timm's models
      config.expect(config.text("model_type") == "timm_wrapper", "model_type",
                    "timm_wrapper, as these are timm's weights");
      check_values(config, {{"problem_type", "single_label_classification"}});
      of_model = joined(of_model, {"model_type", "architectures", "transformers_version", "dtype", "torch_dtype",
                                   "initializer_range", "do_pooling", "problem_type"});
    }
    check_keys(config, flat ? joined(of_model, of_pretrained_cfg) : of_model, no_matter);
  }

  // How pictures are prepared, the number of classes and their names.
  void read_pictures(const JsonObject& args, Index num_channels, Index num_classes, Facts& facts) const {
    const JsonObject pictures = nested ? config.object("pretrained_cfg") : config;
    if (nested) check_keys(pictures, of_pretrained_cfg, no_matter);
    if (nested || flat) read_pretrained_cfg(pictures, given, num_channels, facts);
    for (const JsonObject* from : {&args, &config, &pictures}) {
      if (num_classes == 0 || !from->has("num_classes")) continue;
      check_shape(from->place(), "num_classes", from->integer("num_classes"), num_classes);
      break;
    }
    for (const JsonObject* from : {&config, &pictures})
      for (const char* key : {"label_names", "labels"})
        if (from->has(key) && facts.class_names.empty()) facts.class_names = from->names(key);
  }
};

// The architecture of the config, which must be that of `name`, if that is not empty.
std::string architecture_of(const JsonObject& config, const std::string& name) {
  const std::string architecture = config.text("architecture");
  check(name.empty() || name.substr(0, name.find('.')) == architecture.substr(0, architecture.find('.')),
        "read_model_file", config.place(), ".architecture says ", Quoted{architecture}, ", but --weights ",
        Quoted{name});
  return architecture;
}

}  // namespace

bool read_timm(const JsonObject& config, const std::string& name, const VitWeights& weights, Facts& facts) {
  const Parts parts{config};
  parts.check_own_keys();
  std::optional<Published> model;
  const std::string where = config.place() + ".architecture";
  if (config.has("architecture")) {
    model = published(config.text("architecture"));
    config.expect(model || config.text("architecture").find("_rpn_") == std::string::npos, "architecture",
                  "another, as norms after the parts of a block are not supported");
    config.expect(model && model->origin == VitOrigin::timm, "architecture",
                  "a Vision Transformer of timm that is supported, such as vit_base_patch16_224");
    architecture_of(config, name);
  }

  ViTConfig said = model ? model->config : weights.config;
  const JsonObject args(parts.given, config.place() + ".model_args");
  read_model_args(args, weights, said, facts);
  check_shapes(where, said, weights);
  check_parts(where, said, weights);
  parts.read_pictures(args, weights.config.num_channels, weights.config.num_classes, facts);

  // The config's own global_pool is a remark that timm does not read.
  std::optional<Pool> pool = pool_of(args), remark = pool_of(config);
  if (pool) facts.pool.say(*pool, args.place());
  if (!pool && remark) {
    const bool agrees = !model || *remark == said.pool || (*remark == Pool::avg && weights.fc_norm);
    check(agrees, "read_model_file", config.place(),
          ".global_pool is not that of its architecture, nor of its model_args");
    pool = remark;
    facts.pool.say(*remark, config.place());
  }
  if (!pool && model) pool = said.pool;
  if (pool) {
    const bool before = model && said.pool == Pool::avg && said.head_norm == HeadNorm::tokens;
    const bool has_norm = weights.tensors.contains("head.0.weight"), fc = *pool == Pool::avg && !before;
    const bool norm = args.has("final_norm") ? args.boolean("final_norm") : !model || said.head_norm != HeadNorm::none;
    const bool fc_norm = norm && (args.has("fc_norm") ? args.boolean("fc_norm") : fc);
    check(fc_norm == weights.fc_norm, "read_model_file", config.place(), " says that the pooling is ", name_of(*pool),
          " and so that there is ", fc_norm ? "an" : "no", " fc_norm among the weights, but there is ",
          weights.fc_norm ? "one" : "none");
    check(has_norm == norm, "read_model_file", config.place(), " says that there is ", norm ? "a" : "no",
          " norm before the head, but among the weights there is ", has_norm ? "one" : "none");
    check((*pool == Pool::map) == weights.tensors.contains("attn_pool.latent"), "read_model_file", config.place(),
          " says that the pooling is ", name_of(*pool), ", which does not fit the weights");
  }
  if (model) say(*model, where, facts);
  return model.has_value();
}

bool read_timm(const JsonObject& config, const std::string& name, const ResNetWeights& weights, Facts& facts) {
  const Parts parts{config};
  parts.check_own_keys();
  const std::string where = config.place() + ".architecture";
  std::optional<PublishedResNet> model;
  if (config.has("architecture")) {
    model = published_resnet(architecture_of(config, name));
    config.expect(model && model->timm, "architecture", "resnet18 or resnet34, as these are a ResNet's weights");
    check_shape(where, "layers", model->layers, weights.layers);
    check_shape(where, "channels of the first stage", 64, weights.width());
  }
  const JsonObject args(parts.given, config.place() + ".model_args");
  const Index channels = weights.config.num_channels();
  check_keys(args, {"num_classes", "in_chans", "global_pool", "output_stride", "act_layer", "norm_layer", "aa_layer"},
             {"drop_rate", "drop_path_rate", "drop_block_rate", "zero_init_last"});
  check_values(args, {{"output_stride", 32}, {"act_layer", "relu"}, {"norm_layer", "batchnorm2d"}, {"aa_layer", ""}});
  for (const JsonObject* from : {&args, &config}) check_values(*from, {{"global_pool", "avg"}});
  if (args.has("in_chans")) check_shape(args.place(), "in_chans", args.integer("in_chans"), channels);
  parts.read_pictures(args, channels, weights.config.num_classes(), facts);
  if (facts.pictures) facts.trained_size.say(*facts.pictures, config.place());
  if (!model || !model->preprocess) return model.has_value();
  facts.trained_size.say(model->preprocess->size, where);
  say(*model->preprocess, where, facts);
  return true;
}

bool read_timm(const JsonObject& config, const std::string& name, const SwinWeights& weights, Facts& facts) {
  const Parts parts{config};
  parts.check_own_keys();
  const std::string where = config.place() + ".architecture";
  std::optional<PublishedSwin> model;
  if (config.has("architecture")) {
    model = published_swin(architecture_of(config, name));
    config.expect(model && model->config.form == SwinForm::timm, "architecture",
                  "a Swin Transformer of timm that is supported, such as swin_tiny_patch4_window7_224");
    check_shapes(where, model->config, weights);
  }
  const JsonObject args(parts.given, config.place() + ".model_args");
  check_keys(
      args,
      {"img_size", "in_chans", "num_classes", "global_pool", "always_partition", "strict_img_size", "dynamic_img_size"},
      {"drop_rate", "proj_drop_rate", "attn_drop_rate", "drop_path_rate", "weight_init"});
  check_values(args, {{"always_partition", false}, {"strict_img_size", true}, {"dynamic_img_size", false}});
  for (const JsonObject* from : {&args, &config}) check_values(*from, {{"global_pool", "avg"}});
  if (args.has("in_chans"))
    check_shape(args.place(), "in_chans", args.integer("in_chans"), weights.config.num_channels);
  if (args.has("img_size")) facts.trained_size.say(args.size("img_size"), args.place());
  parts.read_pictures(args, weights.config.num_channels, weights.config.num_classes, facts);
  if (facts.pictures) facts.trained_size.say(*facts.pictures, config.place());
  if (!model) return false;
  facts.trained_size.say(model->config.img_size, where);
  if (model->preprocess) say(*model->preprocess, where, facts);
  return true;
}

}  // namespace bobbin
