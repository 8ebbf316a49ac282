#pragma once
#include <optional>
#include <string>
#include <vector>

#include "data/images/preprocess.h"
#include "nn/pretrained/vit_weights.h"

namespace bobbin {

/// Mean and deviation of ImageNet's pixels, from 0 to 1: red, green, blue.
inline constexpr real imagenet_mean[] = {real(0.485), real(0.456), real(0.406)},
                      imagenet_std[] = {real(0.229), real(0.224), real(0.225)};
/// Those that CLIP was trained with.
inline constexpr real clip_mean[] = {real(0.48145466), real(0.4578275), real(0.40821073)},
                      clip_std[] = {real(0.26862954), real(0.26130258), real(0.27577711)};

/// What the name of a published Vision Transformer says.
struct Published {
  std::string name;
  VitOrigin origin;
  ViTConfig config;  ///< but for channels, classes and biases, which the weights say; any LayerScale is 1
  std::optional<Preprocess> preprocess{};  ///< nothing: the name stands for several, prepared in different ways
};

/// The model of this name. timm: an architecture of its VisionTransformer, vit_base_patch16_224, or with the tag of its
/// weights, vit_base_patch16_224.augreg_in21k_ft_in1k, which says how pictures are prepared. torchvision: weights,
/// ViT_B_16_Weights.IMAGENET1K_V1 or vit_b_16.IMAGENET1K_V1, or its file's name, vit_b_16-c867db91. Nothing if there is
/// none, or if this library has no such model: see README.md there for the list.
std::optional<Published> published(const std::string& name);

/// torchvision's published models of this architecture, patches and all.
std::vector<Published> torchvisions_like(const ViTConfig& config);

}  // namespace bobbin
