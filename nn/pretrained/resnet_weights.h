#pragma once
#include <map>
#include <optional>
#include <string>

#include "data/images/preprocess.h"
#include "nn/models/any_model.h"

/// Pretrained ResNets of other libraries: torchvision's and timm's, whose names ours are, and transformers'.
namespace bobbin {

/// The origin of the tensors' names: d2l's class in PyTorch; torchvision's ResNet or timm's, which have the same;
/// transformers' ResNetForImageClassification.
enum class ResNetOrigin { d2l, torchvision, hugging_face };

struct ResNetWeights {
  ResNetOrigin origin;
  int layers;                             ///< 18 or 34
  AnyConfig config;                       ///< of this ResNet, but for the size of images
  std::map<std::string, Tensor> tensors;  ///< under the names of its parameters and buffers; others keep theirs

  Index width() const {
    return layers == 18 ? config.as<ResNetConfig<18>>()->width : config.as<ResNetConfig<34>>()->width;
  }
};

/// Whether these are a ResNet's names. False for those that resnet_weights() knows nothing of.
bool is_resnet(const std::map<std::string, Tensor>& tensors);

/// Whether a ResNet of one of the three has a weight or a statistic of this name, unwrapped.
bool is_resnet_weight(const std::string& name);

/// Recognises the weights by their names and finds the model's sizes in the shapes. Without a head num_classes is 0.
/// Throws Error for blocks of three convolutions (ResNet-50 and deeper), for other numbers of blocks than those of 18
/// and 34 layers, and where the first convolution is missing.
ResNetWeights resnet_weights(const std::map<std::string, Tensor>& tensors);

/// What the name of a published ResNet says.
struct PublishedResNet {
  std::string name;
  bool timm;  ///< else torchvision's
  int layers;
  std::optional<Preprocess> preprocess{};  ///< nothing: the name stands for several, prepared in different ways
};

/// The ResNet of this name. timm: resnet18, or with the tag of its weights, resnet18.a1_in1k, which says how pictures
/// are prepared. torchvision: ResNet18_Weights.IMAGENET1K_V1, resnet18.IMAGENET1K_V1, or its file's name,
/// resnet18-f37072fd. Nothing if there is none.
std::optional<PublishedResNet> published_resnet(const std::string& name);

}  // namespace bobbin
