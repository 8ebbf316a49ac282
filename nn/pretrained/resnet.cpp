// A ResNet's weights as a model's file: what they do not say is how pictures are prepared.
#include <nlohmann/json.hpp>
#include <utility>

#include "nn/pretrained/facts.h"
#include "nn/pretrained/foreign.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

const char* name_of(ResNetOrigin origin) {
  constexpr const char* names[] = {"d2l's", "torchvision's or timm's", "transformers'"};
  return names[static_cast<int>(origin)];
}

// A published model's name: --weights, or what the file is called where its config is not known.
void read_name(const std::filesystem::path& path, const ModelFileOptions& options, bool knows_config,
               const ResNetWeights& weights, Facts& facts) {
  const std::string file = path.stem().string(), name = options.weights.empty() ? file : options.weights;
  const std::optional<PublishedResNet> model = published_resnet(name);
  const bool can_be = weights.origin == ResNetOrigin::torchvision;
  if (options.weights.empty() && (knows_config || !model || !can_be)) return;
  check(can_be, "read_model_file", "--weights names models of timm and torchvision, but these are ",
        name_of(weights.origin), " weights");
  check(model.has_value(), "read_model_file", "--weights should be a published ResNet of timm's, such as ",
        "resnet18.a1_in1k, or torchvision's, such as ResNet18_Weights.IMAGENET1K_V1, that is supported, got ",
        Quoted{name});
  const std::string where = options.weights.empty() ? "its name, " + file : "--weights " + name;
  check_shape(where, "layers", model->layers, weights.layers);
  if (!model->preprocess) return;
  facts.trained_size.say(model->preprocess->size, where);
  say(*model->preprocess, where, facts);
}

}  // namespace

ModelFile read_foreign_resnet(const NamedTensors& tensors, const std::filesystem::path& path,
                              const ModelFileOptions& options, const std::string& note) {
  ResNetWeights weights = resnet_weights(tensors);
  check_head(weights.config.num_classes(), options, note);
  Facts facts = said_by_flags(options, weights.config.title());
  const bool hugging_face = weights.origin == ResNetOrigin::hugging_face;
  std::string place;
  const nlohmann::json config =
      weights.origin == ResNetOrigin::d2l ? nlohmann::json() : config_beside(path, "config.json", place);
  check(!hugging_face || !config.is_null(), "read_model_file", "transformers' weights alone do not say the activation",
        ": put its config.json and preprocessor_config.json beside it");
  bool knows_config = false;
  if (hugging_face)
    read_transformers({config, place}, weights, facts);
  else if (!config.is_null())
    knows_config = read_timm({config, place}, options.weights, weights, facts);
  const nlohmann::json preprocessor =
      hugging_face ? config_beside(path, "preprocessor_config.json", place) : nlohmann::json();
  if (!preprocessor.is_null()) read_preprocessor({preprocessor, place}, /*resnet=*/true, facts);
  read_name(path, options, knows_config, weights, facts);
  if (facts.pictures) facts.trained_size.say(*facts.pictures, place);
  if (weights.config.num_classes() == 0) {  // until the new head's classes are known
    weights.config.num_classes() = 1;
    facts.class_names.clear();
    const std::string head = weights.origin == ResNetOrigin::d2l ? "net.last.2." : "fc.";
    if (options.features) {  // which need none
      weights.tensors.emplace(head + "weight", Tensor::zeros({1, 8 * weights.width()}));
      weights.tensors.emplace(head + "bias", Tensor::zeros({1}));
    }
  }
  return file_of(weights.config, std::move(weights.tensors), std::move(facts), name_of(weights.origin),
                 hugging_face                                  ? ", put its preprocessor_config.json beside it"
                 : weights.origin == ResNetOrigin::torchvision ? ", put timm's config.json beside it, or name the "
                                                                 "published model by --weights: "
                                                                 "ResNet18_Weights.IMAGENET1K_V1, resnet18.a1_in1k, ..."
                                                               : "",
                 path, note);
}

}  // namespace bobbin
