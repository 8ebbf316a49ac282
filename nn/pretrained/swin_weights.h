#pragma once
#include <map>
#include <optional>
#include <string>

#include "data/images/preprocess.h"
#include "nn/models/swin.h"

/// Pretrained Swin Transformers of other libraries: timm's and torchvision's, whose names ours are, and those of
/// Microsoft, who published them first.
namespace bobbin {

/// The origin of the tensors' names. Microsoft's stages end with the merging that timm's begin with, and their head is
/// called otherwise; so are those of timm before 0.9.
enum class SwinOrigin { timm, torchvision, microsoft };

struct SwinWeights {
  SwinOrigin origin;
  SwinConfig config;                      ///< of this model, but for the size of images
  std::map<std::string, Tensor> tensors;  ///< under the names of its parameters; others keep theirs
};

/// Whether these are a Swin Transformer's names. False for those that swin_weights() knows nothing of.
bool is_swin(const std::map<std::string, Tensor>& tensors);

/// Whether one of the three has a weight of this name, unwrapped.
bool is_swin_weight(const std::string& name);

/// Recognises the weights by their names and finds the model's sizes in the shapes. Without a head num_classes is 0.
/// Throws Error where a layer is missing that tells them, and for windows that are not square.
SwinWeights swin_weights(const std::map<std::string, Tensor>& tensors);

/// What the name of a published Swin Transformer says.
struct PublishedSwin {
  std::string name;
  SwinConfig config;                       ///< but for channels and classes
  std::optional<Preprocess> preprocess{};  ///< nothing: the tag of its weights is not known
};

/// The Swin Transformer of this name. timm: swin_{tiny,small,base,large}_patch4_window7_224 and the two of
/// window12_384, with or without the tag of their weights. torchvision: Swin_T_Weights.IMAGENET1K_V1,
/// swin_t.IMAGENET1K_V1, or its file's name, swin_t-704ceda3, and of S and B. Nothing if there is none.
std::optional<PublishedSwin> published_swin(const std::string& name);

}  // namespace bobbin
