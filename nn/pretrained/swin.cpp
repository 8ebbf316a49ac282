// A Swin Transformer's weights as a model's file: what they do not say is the size of images and how they are prepared.
#include <nlohmann/json.hpp>
#include <utility>

#include "nn/pretrained/facts.h"
#include "nn/pretrained/foreign.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

const char* name_of(SwinOrigin origin) {
  constexpr const char* names[] = {"timm's", "torchvision's", "Microsoft's"};
  return names[static_cast<int>(origin)];
}

// A published model's name: --weights, or what the file is called where its config is not known. Microsoft's files are
// called as timm's models are, which prepare pictures in another way.
void read_name(const std::filesystem::path& path, const ModelFileOptions& options, bool knows_config,
               const SwinWeights& weights, Facts& facts) {
  const std::string file = path.stem().string(), name = options.weights.empty() ? file : options.weights;
  const std::optional<PublishedSwin> model = published_swin(name);
  const bool fits = model && model->config.form == weights.config.form;
  if (options.weights.empty() && (knows_config || !fits || weights.origin == SwinOrigin::microsoft)) return;
  check(fits, "read_model_file", "--weights should be a published Swin Transformer of ",
        weights.config.form == SwinForm::timm ? "timm's, such as swin_tiny_patch4_window7_224.ms_in1k"
                                              : "torchvision's, such as Swin_T_Weights.IMAGENET1K_V1",
        ", that is supported, got ", Quoted{name});
  const std::string where = options.weights.empty() ? "its name, " + file : "--weights " + name;
  check_shapes(where, model->config, weights);
  if (!model->preprocess) return;
  facts.trained_size.say(model->preprocess->size, where);
  say(*model->preprocess, where, facts);
}

}  // namespace

void check_shapes(const std::string& where, const SwinConfig& said, const SwinWeights& weights) {
  const SwinConfig& has = weights.config;
  check_shape(where, "width", said.embed_dim, has.embed_dim);
  check_shape(where, "stages", static_cast<Index>(said.depths.size()), static_cast<Index>(has.depths.size()));
  for (std::size_t i = 0; i < said.depths.size(); ++i) {
    const std::string stage = "of stage " + std::to_string(i + 1);
    check_shape(where, ("blocks " + stage).c_str(), said.depths[i], has.depths[i]);
    check_shape(where, ("heads " + stage).c_str(), said.num_heads[i], has.num_heads[i]);
  }
  check_shape(where, "window height", said.window_size.height, has.window_size.height);
  check_shape(where, "patch height", said.patch_size.height, has.patch_size.height);
  check_shape(where, "patch width", said.patch_size.width, has.patch_size.width);
}

ModelFile read_foreign_swin(const NamedTensors& tensors, const std::filesystem::path& path,
                            const ModelFileOptions& options, const std::string& note) {
  SwinWeights weights = swin_weights(tensors);
  SwinConfig& config = weights.config;
  check_head(config.num_classes, options, note);
  Facts facts = said_by_flags(options, config.title);
  std::string place;
  const nlohmann::json said =
      weights.origin == SwinOrigin::timm ? config_beside(path, "config.json", place) : nlohmann::json();
  const bool knows_config = !said.is_null() && read_timm({said, place}, options.weights, weights, facts);
  read_name(path, options, knows_config, weights, facts);
  if (config.num_classes == 0) facts.class_names.clear();
  if (config.num_classes == 0 && options.new_head) config.num_classes = 1;  // until its classes are known
  return file_of(config, std::move(weights.tensors), std::move(facts), name_of(weights.origin),
                 weights.origin == SwinOrigin::torchvision
                     ? ", or name the published model by --weights: Swin_T_Weights.IMAGENET1K_V1, ..."
                     : ", put timm's config.json beside it, or name the published model by --weights: "
                       "swin_tiny_patch4_window7_224.ms_in1k, ...",
                 path, note);
}

}  // namespace bobbin
