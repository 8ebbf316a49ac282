// Who says what the weights do not: in the order flags, files, names, the code of the library.
#include "nn/pretrained/foreign.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "data/files/json.h"
#include "data/files/read_file.h"
#include "nn/pretrained/facts.h"
#include "nn/pretrained/published.h"
#include "nn/pretrained/vit_weights.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

const char* name_of(VitOrigin origin) {
  constexpr const char* names[] = {"d2l's", "timm's", "torchvision's", "transformers'"};
  return names[static_cast<int>(origin)];
}

constexpr const char *pools[] = {"token", "avg", "seq", "map", "token_and_avg"},
                     *activations[] = {"gelu", "gelu_tanh", "quick_gelu"};

std::string text(Size2 size) { return std::to_string(size.height) + " x " + std::to_string(size.width); }

// The sizes of images that these patches can be cut from: "96 x 96, 64 x 144, ...", the squarest first.
std::string grids(const VitWeights& weights) {
  const Size2 patch = weights.config.patch_size;
  std::string all;
  int found = 0;
  for (auto height = static_cast<Index>(std::sqrt(static_cast<double>(weights.num_patches))); height >= 1; --height) {
    if (weights.num_patches % height != 0) continue;
    if (++found > 3) return all + ", ...";
    const Index width = weights.num_patches / height;
    all += (all.empty() ? "" : ", ") + text({height * patch.height, width * patch.width});
  }
  return all;
}

bool is_square(Index n) {
  const auto side = static_cast<Index>(std::lround(std::sqrt(static_cast<double>(n))));
  return side * side == n;
}

// All that nobody has said, in one sentence with the ways to say it.
void check_complete(const Facts& facts, const VitWeights& weights, const ModelFileOptions& options) {
  std::vector<std::string> open;
  const auto need = [&](const auto& fact, const std::string& what) {
    if (!fact.value) open.push_back(what);
  };
  need(facts.num_heads, "the number of heads (--num-heads)");
  need(facts.pool, "the pooling (--global-pool)");
  need(facts.layer_norm_eps, "the eps of LayerNorm (--layer-norm-eps)");
  need(facts.activation, "the activation (--act)");
  need(facts.trained_size,
       "the size of the images it was trained on (" +
           (options.img_size ? "--img-size " + text(*options.img_size) + " does not fit: " : "--img-size: ") +
           std::to_string(weights.num_patches) + " patches are " + grids(weights) +
           (weights.config.prefix_tokens() > 0 && is_square(weights.num_positions())
                ? "; as there are " + std::to_string(weights.num_positions()) +
                      " positions, a square, there may be none for the tokens before the patches, timm's no_embed_class"
                : "") +
           ")");
  if (facts.pool.value == Pool::map && weights.config.prefix_tokens() > 0)
    need(facts.pool_include_prefix,
         "whether the pooling sees the tokens before the patches (pool_include_prefix in a "
         "config.json)");
  list_missing(facts, open);
  if (open.empty()) return;
  std::string names;
  if (weights.origin == VitOrigin::torchvision) {
    for (const Published& model : torchvisions_like(weights.config))
      names += (names.empty() ? ": " : ", ") + model.name;
    if (names.empty()) names = ", if it is one";
  }
  const char* files = weights.origin == VitOrigin::timm ? ", put its config.json beside it"
                      : weights.origin == VitOrigin::hugging_face
                          ? ", put its config.json and preprocessor_config.json beside it"
                          : "";
  const bool published = weights.origin == VitOrigin::timm || weights.origin == VitOrigin::torchvision;
  fail("read_model_file", name_of(weights.origin), " weights alone do not say ", joined(open), ": give these flags",
       files, published ? ", or name the published model by --weights" : "", names);
}

// "timm's weights: 12 heads, pool token, ... (config.json)".
std::string account(const Facts& facts, const VitWeights& weights, Size2 trained, const Preprocess& preprocess,
                    const fs::path& folder) {
  const ViTConfig& c = weights.config;
  std::ostringstream eps;
  eps << "eps " << c.layer_norm_eps;
  Account account(folder);
  account.add(std::to_string(c.num_heads) + " heads", facts.num_heads.from);
  account.add(std::string("pool ") + pools[static_cast<int>(c.pool)], facts.pool.from);
  account.add(eps.str(), facts.layer_norm_eps.from);
  account.add(activations[static_cast<int>(c.activation)], facts.activation.from);
  if (c.no_embed_class && facts.no_embed_class.value)
    account.add("positions of the patches alone", facts.no_embed_class.from);
  account.add(text(trained), facts.trained_size.from);
  if (c.img_size != trained) account.add("positions resized for " + text(c.img_size), "--img-size");
  account.add(facts, preprocess);
  return std::string(name_of(weights.origin)) + " weights: " + account.text();
}

}  // namespace

