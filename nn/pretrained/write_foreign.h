#pragma once
#include <map>
#include <string>

#include "nn/pretrained/model_file.h"
#include "nn/pretrained/vit_weights.h"

namespace bobbin {

/// A ViT as another library has it.
struct ForeignModel {
  NamedTensors tensors;                      ///< under its names
  std::map<std::string, std::string> files;  ///< beside them: "config.json" and its content
  std::string python;                        ///< the line that loads them there; DIR is their folder
};

/// Our ViT for timm, torchvision or transformers, which give the same logits. What a library's model cannot leave out
/// is zeros: biases, positions of the class token. transformers' class is ViT, with a distillation token DeiT, with
/// LayerScale DINOv2. Throws Error, which says why, for a model that the library does not have.
ForeignModel for_library(VitOrigin library, const ModelFile& file);

}  // namespace bobbin
