#pragma once
#include <map>
#include <optional>
#include <string>

#include "nn/models/vit.h"

/// Pretrained Vision Transformers of other libraries, under d2l.ai's names.
namespace bobbin {

/// The origin of the tensors' names: d2l's class in PyTorch, timm's VisionTransformer (ViT, DeiT), torchvision's
/// VisionTransformer, or transformers' ViT, DeiT, DINOv2, and vision towers of CLIP and SigLIP.
enum class VitOrigin { d2l, timm, torchvision, hugging_face };

/// What the weights do not say: neither their names nor their shapes do.
struct VitHints {
  std::optional<int> num_heads{};
  std::optional<Pool> pool{};
  std::optional<real> layer_norm_eps{};
  std::optional<Activation> activation{};
  /// The size of the images that the position embeddings are for: 36 patches are 4 x 9 as well as 6 x 6.
  std::optional<Size2> trained_size{};
  bool pool_include_prefix = false;  ///< see ViTConfig
};

struct VitWeights {
  VitOrigin origin;
  ViTConfig config;                       ///< without dropout
  std::map<std::string, Tensor> tensors;  ///< under the names of ViT's parameters; others keep theirs
  Index num_patches;                      ///< that have position embeddings
  bool fc_norm;                           ///< timm's norm after the pooling, in place of the one before
  bool clip = false;                      ///< of transformers: the vision tower of CLIP or SigLIP

  Index num_positions() const { return num_patches + (config.no_embed_class ? 0 : config.prefix_tokens()); }
  /// That positions are those of the patches alone, or not: what their number is then.
  void set_no_embed_class(bool alone) {
    num_patches = num_positions() - (alone ? 0 : config.prefix_tokens());
    config.no_embed_class = alone;
  }
};

/// Whether a ViT of one of the four has a weight of this name, unwrapped.
bool is_vit_weight(const std::string& name);

/// Throws Error if none of the four has such names.
VitOrigin vit_origin(const std::map<std::string, Tensor>& tensors);

/// Recognises the weights by their names, gives them d2l's, cuts what is stored as one (qkv) in three, and
/// finds the model's sizes in the shapes. Where the biases of a layer are left out of all blocks, they become zeros,
/// and so does the patches' where a norm follows. Of a distilled model with one head, as transformers'
/// DeiTForImageClassification, the logits are that head's: the mean of twice its numbers and zeros. Without a head
/// num_classes is 0. The config has no heads and no image size yet, and d2l's pooling, eps and activation, and takes it
/// that tokens before the patches have positions: set_hints() has the last word.
/// Throws Error as vit_origin() does, and where shapes contradict each other.
VitWeights name_weights(const std::map<std::string, Tensor>& tensors);

/// What the code of the origin does not leave open: d2l's class takes the class token, eps 1e-5 and GELU; torchvision's
/// the class token, 1e-6, GELU and squares; timm's that there is attention pooling. transformers' classes pool the
/// class token; DINOv2's classifier beside it the mean; SigLIP's attention; CLIP's and SigLIP's classifiers and I-JEPA
/// the mean.
VitHints fixed_by_code(const VitWeights& weights);

/// Completes the config, and leaves out weights that its pooling has no use for. Throws Error where a hint is missing,
/// and where the trained size does not fit the number of patches.
void set_hints(VitWeights& weights, const VitHints& hints);

/// All of this: `hints` come before what is fixed by code.
VitWeights vit_weights(const std::map<std::string, Tensor>& tensors, const VitHints& hints = {});

/// The other way round: the tensors of a ViT under the names of another library, queries, keys and values as one where
/// it has them so. DINOv2's are those of transformers where there is LayerScale.
std::map<std::string, Tensor> names_for(VitOrigin library, const std::map<std::string, Tensor>& tensors);

/// Converts the weights to those of a model for images of another size: the position embeddings of the patches are
/// resized as an image, the others stay. Throws Error if there are none, or if the patch size does not divide the
/// image size.
void set_img_size(ViTConfig& config, std::map<std::string, Tensor>& tensors, Size2 img_size);

/// Position embeddings (1, n + from.height·from.width, C) of n tokens and a grid of patches, for another grid: resized
/// as an image by bicubic interpolation (a = -1/2) with antialiasing, as timm's resample_abs_pos_embed.
Tensor resize_positions(const Tensor& positions, Size2 from, Size2 to);

}  // namespace bobbin