void check_shapes(const std::string& where, const ViTConfig& said, const VitWeights& weights) {
  const ViTConfig& has = weights.config;
  check_shape(where, "width", said.num_hiddens, has.num_hiddens);
  check_shape(where, "hidden units of the MLP", said.mlp_num_hiddens, has.mlp_num_hiddens);
  check_shape(where, "blocks", said.num_blks, has.num_blks);
  check_shape(where, "patch height", said.patch_size.height, has.patch_size.height);
  check_shape(where, "patch width", said.patch_size.width, has.patch_size.width);
  check_shape(where, "distillation tokens", said.distilled, has.distilled);
}

void check_parts(const std::string& where, const ViTConfig& said, const VitWeights& weights) {
  const ViTConfig& has = weights.config;
  check_shape(where, "class tokens", said.class_token, has.class_token);
  check_shape(where, "registers", said.reg_tokens, has.reg_tokens);
  check_shape(where, "norms before the first block", said.pre_norm, has.pre_norm);
  check_shape(where, "LayerScales", said.layer_scale != 0, has.layer_scale != 0);
}

void say(const Published& model, const std::string& where, Facts& facts) {
  facts.num_heads.say(model.config.num_heads, where);
  facts.pool.say(model.config.pool, where);
  facts.layer_norm_eps.say(model.config.layer_norm_eps, where);
  facts.activation.say(model.config.activation, where);
  facts.trained_size.say(model.config.img_size, where);
  if (model.origin == VitOrigin::timm) {
    facts.no_embed_class.say(model.config.no_embed_class, where);
    facts.pool_include_prefix.say(model.config.pool_include_prefix, where);
  }
  if (model.preprocess) say(*model.preprocess, where, facts);
}

namespace {

// A published model's name: --weights, or what the file is called where its config is not known.
void read_name(const fs::path& path, const ModelFileOptions& options, bool knows_config, const VitWeights& weights,
               Facts& facts) {
  const std::string file = path.stem().string(), name = options.weights.empty() ? file : options.weights;
  const std::optional<Published> model = published(name);
  if (options.weights.empty() && (knows_config || !model || model->origin != weights.origin)) return;
  const std::string where = options.weights.empty() ? "its name, " + file : "--weights " + name;
  const bool timm = weights.origin == VitOrigin::timm;
  check(timm || weights.origin == VitOrigin::torchvision, "read_model_file",
        "--weights names models of timm and torchvision, but these are ", name_of(weights.origin), " weights");
  check(model && model->origin == weights.origin, "read_model_file", "--weights should be a published model of ",
        timm ? "timm's, such as vit_base_patch16_224.augreg_in21k_ft_in1k"
             : "torchvision's, such as ViT_B_16_Weights.IMAGENET1K_V1",
        ", that is supported, got ", Quoted{name});
  if (!knows_config) check_shapes(where, model->config, weights);
  if (timm && !knows_config) check_parts(where, model->config, weights);
  if (timm && !facts.pool.value) {
    const bool fc_norm = model->config.pool == Pool::avg && model->config.head_norm == HeadNorm::pooled;
    check(fc_norm == weights.fc_norm, "read_model_file", where, " pools ",
          weights.fc_norm ? "tokens, but there is an fc_norm" : "by the mean, but there is no fc_norm",
          " among the weights");
    check((model->config.head_norm != HeadNorm::none) == weights.tensors.contains("head.0.weight"), "read_model_file",
          where, " does not fit: of it and of the weights one alone has a norm before the head");
  }
  say(*model, where, facts);
}

// Of torchvision's published models the architecture is known by its shapes, and the weights where only one has this
// image size.
void read_torchvisions_shapes(const VitWeights& weights, Facts& facts) {
  const std::vector<Published> models = torchvisions_like(weights.config);
  if (models.empty()) return;
  facts.num_heads.say(models.front().config.num_heads, "its shapes");
  std::vector<Published> same_size;
  for (const Published& model : models)
    if (model.config.img_size == *facts.trained_size.value) same_size.push_back(model);
  if (weights.config.num_classes == 1000 && same_size.size() == 1)
    say(same_size[0], "its shapes, " + same_size[0].name, facts);
}

void read_code(const VitWeights& weights, Facts& facts) {
  const VitHints code = fixed_by_code(weights);
  const std::string where = std::string(name_of(weights.origin)) + " code";
  if (code.pool) facts.pool.say(*code.pool, where);
  if (code.layer_norm_eps) facts.layer_norm_eps.say(*code.layer_norm_eps, where);
  if (code.activation) facts.activation.say(*code.activation, where);
  if (code.trained_size) facts.trained_size.say(*code.trained_size, where);
}

}  // namespace

