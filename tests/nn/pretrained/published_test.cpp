#include "nn/pretrained/published.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "nn/pretrained/facts.h"
#include "tests/helpers.h"

using namespace bobbin;

TEST_CASE("published: what timm and torchvision say of their models") {
  std::ifstream lines("tests/golden/published.txt");  // written by make_foreign.py
  int models = 0, prepared = 0;
  for (std::string line; std::getline(lines, line); ++models) {
    CAPTURE(line);
    std::istringstream words(line);
    std::string name, pool, filter;
    Index height = 0, width = 0, patch_height = 0, patch_width = 0, num_hiddens = 0, mlp = 0;
    int blocks = 0, heads = 0;
    bool distilled = false;
    words >> name >> height >> width >> patch_height >> patch_width >> num_hiddens >> mlp >> blocks >> heads >> pool >>
        distilled;
    const std::optional<Published> got = published(name);
    REQUIRE(got);
    const bool torchvision = name.starts_with("ViT_") || name.starts_with("vit_b_") || name.starts_with("vit_l_") ||
                             name.starts_with("vit_h_");
    CHECK(got->origin == (torchvision ? VitOrigin::torchvision : VitOrigin::timm));
    const ViTConfig& c = got->config;
    CHECK(c.img_size == Size2(height, width));
    CHECK(c.patch_size == Size2(patch_height, patch_width));
    CHECK(c.num_hiddens == num_hiddens);
    CHECK(c.mlp_num_hiddens == mlp);
    CHECK(c.num_blks == blocks);
    CHECK(c.num_heads == heads);
    CHECK(c.pool == (pool == "avg" ? Pool::avg : Pool::token));
    CHECK(c.distilled == distilled);
    CHECK(c.layer_norm_eps == real(1e-6));
    CHECK(c.activation == Activation::gelu);
    words >> filter;
    CHECK(got->preprocess.has_value() == !words.fail());  // a name without a tag does not say it
    if (words.fail() || !got->preprocess) continue;
    double uncut = 0;
    bool squash = false;
    words >> uncut >> squash;
    const Preprocess& p = *got->preprocess;
    CHECK(p.size == c.img_size);
    CHECK(p.interpolation == (filter == "bicubic" ? Interpolation::bicubic : Interpolation::bilinear));
    CHECK(std::floor(static_cast<double>(height) / p.crop_pct) == uncut);
    CHECK(p.squash == squash);
    for (const std::vector<real>& numbers : {p.mean, p.std})
      for (const real got_number : numbers) {
        double number = -1;
        words >> number;
        CHECK(got_number == static_cast<real>(number));
      }
    CHECK(p.mean.size() == 3);
    CHECK(p.std.size() == 3);
    ++prepared;
  }
  CHECK(models == 123);
  CHECK(prepared == 91);
}

TEST_CASE("published: timm's models with parts that d2l's has not") {
  std::ifstream lines("tests/golden/published_others.txt");  // written by make_foreign.py
  int models = 0;
  for (std::string line; std::getline(lines, line); ++models) {
    CAPTURE(line);
    std::istringstream words(line);
    std::string name, pool;
    Index height = 0, width = 0, patch_height = 0, patch_width = 0, num_hiddens = 0, mlp = 0, registers = 0;
    int blocks = 0, heads = 0, act = 0, norm = 0;
    double eps = 0;
    bool class_token = false, no_embed_class = false, pre_norm = false, layer_scale = false, include_prefix = false;
    words >> name >> height >> width >> patch_height >> patch_width >> num_hiddens >> mlp >> blocks >> heads >> pool;
    words >> eps >> act >> class_token >> registers >> no_embed_class >> pre_norm >> layer_scale >> norm >>
        include_prefix;
    REQUIRE(!words.fail());
    const std::optional<Published> got = published(name);
    REQUIRE(got);
    const ViTConfig& c = got->config;
    CHECK(c.img_size == Size2(height, width));
    CHECK(c.patch_size == Size2(patch_height, patch_width));
    CHECK(c.num_hiddens == num_hiddens);
    CHECK(c.mlp_num_hiddens == mlp);
    CHECK(c.num_blks == blocks);
    CHECK(c.num_heads == heads);
    CHECK(c.pool == (pool == "avg" ? Pool::avg : pool == "map" ? Pool::map : Pool::token));
    CHECK(c.layer_norm_eps == static_cast<real>(eps));
    CHECK(c.activation == static_cast<Activation>(act));
    CHECK(c.class_token == class_token);
    CHECK(c.reg_tokens == registers);
    CHECK(c.no_embed_class == no_embed_class);
    CHECK(c.pre_norm == pre_norm);
    CHECK((c.layer_scale != 0) == layer_scale);
    CHECK(c.head_norm == static_cast<HeadNorm>(norm));
    CHECK(c.pool_include_prefix == include_prefix);
    CHECK(!got->preprocess);
  }
  CHECK(models == 117);
}

TEST_CASE("published: other names are none") {
  for (const char* name : {"", "model", "vit_tiny", "vit_tiny_patch16", "vit_tiny_patch16_225", "vit_tiny_patch16_224x",
                           "vit_giant_patch14_dinov2", "vit_base_patch16_rpn_224", "flexivit_base_patch16",
                           "aimv2_large_patch14_224", "ViT_B_16_Weights", "ViT_B_16_Weights.IMAGENET1K_V2", "vit_b_16"})
    CHECK(!published(name));
  CHECK(published("vit_tiny_patch16_224.mine"));
  CHECK(!published("vit_tiny_patch16_224.mine")->preprocess);  // a tag that timm does not have
  CHECK(!published("deit_tiny_patch16_224.augreg_in1k")->preprocess);
}

TEST_CASE("published: torchvision's by their shapes") {
  const auto like = [](const char* name) { return torchvisions_like(published(name)->config).size(); };
  CHECK(like("vit_b_16.IMAGENET1K_V1") == 3);
  CHECK(like("vit_b_32.IMAGENET1K_V1") == 1);
  CHECK(like("vit_l_16.IMAGENET1K_V1") == 3);
  CHECK(like("vit_h_14.IMAGENET1K_SWAG_E2E_V1") == 2);
  CHECK(like("vit_tiny_patch16_224") == 0);
}
