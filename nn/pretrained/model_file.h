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

/// What a model's logits are: softmax makes probabilities of classes that exclude one another of them, sigmoid those of
/// classes each by itself, of which a picture may have several or none.
enum class Scores { softmax, sigmoid };

/// The metadata of a model file.
struct ModelDescription {
  AnyConfig config;
  std::vector<std::string> class_names;  ///< one for each class
  Preprocess preprocess;                 ///< its size is the config's img_size
  Scores scores = Scores::softmax;
};

/// The content of a model file, before a model is built from it: to be given another size, or another head.
struct ModelFile {
  AnyConfig config;
  NamedTensors tensors;
  std::vector<std::string> class_names;
  Preprocess preprocess;
  Scores scores = Scores::softmax;
  std::string taken{};    ///< of another library's: what was taken that the weights do not say, and from where
  bool numbered = false;  ///< it does not name its classes: they are "0", "1", ...
};

/// A model in evaluation mode with its class names and preprocessing.
struct Classifier {
  AnyModel model;
  std::vector<std::string> class_names;  ///< one for each logit
  Preprocess preprocess;
  Scores scores = Scores::softmax;
  std::string taken{};  ///< see ModelFile
  bool numbered = false;

  /// Whether its class c may be one of this name: it is called so; or its file names none and the name is no number,
  /// which would be another one ("2" of folders "0", "1", "10", "2").
  bool may_be(std::size_t c, const std::string& name) const;
  /// Logits (B, classes) -> the probabilities of the classes.
  Tensor probabilities(const Tensor& logits) const;
};

/// What a model file does not say, or overrides of what it says.
struct ModelFileOptions {
  int num_heads = 0;  ///< of a ViT; 0: as the file says
  /// The size of the images that it was trained on, where the file does not say it, or of other ones; of a ViT see
  /// set_img_size().
  std::optional<Size2> img_size{};
  std::optional<Interpolation> interpolation{};
  std::optional<double> crop_pct{};
  std::optional<std::vector<real>> mean{}, std{};  ///< one number is for all channels
  bool no_exif = false;                            ///< see Preprocess; false: as the file says
  /// Of another library's weights only: our own files say these. `weights` is the name of a published model.
  std::optional<Pool> pool{};
  std::optional<real> layer_norm_eps{};
  std::optional<Activation> activation{};
  std::string weights{};
  bool new_head = false;  ///< of these: their head is not used, and need not be there; without one there is one class
  bool features = false;  ///< of these: they need no head; without one there are no classes
};

/// The text of a description, which our files have under the key "bobbin" of their metadata: JSON with `model`, the
/// model's name, its `config`, `class_names`, `preprocess`, in it `no_exif` only where it is true, and `scores` where
/// these are no softmax. Throws Error unless there is a name for each class and preprocess.size is the model's image
/// size.
std::string describe_model(const ModelDescription& description);

/// Reads what describe_model() writes; without `model`, as in the first files, it is a ViT. `place` says in errors
/// where the text is from. Throws Error unless it is JSON with all fields, each in its range; whether a model of this
/// config can be made is not checked.
ModelDescription read_description(const std::string& json, const std::string& place);

/// Reads a file of ours, or one that read_foreign() knows. Throws Error, which names the file, if it is damaged or its
/// config contradicts its weights, and for options that its model does not have.
ModelFile read_model_file(const std::filesystem::path& path, const ModelFileOptions& options = {});

/// The same, with the model built, in evaluation mode.
Classifier read_classifier(const std::filesystem::path& path, const ModelFileOptions& options = {});

}  // namespace bobbin