void check_head(Index num_classes, const ModelFileOptions& options, const std::string& note) {
  check(num_classes > 0 || options.new_head || options.features, "read_model_file",
        "these weights have no head, so they have learned no ", "classes", note.empty() ? "" : " (" + note + ")",
        ": train --finetune gives them one, for the classes of your ", "pictures, and classify --features needs none");
}

ModelFile read_foreign(const NamedTensors& tensors, const fs::path& path, const ModelFileOptions& options,
                       const std::string& note) {
  if (is_resnet(tensors)) return read_foreign_resnet(tensors, path, options, note);
  if (is_swin(tensors)) return read_foreign_swin(tensors, path, options, note);
  VitWeights weights = name_weights(tensors);
  ViTConfig& vit = weights.config;
  check_head(vit.num_classes, options, note);
  const bool hugging_face = weights.origin == VitOrigin::hugging_face, timm = weights.origin == VitOrigin::timm;
  Facts facts = said_by_flags(options);
  std::string place;
  const json config = hugging_face || timm ? config_beside(path, "config.json", place) : json();
  const bool knows_config = timm && !config.is_null() && read_timm({config, place}, options.weights, weights, facts);
  if (hugging_face && !config.is_null()) read_transformers({config, place}, weights, facts);
  const json preprocessor = hugging_face ? config_beside(path, "preprocessor_config.json", place) : json();
  if (!preprocessor.is_null()) read_preprocessor({preprocessor, place}, /*resnet=*/false, facts);
  read_name(path, options, knows_config, weights, facts);
  read_code(weights, facts);
  if (weights.origin == VitOrigin::torchvision) read_torchvisions_shapes(weights, facts);

  const auto patches = [&](Size2 size) {
    return size.height % vit.patch_size.height == 0 && size.width % vit.patch_size.width == 0
               ? size.height / vit.patch_size.height * (size.width / vit.patch_size.width)
               : 0;
  };
  if (options.img_size && (patches(*options.img_size) == weights.num_patches ||
                           (timm && patches(*options.img_size) == weights.num_positions() &&
                            is_square(weights.num_positions()) && !is_square(weights.num_patches))))
    facts.trained_size.say(*options.img_size, "--img-size");
  if (weights.num_patches == 1) facts.trained_size.say(vit.patch_size, "its one patch");
  // Whether the tokens before the patches have positions: who does not say it knows the size of the images.
  if (timm && facts.trained_size.value && patches(*facts.trained_size.value) == weights.num_positions())
    facts.no_embed_class.say(vit.prefix_tokens() > 0, facts.trained_size.from);
  if (timm && facts.no_embed_class.value) weights.set_no_embed_class(*facts.no_embed_class.value);
  check_complete(facts, weights, options);
  const Size2 trained = *facts.trained_size.value;
  check(patches(trained) != 0, "read_model_file", facts.trained_size.from, " says images of ", text(trained),
        ", which patches of ", text(vit.patch_size), " do not fill; to leave out the pixels that are left over is not ",
        "supported");
  check(patches(trained) == weights.num_patches, "read_model_file", facts.trained_size.from, " says images of ",
        text(trained), ", but the weights have position embeddings of ", weights.num_patches, " patches, which are ",
        grids(weights));
  check(options.img_size || !facts.pictures || *facts.pictures == trained, "read_model_file", facts.crop.from,
        " says that pictures become ", facts.pictures ? text(*facts.pictures) : "", ", but the model is for ",
        text(trained), ", as ", facts.trained_size.from, " says; --img-size decides");

  set_hints(weights, {facts.num_heads.value, facts.pool.value, facts.layer_norm_eps.value, facts.activation.value,
                      facts.trained_size.value, facts.pool_include_prefix.value.value_or(false)});
  if (options.img_size) set_img_size(weights.config, weights.tensors, *options.img_size);
  if (vit.num_classes == 0) facts.class_names.clear();
  if (vit.num_classes == 0 && options.new_head) vit.num_classes = 1;  // until its classes are known
  ModelFile file{
      vit, {}, std::move(facts.class_names), preprocess_of(facts, vit.img_size, vit.num_channels), facts.scores};
  file.taken = account(facts, weights, trained, file.preprocess, path.parent_path());
  if (!note.empty()) file.taken += ", " + note;
  file.tensors = std::move(weights.tensors);
  return file;
}

}  // namespace bobbin
