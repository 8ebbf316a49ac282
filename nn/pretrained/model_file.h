#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/files/safetensors.h"
#include "data/images/preprocess.h"
#include "nn/models/any_model.h"

/// A model in one file: its weights under PyTorch's names, and in the metadata what it takes to use them.
namespace bobbin {

/// What our files say about a model, as text in their metadata.
struct ModelDescription {
  AnyConfig config;
  std::vector<std::string> class_names;  ///< one for each class
  Preprocess preprocess;                 ///< its size is the config's img_size
};

/// A file of a model, before a model is made of it: to be given another size, or another head.
struct ModelFile {
  AnyConfig config;
  NamedTensors tensors;
  std::vector<std::string> class_names;
  Preprocess preprocess;
};

/// All that it takes to say what is in a picture.
struct Classifier {
  AnyModel model;
  std::vector<std::string> class_names;  ///< one for each logit
  Preprocess preprocess;
};

/// What a file does not say, or what is to be otherwise.
struct ModelFileOptions {
  int num_heads = 0;                ///< of a ViT; 0: as the file says, or else as VitHints
  std::optional<Size2> img_size{};  ///< of a ViT: other images than it was trained on; see set_img_size()
  std::optional<Interpolation> interpolation{};
  std::optional<double> crop_pct{};
  std::optional<std::vector<real>> mean{}, std{};  ///< one number is for all channels
};

/// The text of a description, which our files have under the key "bobbin" of their metadata: JSON with `model`, the
/// model's name, its `config`, `class_names` and `preprocess`. Throws Error unless there is a name for each class and
/// preprocess.size is the model's image size.
std::string describe_model(const ModelDescription& description);

/// Reads what describe_model() writes; without `model`, as in the first files, it is a ViT. `place` says in errors
/// where the text is from. Throws Error for whatever is wrong with it; whether a model of this config could be made,
/// the text cannot prove.
ModelDescription read_description(const std::string& json, const std::string& place);

/// Reads a file of ours, or one that read_foreign() knows. Throws Error, which names the file, for whatever is wrong
/// with it, and for options that its model does not have.
ModelFile read_model_file(const std::filesystem::path& path, const ModelFileOptions& options = {});

/// The same with its model, in evaluation mode.
Classifier read_classifier(const std::filesystem::path& path, const ModelFileOptions& options = {});

}  // namespace bobbin
