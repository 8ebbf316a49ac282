#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/images/preprocess.h"
#include "nn/pretrained/vit_weights.h"

namespace bobbin {

/// All that it takes to say what is in a picture.
struct Classifier {
  ViT model;
  std::vector<std::string> class_names;  ///< one for each logit
  Preprocess preprocess;
};

/// The same as a file has it, before a model is made of it: to be given another size, or another head.
struct ModelFile {
  VitWeights weights;
  std::vector<std::string> class_names;
  Preprocess preprocess;
};

/// What our files say about a model, as text in their metadata.
struct ModelDescription {
  ViTConfig config;
  std::vector<std::string> class_names;  ///< one for each class
  Preprocess preprocess;                 ///< its size is config.img_size
};

/// What a file does not say, or what is to be otherwise.
struct ModelFileOptions {
  int num_heads = 0;                ///< 0: as the file says, or else as VitHints
  std::optional<Size2> img_size{};  ///< other images than the model was trained on; see set_img_size()
  std::optional<Interpolation> interpolation{};
  std::optional<double> crop_pct{};
  std::optional<std::vector<real>> mean{}, std{};  ///< one number is for all channels
};

/// The text of a ModelDescription, which our files have under the key "bobbin" of their metadata: JSON with `config`,
/// `class_names` and `preprocess`. Throws Error unless there is a name for each class and preprocess.size is the
/// model's image size.
std::string describe_model(const ViTConfig& config, const std::vector<std::string>& class_names,
                           const Preprocess& preprocess);

/// Reads what describe_model() writes. `place` says in errors where the text is from.
/// Throws Error for whatever is wrong with it; whether a model of this config could be made, the text cannot prove.
ModelDescription read_description(const std::string& json, const std::string& place);

/// Writes a safetensors file of the model's parameters under the chapter's names, which PyTorch loads into the
/// chapter's class, with describe_model() in its metadata.
void write_classifier(const std::filesystem::path& path, ViT& model, const std::vector<std::string>& class_names,
                      const Preprocess& preprocess);

/// Reads a file of ours, or one of the origins that vit_weights() knows. What such a file does not say comes from
/// the config.json beside it, if it is timm's or transformers', and how pictures are prepared from what timm has there
/// and transformers in preprocessor_config.json. Without these it is a guess, what is usual there:
///
/// | origin                   | says it in               | else a guess: resized by | mean, deviation (3 channels) |
/// |--------------------------|--------------------------|--------------------------|------------------------------|
/// | timm                     | config.json              | bicubic, crop_pct 0.9    | 0.5, 0.5                     |
/// | timm, DeiT (distilled)   | config.json              | bicubic, crop_pct 0.9    | ImageNet's                   |
/// | torchvision              | nowhere                  | bilinear, crop_pct 0.875 | ImageNet's                   |
/// | transformers             | preprocessor_config.json | bilinear, squashed       | 0.5, 0.5                     |
/// | the chapter              | nowhere                  | bilinear, squashed       | none                         |
///
/// A DeiT that is not distilled cannot be told from a ViT without these files. Where transformers would cut half a
/// pixel more off one side than off the other, the cut may be at torchvision's place, a pixel from transformers'.
/// Classes without names are "0", "1", ... Throws Error, which names the file, for whatever is wrong with it.
ModelFile read_model_file(const std::filesystem::path& path, const ModelFileOptions& options = {});

/// The same with its model, in evaluation mode.
Classifier read_classifier(const std::filesystem::path& path, const ModelFileOptions& options = {});

}  // namespace bobbin
