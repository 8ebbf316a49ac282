#pragma once
#include <map>
#include <optional>
#include <string>

#include "nn/models/vit.h"

/// Pretrained Vision Transformers of other libraries, under d2l.ai's names.
namespace bobbin {

/// The origin of the tensors' names: d2l's class in PyTorch, timm's VisionTransformer (ViT, DeiT), torchvision's
/// VisionTransformer, or transformers' ViTForImageClassification.
enum class VitOrigin { d2l, timm, torchvision, hugging_face };

/// What the shapes of the weights do not say.
struct VitHints {
  /// 0: heads of width 64, and for widths of 1152, 1280, 1408 and 1664 16 heads, as in all published models.
  int num_heads = 0;
  /// 0: that of the origin; 1e-5 in d2l, 1e-6 in timm and torchvision, 1e-12 in transformers.
  real layer_norm_eps = 0;
  /// The size of the images that the position embeddings are for. Nothing: a square, or img_size if it is none.
  std::optional<Size2> trained_size{};
  /// The size of the images that the model shall see; see set_img_size(). Nothing: as it was trained.
  std::optional<Size2> img_size{};
};

struct VitWeights {
  VitOrigin origin;
  ViTConfig config;                       ///< without dropout
  std::map<std::string, Tensor> tensors;  ///< under the names of ViT's parameters; others keep theirs
};

/// Throws Error if none of the four has such names.
VitOrigin vit_origin(const std::map<std::string, Tensor>& tensors);

/// Recognises the weights by their names, gives them d2l's, cuts what is stored as one (qkv) in three, and
/// finds the model's sizes in the shapes. Where timm leaves out the biases of qkv only, they become zeros.
/// Throws Error as vit_origin() does, where shapes contradict each other, and where a hint is missing.
VitWeights vit_weights(std::map<std::string, Tensor> tensors, const VitHints& hints = {});

/// Converts the weights to those of a model for images of another size: the position embeddings of the patches are
/// resized as an image, the others stay. Throws Error if there are none, or if the patch size does not divide the
/// image size.
void set_img_size(ViTConfig& config, std::map<std::string, Tensor>& tensors, Size2 img_size);

/// Position embeddings (1, n + from.height·from.width, C) of n tokens and a grid of patches, for another grid: resized
/// as an image by bicubic interpolation (a = -1/2) with antialiasing, as timm's resample_abs_pos_embed.
Tensor resize_positions(const Tensor& positions, Size2 from, Size2 to);

}  // namespace bobbin
