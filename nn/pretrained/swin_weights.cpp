#include "nn/pretrained/swin_weights.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "nn/pretrained/facts.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

using Tensors = std::map<std::string, Tensor>;

// The beginning of the names of block i of a stage, and what the two libraries call a layer that both have.
std::string block(SwinForm form, std::size_t stage, Index i) {
  return form == SwinForm::timm ? "layers." + std::to_string(stage) + ".blocks." + std::to_string(i) + "."
                                : "features." + std::to_string(2 * stage + 1) + "." + std::to_string(i) + ".";
}
const char* name_in(SwinForm form, const char* timm, const char* torchvision) {
  return form == SwinForm::timm ? timm : torchvision;
}

constexpr const char* table = "attn.relative_position_bias_table";

// Microsoft's names as timm's: "layers.0.downsample." is "layers.1.downsample." there, "head." is "head.fc.".
std::string timms(const std::string& name) {
  constexpr std::string_view layers = "layers.", downsample = ".downsample.";
  if (name.starts_with("head.")) return "head.fc." + name.substr(5);
  const auto dot = name.find('.', layers.size());
  if (!name.starts_with(layers) || dot != layers.size() + 1 || name.compare(dot, downsample.size(), downsample) != 0)
    return name;
  return "layers." + std::string(1, static_cast<char>(name[layers.size()] + 1)) + name.substr(dot);
}

// The ratio by which mlp_dim() makes `hidden` of `dim`.
real ratio_of(Index hidden, Index dim) {
  const real ratio = static_cast<real>(hidden) / static_cast<real>(dim);
  const bool cut = static_cast<Index>(static_cast<real>(dim) * ratio) < hidden;
  return cut ? std::nextafter(ratio, std::numeric_limits<real>::max()) : ratio;
}

}  // namespace

bool is_swin(const Tensors& tensors) {
  return tensors.contains(block(SwinForm::timm, 0, 0) + table) ||
         tensors.contains(block(SwinForm::torchvision, 0, 0) + table);
}

bool is_swin_weight(const std::string& name) {
  constexpr std::string_view layers[] = {"patch_embed.", "layers.", "features.", "norm.", "head."},
                             tensors[] = {".weight", ".bias", ".relative_position_bias_table"};
  return std::any_of(std::begin(layers), std::end(layers), [&](auto layer) { return name.starts_with(layer); }) &&
         std::any_of(std::begin(tensors), std::end(tensors), [&](auto end) { return name.ends_with(end); });
}

SwinWeights swin_weights(const Tensors& given) {
  check(is_swin(given), "swin_weights", "these are not weights of a Swin Transformer: among ", given.size(),
        " tensors there is no layers.0.blocks.0.", table);
  SwinWeights weights{SwinOrigin::timm, {}, given};
  SwinConfig& config = weights.config;
  if (given.contains(block(SwinForm::torchvision, 0, 0) + table)) {
    weights.origin = SwinOrigin::torchvision;
    config.form = SwinForm::torchvision;
  } else if (given.contains("layers.0.downsample.reduction.weight") || given.contains("head.weight")) {
    weights.origin = SwinOrigin::microsoft;
    weights.tensors.clear();
    for (const auto& [name, tensor] : given)
      check(weights.tensors.emplace(timms(name), tensor).second, "swin_weights", "two tensors are the ",
            Quoted{timms(name)}, " of the model");
  }
  const Tensors& tensors = weights.tensors;
  const auto need = [&](const std::string& name, int rank) {
    const auto tensor = tensors.find(name);
    check(tensor != tensors.end(), "swin_weights", "there is no ", name, " among the weights of this Swin Transformer");
    const Shape& shape = tensor->second.shape();
    check(shape.rank() == rank && tensor->second.size() > 0, "swin_weights", name, " should have ", rank,
          " axes, but its shape is ", shape);
    return shape;
  };
  const SwinForm form = config.form;
  const Shape kernels = need(name_in(form, "patch_embed.proj.weight", "features.0.0.weight"), 4);
  config.embed_dim = kernels[0];
  config.num_channels = kernels[1];
  config.patch_size = {kernels[2], kernels[3]};
  config.depths.clear();
  config.num_heads.clear();
  for (std::size_t stage = 0; tensors.contains(block(form, stage, 0) + table); ++stage) {
    Index depth = 0;
    while (tensors.contains(block(form, stage, depth) + table)) ++depth;
    config.depths.push_back(depth);
    config.num_heads.push_back(need(block(form, stage, 0) + table, 2)[1]);
  }
  const Index rows = need(block(form, 0, 0) + table, 2)[0];
  const auto side = static_cast<Index>(std::lround(std::sqrt(static_cast<double>(rows))));
  check(side * side == rows && side % 2 == 1 && side <= 127, "swin_weights", block(form, 0, 0), table, " has ", rows,
        " rows, which are not (2w - 1)² of a square window of w x w tokens, 64 x 64 at most: others are not supported");
  config.window_size = (side + 1) / 2;
  const Shape fc1 = need(block(form, 0, 0) + name_in(form, "mlp.fc1.weight", "mlp.0.weight"), 2);
  config.mlp_ratio = ratio_of(fc1[0], fc1[1]);
  const char* head = name_in(form, "head.fc.weight", "head.weight");
  config.num_classes = tensors.contains(head) ? need(head, 2)[0] : 0;
  return weights;
}

