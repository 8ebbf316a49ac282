#include "nn/models/any_model.h"

#include <nlohmann/json.hpp>

#include "nn/distillation.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

// One default config of each model.
template <class... Config>
std::vector<Configs> defaults(const std::variant<Config...>&) {
  return {Config()...};
}

const char* name_of(const Configs& config) {
  return std::visit([](const auto& c) { return c.name; }, config);
}

}  // namespace

AnyConfig AnyConfig::of(const std::string& name) {
  std::string known;
  for (const Configs& config : defaults(Configs())) {
    if (name == name_of(config)) return std::visit([](const auto& c) { return AnyConfig(c); }, config);
    known += (known.empty() ? "" : ", ") + std::string(name_of(config));
  }
  fail("model", "there is no model ", Quoted{name}, "; there are ", known);
}

std::vector<std::string> AnyConfig::names() {
  std::vector<std::string> all;
  for (const Configs& config : defaults(Configs())) all.emplace_back(name_of(config));
  return all;
}

const char* AnyConfig::name() const { return name_of(config_); }
const char* AnyConfig::title() const {
  return std::visit([](const auto& c) { return c.title; }, config_);
}
void AnyConfig::fields(Fields& f) {
  std::visit([&](auto& c) { c.fields(f); }, config_);
}
Size2& AnyConfig::img_size() {
  return std::visit([](auto& c) -> Size2& { return c.img_size; }, config_);
}
Index& AnyConfig::num_classes() {
  return std::visit([](auto& c) -> Index& { return c.num_classes; }, config_);
}
Index& AnyConfig::num_channels() {
  return std::visit([](auto& c) -> Index& { return c.num_channels; }, config_);
}
std::vector<std::string> AnyConfig::heads() const {
  return std::visit([](const auto& c) { return std::vector<std::string>(std::begin(c.heads), std::end(c.heads)); },
                    config_);
}
double AnyConfig::weights() const {
  return std::visit([](const auto& c) { return c.weights(); }, config_);
}

bool AnyConfig::takes_any_size() const {
  return std::visit(
      [](const auto& c) {
        return requires { c.any_size; };
      },
      config_);
}

AnyModel::AnyModel(const AnyConfig& config, Rng& rng)
    : model_(std::visit([&]<class Config>(const Config& c) { return decltype(model_)(typename Config::Model(c, rng)); },
                        config.config_)) {}

AnyConfig AnyModel::config() const {
  return std::visit([](const auto& model) { return AnyConfig(model.config); }, model_);
}

Var AnyModel::operator()(const Var& images) {
  return std::visit([&](auto& model) { return model(images); }, model_);
}

Var AnyModel::features(const Var& images) {
  return std::visit(
      [&](auto& model) -> Var {
        if constexpr (requires { model.features(images); })
          return model.features(images);
        else
          fail("features", "a ", model.config.title, " gives none: a ViT, a ResNet and a Swin Transformer do");
      },
      model_);
}

std::pair<Var, Var> AnyModel::both_heads(const Var& images) {
  return std::visit([&](auto& model) { return bobbin::both_heads(model, images); }, model_);
}

void check_size(const AnyConfig& config, const std::map<std::string, Tensor>& tensors) {
  double given = 0;
  for (const auto& [name, tensor] : tensors) given += static_cast<double>(tensor.size());
  AnyConfig copy = config;
  check(config.weights() <= 2 * given, "model", "the config ", to_text(to_json(fields_of(copy))), " asks for ",
        config.weights(), " weights, but only ", given, " are there");
}

AnyModel make_model(const AnyConfig& config, const std::map<std::string, Tensor>& tensors) {
  check_size(config, tensors);
  Rng rng(0);
  AnyModel model(config, rng);
  state_of(model).load(tensors);
  return model;
}

}  // namespace bobbin
