// From the sources of timm 1.0.31 and torchvision 0.29; tests/golden/make_published.py writes what the tests compare.
#include "nn/pretrained/published.h"

#include <sstream>

#include "nn/pretrained/facts.h"

namespace bobbin {
namespace {

constexpr real zeros[] = {0, 0, 0}, ones[] = {1, 1, 1}, half[] = {real(0.5), real(0.5), real(0.5)};

Preprocess prepared(Size2 size, Interpolation interpolation, double crop_pct, const real (&mean)[3],
                    const real (&std)[3]) {
  return {size, interpolation, crop_pct, {mean, mean + 3}, {std, std + 3}};
}

// --- timm -------------------------------------------------------------------------------------------------

// The architectures FAMILY_patchVARIANT. A variant begins with the size of patches and ends in that of images, or in
// :SIZE where the name does not have it; = stands for one that is not part of the name at all. All take eps 1e-6, GELU
// by erf and the class token, but for what the options say.
struct Family {
  const char* name;
  Index num_hiddens, mlp_num_hiddens;
  int num_blks, num_heads;
  const char *options, *variants;
};
constexpr Family families[] = {
    {"vit_tiny", 192, 768, 12, 3, "", "16_224 16_384"},
    {"vit_small", 384, 1536, 12, 6, "", "8_224 16_224 16_384 32_224 32_384"},
    {"vit_base", 768, 3072, 12, 12, "", "8_224 16_224 16_224_miil:224 16_384 32_224 32_384"},
    {"vit_large", 1024, 4096, 24, 16, "", "14_224 16_224 16_384 32_224 32_384"},
    {"vit_huge", 1280, 5120, 32, 16, "", "14_224"},
    {"vit_giant", 1408, 6144, 40, 16, "", "14_224"},
    {"vit_gigantic", 1664, 8192, 48, 16, "", "14_224"},
    {"vit_xsmall", 256, 1024, 10, 4, "clip", "16_clip_224"},
    {"vit_medium", 512, 2048, 12, 8, "clip", "16_clip_224 32_clip_224"},
    {"vit_betwixt", 640, 2560, 12, 10, "clip", "32_clip_224"},
    {"vit_base", 768, 3072, 12, 12, "clip", "16_clip_224 16_clip_384 32_clip_224 32_clip_256 32_clip_384 32_clip_448"},
    {"vit_base", 896, 3584, 12, 14, "clip", "16_plus_clip_240"},
    {"vit_large", 1024, 4096, 24, 16, "clip", "14_clip_224 14_clip_336"},
    {"vit_huge", 1280, 5120, 32, 16, "clip", "14_clip_224 14_clip_336 14_clip_378"},
    {"vit_giant", 1408, 6144, 40, 16, "clip", "14_clip_224"},
    {"vit_gigantic", 1664, 8192, 48, 16, "clip", "14_clip_224 14_clip_378"},
    {"vit_base", 768, 3072, 12, 12, "clip quick_gelu", "16_clip_quickgelu_224 32_clip_quickgelu_224"},
    {"vit_large", 1024, 4096, 24, 16, "clip quick_gelu", "14_clip_quickgelu_224 14_clip_quickgelu_336"},
    {"vit_huge", 1280, 5120, 32, 16, "clip quick_gelu", "14_clip_quickgelu_224 14_clip_quickgelu_378"},
    {"vit_gigantic", 1664, 8192, 48, 16, "clip quick_gelu", "14_clip_quickgelu_224"},
    {"vit_base", 768, 3072, 12, 12, "gelu_tanh no_class avg norm_first", "32_siglip_gap_256"},
    {"vit_large", 1024, 4096, 24, 16, "gelu_tanh no_class avg norm_first", "16_siglip_gap_512"},
    {"vit_so400m", 1152, 4304, 27, 16, "gelu_tanh no_class avg norm_first",
     "16_siglip_gap_256 16_siglip_gap_384 16_siglip_gap_512"},
    {"vit_giantopt", 1536, 6144, 40, 16, "gelu_tanh no_class avg norm_first", "16_siglip_gap_256 16_siglip_gap_384"},
    {"vit_base", 768, 3072, 12, 12, "gelu_tanh no_class map", "32_siglip_256"},
    {"vit_large", 1024, 4096, 24, 16, "gelu_tanh no_class map", "16_siglip_512"},
    {"vit_so400m", 1152, 4304, 27, 16, "gelu_tanh no_class map", "16_siglip_256 16_siglip_384 16_siglip_512"},
    {"vit_giantopt", 1536, 6144, 40, 16, "gelu_tanh no_class map", "16_siglip_256 16_siglip_384"},
    {"vit_small", 384, 1536, 12, 6, "layer_scale", "14_dinov2:518"},
    {"vit_small", 384, 1536, 36, 6, "layer_scale", "16_36x1_224"},
    {"vit_base", 768, 3072, 12, 12, "layer_scale", "14_dinov2:518"},
    {"vit_base", 896, 3584, 12, 14, "layer_scale", "16_plus_240 32_plus_256"},
    {"vit_large", 1024, 4096, 24, 16, "layer_scale", "14_dinov2:518"},
    {"vit_intern300m", 1024, 4096, 24, 16, "layer_scale no_norm", "14_448"},
    {"vit_base", 768, 3072, 12, 16, "no_class avg norm_first", "16_gap_224"},
    {"vit_base", 768, 3072, 12, 12, "no_class avg norm_first",
     "16_siglip_gap_224 16_siglip_gap_256 16_siglip_gap_384 16_siglip_gap_512"},
    {"vit_large", 1024, 4096, 24, 16, "no_class avg norm_first", "16_siglip_gap_256 16_siglip_gap_384"},
    {"vit_so400m", 1152, 4304, 27, 16, "no_class avg norm_first",
     "14_siglip_gap_224 14_siglip_gap_378 14_siglip_gap_384 14_siglip_gap_448 14_siglip_gap_896"},
    {"vit_huge", 1280, 5120, 32, 16, "no_class avg norm_first", "14_gap_224 16_gap_448"},
    {"vit_giant", 1408, 6144, 40, 16, "no_class avg norm_first", "16_gap_224"},
    {"vit_medium", 512, 2048, 12, 8, "no_class avg norm_first layer_scale", "16_gap_240 16_gap_256 16_gap_384"},
    {"vit_betwixt", 640, 2560, 12, 10, "no_class avg norm_first layer_scale", "16_gap_256"},
    {"vit_so150m", 896, 2304, 18, 14, "no_class avg norm_first reg4", "16_reg4_gap_256 16_reg4_gap_384"},
    {"vit_so150m2", 832, 2176, 21, 13, "no_class avg reg1 layer_scale",
     "16_reg1_gap_256 16_reg1_gap_384 16_reg1_gap_448"},
    {"vit_wee", 256, 1280, 14, 4, "no_class avg reg1 no_embed_class layer_scale", "16_reg1_gap_256"},
    {"vit_little", 320, 1792, 14, 5, "no_class avg reg1 no_embed_class layer_scale", "16_reg1_gap_256"},
    {"vit_medium", 512, 2048, 12, 8, "no_class avg reg1 no_embed_class layer_scale", "16_reg1_gap_256"},
    {"vit_betwixt", 640, 2560, 12, 10, "no_class avg reg1 no_embed_class layer_scale", "16_reg1_gap_256"},
    {"vit_base", 768, 3072, 12, 12, "no_class avg reg4 no_embed_class", "16_reg4_gap_256"},
    {"vit_little", 320, 1792, 14, 5, "no_class avg reg4 no_embed_class layer_scale", "16_reg4_gap_256"},
    {"vit_medium", 512, 2048, 12, 8, "no_class avg reg4 no_embed_class layer_scale", "16_reg4_gap_256"},
    {"vit_mediumd", 512, 2048, 20, 8, "no_class avg reg4 no_embed_class layer_scale",
     "16_reg4_gap_256 16_reg4_gap_384"},
    {"vit_betwixt", 640, 2560, 12, 10, "no_class avg reg4 no_embed_class layer_scale",
     "16_reg4_gap_256 16_reg4_gap_384"},
    {"vit_base", 768, 3072, 12, 12, "no_class map", "16_siglip_224 16_siglip_256 16_siglip_384 16_siglip_512"},
    {"vit_large", 1024, 4096, 24, 16, "no_class map", "16_siglip_256 16_siglip_384"},
    {"vit_so400m", 1152, 4304, 27, 16, "no_class map", "14_siglip_224 14_siglip_378 14_siglip_384"},
    {"vit_so150m", 896, 2304, 18, 14, "no_class map reg4", "16_reg4_map_256"},
    {"vit_base", 768, 3072, 12, 12, "reg1 no_embed_class layer_scale", "14_reg1_tipsv2:448"},
    {"vit_large", 1024, 4096, 24, 16, "reg1 no_embed_class layer_scale", "14_reg1_tipsv2:448"},
    {"vit_so400m", 1152, 4304, 27, 16, "reg1 no_embed_class layer_scale", "14_reg1_tipsv2:448"},
    {"vit_small", 384, 1536, 12, 6, "reg4 no_embed_class layer_scale", "14_reg4_dinov2:518"},
    {"vit_base", 768, 3072, 12, 12, "reg4 no_embed_class layer_scale", "14_reg4_dinov2:518"},
    {"vit_large", 1024, 4096, 24, 16, "reg4 no_embed_class layer_scale", "14_reg4_dinov2:518"},
    {"vit_base", 768, 3072, 12, 12, "reg7 no_embed_class layer_scale no_norm", "16_radio_v3:512"},
    {"vit_large", 1024, 4096, 24, 16, "reg7 no_embed_class layer_scale no_norm", "16_radio_v3:512"},
    {"vit_huge", 1280, 5120, 32, 16, "reg7 no_embed_class no_norm", "16_radio_v3:512"},
    {"vit_giant", 1536, 6144, 40, 24, "reg7 no_embed_class no_norm", "16_radio_v3:512"},
    {"vit_so400m", 1152, 4304, 27, 16, "reg9 no_embed_class no_norm", "16_radio_v4:512"},
    {"vit_huge", 1280, 5120, 32, 16, "reg9 no_embed_class no_norm", "16_radio_v4:512"},
    {"deit_tiny", 192, 768, 12, 3, "", "16_224"},
    {"deit_small", 384, 1536, 12, 6, "", "16_224"},
    {"deit_base", 768, 3072, 12, 12, "", "16_224 16_384"},
    {"deit_tiny_distilled", 192, 768, 12, 3, "distilled", "16_224"},
    {"deit_small_distilled", 384, 1536, 12, 6, "distilled", "16_224"},
    {"deit_base_distilled", 768, 3072, 12, 12, "distilled", "16_224 16_384"},
    {"deit3_small", 384, 1536, 12, 6, "no_embed_class layer_scale", "16_224 16_384"},
    {"deit3_medium", 512, 2048, 12, 8, "no_embed_class layer_scale", "16_224"},
    {"deit3_base", 768, 3072, 12, 12, "no_embed_class layer_scale", "16_224 16_384"},
    {"deit3_large", 1024, 4096, 24, 16, "no_embed_class layer_scale", "16_224 16_384"},
    {"deit3_huge", 1280, 5120, 32, 16, "no_embed_class layer_scale", "14_224"},
    {"eva_large", 1024, 4096, 24, 16, "avg", "14_196 14_336"},
    {"flexivit_small", 384, 1536, 12, 6, "no_embed_class", "=16_240"},
    {"flexivit_base", 768, 3072, 12, 12, "no_embed_class", "=16_240"},
    {"flexivit_large", 1024, 4096, 24, 16, "no_embed_class", "=16_240"},
    {"test_vit", 64, 192, 6, 2, "", "=16_160"},
    {"test_vit2", 64, 192, 8, 2, "no_class avg reg1 layer_scale", "=16_160"},
    {"test_vit3", 96, 192, 9, 3, "no_class map reg1 layer_scale include_prefix", "=16_160"},
};

void take(const std::string& option, ViTConfig& c) {
  if (option == "clip") c.pre_norm = true, c.layer_norm_eps = real(1e-5);
  if (option == "gelu_tanh") c.activation = Activation::gelu_tanh;
  if (option == "quick_gelu") c.activation = Activation::quick_gelu;
  if (option == "distilled") c.distilled = true;
  if (option == "no_class") c.class_token = false;
  if (option == "avg") c.pool = Pool::avg;
  if (option == "map") c.pool = Pool::map;
  if (option == "map" || option == "norm_first") c.head_norm = HeadNorm::tokens;
  if (option == "include_prefix") c.pool_include_prefix = true;
  if (option == "no_norm") c.head_norm = HeadNorm::none;
  if (option.starts_with("reg")) c.reg_tokens = option[3] - '0';
  if (option == "no_embed_class") c.no_embed_class = true;
  if (option == "layer_scale") c.layer_scale = 1;
}

// The tags of weights, each for the architectures whose names begin so. A crop_pct of 0 stands for 1 where images have
// 384 pixels, and for 0.9 where they have fewer.
struct Tag {
  const char *architecture, *name;
  double crop_pct;
  const real (&mean)[3], (&std)[3];
  Interpolation interpolation = Interpolation::bicubic;
};
constexpr Tag tags[] = {
    {"vit_", "augreg_in21k_ft_in1k", 0, half, half},
    {"vit_", "augreg_in21k", 0, half, half},
    {"vit_", "augreg_in1k", 0, half, half},
    {"vit_", "augreg2_in21k_ft_in1k", 0, half, half},
    {"vit_", "orig_in21k_ft_in1k", 0, half, half},
    {"vit_", "orig_in21k", 0, half, half},
    {"vit_", "sam_in1k", 0, half, half},
    {"vit_", "dino", 0, imagenet_mean, imagenet_std},
    {"vit_", "mae", 0, imagenet_mean, imagenet_std},
    {"vit_", "bamboo", 1, clip_mean, clip_std},
    {"vit_base_patch16_224_miil", "in21k", 0.875, zeros, ones, Interpolation::bilinear},
    {"vit_base_patch16_224_miil", "in21k_ft_in1k", 0.875, zeros, ones, Interpolation::bilinear},
    {"deit_", "fb_in1k", 0, imagenet_mean, imagenet_std},
    {"eva_", "in22k_ft_in1k", 1, clip_mean, clip_std},
    {"eva_", "in22k_ft_in22k_in1k", 1, clip_mean, clip_std},
    {"test_vit", "r160_in1k", 0.95, half, half},
};

std::optional<Published> timms(const std::string& name) {
  const std::string architecture = name.substr(0, name.find('.')), tag = name.substr(architecture.size());
  for (const Family& f : families) {
    const std::string family = f.name;
    std::istringstream variants(f.variants);
    for (std::string variant; variants >> variant;) {
      const std::string part = variant.substr(0, variant.find(':'));
      if (architecture != (part[0] == '=' ? family : family + "_patch" + part)) continue;
      const int patch = std::stoi(part.substr(part[0] == '='));
      const int size = std::stoi(variant.substr(variant.find_last_of("_:") + 1));
      const bool averages = family == "eva_large";
      Published model{name,
                      VitOrigin::timm,
                      {.img_size = size,
                       .patch_size = patch,
                       .num_hiddens = f.num_hiddens,
                       .mlp_num_hiddens = f.mlp_num_hiddens,
                       .num_heads = f.num_heads,
                       .num_blks = f.num_blks,
                       .layer_norm_eps = real(1e-6)}};
      std::istringstream options(f.options);
      for (std::string option; options >> option;) take(option, model.config);
      const bool has_tags = options.str().empty() || options.str() == "distilled" || options.str() == "avg";
      for (const Tag& t : tags) {
        if (!has_tags || !architecture.starts_with(t.architecture) || tag != std::string(".") + t.name) continue;
        const double crop_pct = t.crop_pct != 0 ? t.crop_pct : size == 384 ? 1 : 0.9;
        model.preprocess = prepared(size, t.interpolation, crop_pct, t.mean, t.std);
        model.preprocess->squash = averages && size == 336;
      }
      return model;
    }
  }
  return {};
}

// --- torchvision ------------------------------------------------------------------------------------------

// Its ten published weights: `weights` of models.`builder`. Pictures are resized until their shorter side is `resized`,
// and `size` is cut out.
struct Weights {
  const char *builder, *weights, *file;
  Index patch, size, resized;
  Interpolation interpolation;
};
constexpr Weights torchvisions[] = {
    {"b_16", "IMAGENET1K_V1", "-c867db91", 16, 224, 256, Interpolation::bilinear},
    {"b_16", "IMAGENET1K_SWAG_E2E_V1", "_swag-9ac1b537", 16, 384, 384, Interpolation::bicubic},
    {"b_16", "IMAGENET1K_SWAG_LINEAR_V1", "_lc_swag-4e70ced5", 16, 224, 224, Interpolation::bicubic},
    {"b_32", "IMAGENET1K_V1", "-d86f8d99", 32, 224, 256, Interpolation::bilinear},
    {"l_16", "IMAGENET1K_V1", "-852ce7e3", 16, 224, 242, Interpolation::bilinear},
    {"l_16", "IMAGENET1K_SWAG_E2E_V1", "_swag-4f3808c9", 16, 512, 512, Interpolation::bicubic},
    {"l_16", "IMAGENET1K_SWAG_LINEAR_V1", "_lc_swag-4d563306", 16, 224, 224, Interpolation::bicubic},
    {"l_32", "IMAGENET1K_V1", "-c7638314", 32, 224, 256, Interpolation::bilinear},
    {"h_14", "IMAGENET1K_SWAG_E2E_V1", "_swag-80465313", 14, 518, 518, Interpolation::bicubic},
    {"h_14", "IMAGENET1K_SWAG_LINEAR_V1", "_lc_swag-c1eb923e", 14, 224, 224, Interpolation::bicubic},
};

std::string upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

Published of(const Weights& w) {
  const bool base = *w.builder == 'b', large = *w.builder == 'l';
  const Index width = base ? 768 : large ? 1024 : 1280;
  const double crop_pct = share(w.size, w.resized);
  return {"ViT_" + upper(w.builder) + "_Weights." + w.weights,
          VitOrigin::torchvision,
          {.img_size = w.size,
           .patch_size = w.patch,
           .num_hiddens = width,
           .mlp_num_hiddens = 4 * width,
           .num_heads = base ? 12 : 16,
           .num_blks = base    ? 12
                       : large ? 24
                               : 32,
           .layer_norm_eps = real(1e-6)},
          prepared(w.size, w.interpolation, crop_pct, imagenet_mean, imagenet_std)};
}

}  // namespace

std::optional<Published> published(const std::string& name) {
  for (const Weights& w : torchvisions) {
    const std::string builder = std::string("vit_") + w.builder;
    if (name == "ViT_" + upper(w.builder) + "_Weights." + w.weights || name == builder + "." + w.weights ||
        name == builder + w.file)
      return of(w);
  }
  return timms(name);
}

std::vector<Published> torchvisions_like(const ViTConfig& c) {
  std::vector<Published> models;
  for (const Weights& w : torchvisions) {
    Published model = of(w);
    const ViTConfig& m = model.config;
    if (m.num_hiddens == c.num_hiddens && m.mlp_num_hiddens == c.mlp_num_hiddens && m.num_blks == c.num_blks &&
        m.patch_size == c.patch_size)
      models.push_back(std::move(model));
  }
  return models;
}

}  // namespace bobbin
