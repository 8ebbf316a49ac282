#pragma once
#include <cmath>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/files/json.h"
#include "nn/pretrained/model_file.h"
#include "nn/pretrained/published.h"
#include "nn/pretrained/resnet_weights.h"
#include "nn/pretrained/swin_weights.h"
#include "nn/pretrained/vit_weights.h"

/// What must be known of foreign weights beside their tensors, and the readers of the files that say it.
namespace bobbin {

/// One thing to know, and what says it.
template <class T>
struct Fact {
  std::optional<T> value{};
  std::string from{};  ///< "config.json", "--num-heads"

  /// Whoever speaks first is right: a flag, then the config, then a name. That a flag is against it is noted.
  void say(const T& said, const std::string& where) {
    if (value && *value != said && from.starts_with("--") && from.find(' ') == std::string::npos)
      from += " against " + where;
    if (value) return;
    value = said;
    from = where;
  }
};

/// How the picture becomes as large as the model's images; see Preprocess.
struct Crop {
  double crop_pct;
  bool squash = false, crop_down = false;
  bool operator==(const Crop&) const = default;
};

struct Facts {
  Fact<int> num_heads;
  Fact<Pool> pool;
  Fact<real> layer_norm_eps;
  Fact<Activation> activation;
  Fact<Size2> trained_size;
  Fact<bool> no_embed_class, pool_include_prefix;
  Fact<Interpolation> interpolation;
  Fact<Crop> crop;
  Fact<std::vector<real>> mean, std;  ///< empty: numbers stay from 0 to 1
  std::optional<Size2> pictures{};    ///< the size to which pictures are said to be brought
  std::vector<std::string> class_names{};
  Scores scores = Scores::softmax;
};

/// What the flags say.
Facts said_by_flags(const ModelFileOptions& options);
/// The same for a model that is no ViT, of this title, whose weights may have been trained on images of any size.
/// Throws Error for flags that are a ViT's.
Facts said_by_flags(const ModelFileOptions& options, const char* title);

/// The JSON of a file in the folder of the one at `path`, such as config.json; null if there is none. `place` becomes
/// its path.
nlohmann::json config_beside(const std::filesystem::path& path, const char* name, std::string& place);

/// Adds what is not known of how pictures are prepared, with the flags that say it.
void list_missing(const Facts& facts, std::vector<std::string>& missing);
/// "the filter (--interpolation), ... and the deviation (--std)".
std::string joined(const std::vector<std::string>& parts);

/// How pictures are prepared for images of this size. Throws std::bad_optional_access where that is not known.
Preprocess preprocess_of(const Facts& facts, Size2 size, Index num_channels);

/// What was taken, and from where: "12 heads, pool token (config.json), bicubic (--interpolation)".
class Account {
 public:
  /// Paths of files in `folder` lose it.
  explicit Account(const std::filesystem::path& folder) : beside_((folder / "").string()) {}

  void add(const std::string& what, const std::string& from);
  /// How pictures are prepared.
  void add(const Facts& facts, const Preprocess& preprocess);
  std::string text() const;

 private:
  std::string beside_;
  std::vector<std::pair<std::string, std::string>> items_;
};

/// The file of a model whose weights tell all but the size of the images and how pictures are prepared. `whose` they
/// are: "timm's"; `ways`, to say what is missing otherwise than by flags: ", or ..."; `path`, of the weights, and
/// `note` are those of read_foreign(). Throws Error, which lists it, if anything is missing.
ModelFile file_of(AnyConfig config, NamedTensors tensors, Facts facts, const std::string& whose,
                  const std::string& ways, const std::filesystem::path& path, const std::string& note);

/// Says what timm's config.json says: its architecture, what `model_args` change of it, and `pretrained_cfg`, with
/// timm's defaults for what that leaves out. Throws Error where it contradicts the weights, names a key or a value that
/// would change the answer in a way that is not supported, or may, and unless `name`, a published model's or empty, is
/// of its architecture. Returns whether it names one.
bool read_timm(const JsonObject& config, const std::string& name, const VitWeights& weights, Facts& facts);

/// The same for transformers' config.json, with the defaults of the class that it names.
void read_transformers(const JsonObject& config, const VitWeights& weights, Facts& facts);

/// The same of ResNets.
bool read_timm(const JsonObject& config, const std::string& name, const ResNetWeights& weights, Facts& facts);
void read_transformers(const JsonObject& config, const ResNetWeights& weights, Facts& facts);
/// And of Swin Transformers.
bool read_timm(const JsonObject& config, const std::string& name, const SwinWeights& weights, Facts& facts);

/// The same for transformers' preprocessor_config.json, with the defaults of the class that it names, or of the one
/// that its model has.
void read_preprocessor(const JsonObject& config, bool resnet, Facts& facts);

/// What a published model is, as far as nobody has spoken yet.
void say(const Published& model, const std::string& where, Facts& facts);
void say(const Preprocess& prepared, const std::string& where, Facts& facts);

/// Throws Error where the weights are not those of a model `said`: "WHERE says width 768, but the weights have
/// 192".
void check_shapes(const std::string& where, const ViTConfig& said, const VitWeights& weights);
/// The same of the parts that a ViT may have: class token, registers, LayerScale, a norm before the blocks.
void check_parts(const std::string& where, const ViTConfig& said, const VitWeights& weights);
void check_shapes(const std::string& where, const SwinConfig& said, const SwinWeights& weights);
void check_shape(const std::string& where, const char* what, Index said, Index weights);

/// Two lists of keys as one.
std::vector<const char*> joined(std::vector<const char*> a, const std::vector<const char*>& b);

/// Throws Error, which names it, for a key that is in neither list and not null.
void check_keys(const JsonObject& object, const std::vector<const char*>& followed,
                const std::vector<const char*>& harmless);

/// The crop_pct that cuts `side` out of `whole`: floor(side / crop_pct) is `whole`, also where the division is not
/// exact.
inline double share(Index side, Index whole) {
  const auto part = static_cast<double>(side), all = static_cast<double>(whole);
  const double exact = part / all;
  return std::floor(part / exact) == all ? exact : part / (all + 0.5);
}

}  // namespace bobbin