// --- Published models -------------------------------------------------------------------------------------

namespace {

SwinConfig config_of(SwinForm form, Index size, Index window, Index embed_dim, Index third) {
  const Index heads = embed_dim / 32;
  return {.form = form,
          .img_size = size,
          .embed_dim = embed_dim,
          .depths = {2, 2, third, 2},
          .num_heads = {heads, 2 * heads, 4 * heads, 8 * heads},
          .window_size = window};
}

Preprocess prepared(Index size, double crop_pct) {
  return {size,
          Interpolation::bicubic,
          crop_pct,
          {std::begin(imagenet_mean), std::end(imagenet_mean)},
          {std::begin(imagenet_std), std::end(imagenet_std)}};
}

}  // namespace

std::optional<PublishedSwin> published_swin(const std::string& name) {
  constexpr struct {
    const char* name;
    Index embed_dim, third;  // channels, and blocks of the third stage
    bool large;              // there is one of 384 pixels, too
  } of_timm[] = {{"tiny", 96, 6, false}, {"small", 96, 18, false}, {"base", 128, 18, true}, {"large", 192, 18, true}};
  const auto dot = std::min(name.find('.'), name.size());
  const std::string architecture = name.substr(0, dot), tag = name.substr(dot);
  for (const auto& model : of_timm)
    for (const bool large : {false, true}) {
      if (large && !model.large) continue;
      const char* rest = large ? "_patch4_window12_384" : "_patch4_window7_224";
      if (architecture != std::string("swin_") + model.name + rest) continue;
      const Index size = large ? 384 : 224;
      PublishedSwin swin{name, config_of(SwinForm::timm, size, large ? 12 : 7, model.embed_dim, model.third)};
      if (tag.empty() || tag == ".ms_in1k" || tag == ".ms_in22k" || tag == ".ms_in22k_ft_in1k")
        swin.preprocess = prepared(size, large ? 1 : 0.9);  // the same for all of them
      return swin;
    }
  constexpr struct {
    char small, large;
    const char* hash;  // in the name of the published file
    Index embed_dim, third, resized;
  } of_torchvision[] = {
      {'t', 'T', "704ceda3", 96, 6, 232}, {'s', 'S', "5e29d889", 96, 18, 246}, {'b', 'B', "68c6b09e", 128, 18, 238}};
  for (const auto& model : of_torchvision) {
    const std::string builder = std::string("swin_") + model.small;
    if (name == std::string("Swin_") + model.large + "_Weights.IMAGENET1K_V1" || name == builder + ".IMAGENET1K_V1" ||
        name == builder + "-" + model.hash)
      return PublishedSwin{name, config_of(SwinForm::torchvision, 224, 7, model.embed_dim, model.third),
                           prepared(224, share(224, model.resized))};
  }
  return {};
}

}  // namespace bobbin
