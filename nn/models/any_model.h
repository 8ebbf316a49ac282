#pragma once
#include <concepts>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "data/files/fields.h"
#include "nn/models/convnet.h"
#include "nn/models/lenet.h"
#include "nn/models/local_attention.h"
#include "nn/models/mlp.h"
#include "nn/models/resnet.h"
#include "nn/models/swin.h"
#include "nn/models/vit.h"
#include "nn/module.h"

/// The models by name. A model is a file beside this one, with
///   - a config: its name and title, the type of its Model, fields(), and among these img_size, num_classes and
///   num_channels;
///     `heads`, the name prefixes of the layers that a new set of classes replaces; weights(), about how many
///     parameters there are; and a member `any_size` where the same parameters are for images of any size;
///   - the model: a constructor from config and Rng, its config, operator(): images (B, C, H, W) -> logits
///     (B, classes), and visit().
namespace bobbin {

/// All models, by their configs: to add one, write its file and name it here.
using Configs = std::variant<ViTConfig, LeNetConfig, MLPConfig, ResNetConfig<18>, ResNetConfig<34>, ConvNetConfig,
                             SwinConfig, AttentionResNetConfig>;

/// The config of any model.
class AnyConfig {
 public:
  /// Of one of the configs above.
  template <class Config>
  requires std::constructible_from<Configs, Config> AnyConfig(Config config) : config_(std::move(config)) {}
  /// The default config of the model of this name. Throws Error, which lists the names, if there is none.
  static AnyConfig of(const std::string& name);
  /// "vit", "mlp", ...
  static std::vector<std::string> names();

  /// "vit", and as people write it: "ViT".
  const char* name() const;
  const char* title() const;
  void fields(Fields& f);
  Size2& img_size();
  Index& num_classes();
  Index& num_channels();
  Size2 img_size() const { return AnyConfig(*this).img_size(); }
  Index num_classes() const { return AnyConfig(*this).num_classes(); }
  Index num_channels() const { return AnyConfig(*this).num_channels(); }
  std::vector<std::string> heads() const;
  double weights() const;
  /// Whether the same weights are for images of any size.
  bool takes_any_size() const;

  /// The config as what it is; null if it is another model's.
  template <class Config>
  Config* as() {
    return std::get_if<Config>(&config_);
  }
  template <class Config>
  const Config* as() const {
    return std::get_if<Config>(&config_);
  }

 private:
  friend class AnyModel;
  Configs config_;
};

/// Any of the models, itself a module.
class AnyModel {
 public:
  /// Throws Error where the model's own constructor does.
  AnyModel(const AnyConfig& config, Rng& rng);

  /// The config that it was made from.
  AnyConfig config() const;
  /// Images (B, num_channels, H, W) -> logits (B, num_classes).
  Var operator()(const Var& images);
  /// What the head sees: (B, num_channels, H, W) -> (B, numbers). Throws Error for a model that does not say it: a
  /// ViT, a ResNet and a Swin Transformer do.
  Var features(const Var& images);
  /// The same of each head, see bobbin::both_heads().
  std::pair<Var, Var> both_heads(const Var& images);
  void visit(auto&& v) {
    std::visit([&](auto& model) { model.visit(v); }, model_);
  }

  /// The model as what it is; null if it is another one.
  template <class Model>
  Model* as() {
    return std::get_if<Model>(&model_);
  }

 private:
  template <class... Config>
  static std::variant<typename Config::Model...> models(const std::variant<Config...>&);
  decltype(models(Configs())) model_;
};

/// Throws Error if the config asks for more than twice as many numbers as there are: one that contradicts its weights
/// could ask for any amount of memory.
void check_size(const AnyConfig& config, const std::map<std::string, Tensor>& tensors);

/// The model with these weights. Throws Error where check_size(), the constructor and State::load() do.
AnyModel make_model(const AnyConfig& config, const std::map<std::string, Tensor>& tensors);

}  // namespace bobbin
