// What timm, torchvision and transformers write: the names of the weights are those that vit_weights() knows; how
// pictures were prepared stands in files beside them, or is what is usual there.
#include "nn/pretrained/foreign.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "data/files/json.h"
#include "data/files/read_file.h"
#include "nn/pretrained/vit_weights.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::uintmax_t max_config = 16 << 20;  // bytes

const std::vector<real> imagenet_mean{real(0.485), real(0.456), real(0.406)},
    imagenet_std{real(0.229), real(0.224), real(0.225)}, half{real(0.5), real(0.5), real(0.5)};

// The config.json, or another, in the folder of the file; null if there is none.
json config_beside(const fs::path& path, const char* name, std::string& place) {
  const fs::path config = path.parent_path() / name;
  place = config.string();
  std::error_code unreadable;
  if (!fs::is_regular_file(config, unreadable)) return nullptr;
  const std::vector<std::uint8_t> text = read_file("read_model_file", config, max_config);
  return parse_json({text.begin(), text.end()}, place);
}

Preprocess usual_preprocess(const VitWeights& weights) {
  switch (weights.origin) {
    case VitOrigin::timm: {
      const bool deit = weights.config.distilled;
      return {.interpolation = Interpolation::bicubic,
              .crop_pct = 0.9,
              .mean = deit ? imagenet_mean : half,
              .std = deit ? imagenet_std : half};
    }
    case VitOrigin::torchvision:
      return {.crop_pct = 0.875, .mean = imagenet_mean, .std = imagenet_std};
    case VitOrigin::hugging_face:
      return {.mean = half, .std = half};
    default:
      return {};
  }
}

// transformers keeps what the shapes do not say in config.json.
VitHints hints_of(const JsonObject& config) {
  if (config.has("hidden_act")) config.expect(config.text("hidden_act") == "gelu", "hidden_act", "gelu");
  VitHints hints;
  if (config.has("num_attention_heads")) hints.num_heads = static_cast<int>(config.integer("num_attention_heads"));
  if (config.has("image_size")) hints.trained_size = config.size("image_size");
  if (config.has("layer_norm_eps")) hints.layer_norm_eps = static_cast<real>(config.number("layer_norm_eps", 1e-20, 1));
  return hints;
}

// timm keeps how pictures were prepared.
void read_pretrained_cfg(const JsonObject& from, Preprocess& preprocess) {
  if (from.has("interpolation")) {
    const std::string filter = from.text("interpolation");
    from.expect(filter == "bilinear" || filter == "bicubic", "interpolation", "bilinear or bicubic");
    preprocess.interpolation = filter == "bicubic" ? Interpolation::bicubic : Interpolation::bilinear;
  }
  if (from.has("crop_pct")) {
    preprocess.crop_pct = from.number("crop_pct", 0, 1);
    from.expect(preprocess.crop_pct == 0 || preprocess.crop_pct >= 0.1, "crop_pct", "0, or from 0.1 to 1");
  }
  if (from.has("mean")) preprocess.mean = from.numbers("mean");
  if (from.has("std")) preprocess.std = from.numbers("std");
}

// The crop_pct that cuts `side` out of `whole`: floor(side / crop_pct) is `whole`, also where the division is not
// exact.
double share(Index side, Index whole) {
  const auto part = static_cast<double>(side), all = static_cast<double>(whole);
  const double exact = part / all;
  return std::floor(part / exact) == all ? exact : part / (all + 0.5);
}

// What transformers' processors of ViT and DeiT do: a picture becomes `size`, squashed; or its shorter side becomes
// `shortest_edge`; then crop_size is cut out of the middle.
void read_size(const JsonObject& from, const ViTConfig& config, bool other_size, Preprocess& preprocess) {
  const bool covers = from.is_object("size") && from.object("size").has("shortest_edge");
  const bool crops = from.has("do_center_crop") ? from.boolean("do_center_crop") : from.has("crop_size");
  from.expect(crops || !covers, "size", "height and width where nothing is cropped");
  const Size2 size = covers ? Size2(from.object("size").integer("shortest_edge")) : from.size("size");
  const Size2 seen = crops ? from.size("crop_size") : size;
  const char* last = crops ? "crop_size" : "size";
  std::ostringstream expected;
  expected << "the model's image size, " << config.img_size.height << " x " << config.img_size.width;
  from.expect(other_size || seen == config.img_size, last, expected.str());

  preprocess.squash = crops && !covers && seen != size;
  preprocess.crop_pct = covers || preprocess.squash ? share(seen.height, size.height) : 0;
  if (preprocess.crop_pct == 0) return;
  const auto uncut = static_cast<Index>(std::floor(static_cast<double>(seen.width) / preprocess.crop_pct));
  from.expect(preprocess.crop_pct >= 0.1 && preprocess.crop_pct <= 1 && uncut == size.width, "crop_size",
              "the same share, from a tenth to all, of the height and the width of size");
}

// transformers keeps how pictures were prepared in a file of its own.
void read_preprocessor_config(const JsonObject& from, const ViTConfig& config, bool other_size,
                              Preprocess& preprocess) {
  for (const char* step : {"do_resize", "do_rescale"})
    if (from.has(step)) from.expect(from.boolean(step), step, "true");
  if (from.has("rescale_factor"))
    from.expect(std::abs(from.number("rescale_factor", 0, 1) * 255 - 1) < 1e-6, "rescale_factor", "1 / 255");
  if (from.has("resample")) {
    const Index filter = from.integer("resample", 0);
    from.expect(filter == 2 || filter == 3, "resample", "2, bilinear, or 3, bicubic");
    preprocess.interpolation = filter == 3 ? Interpolation::bicubic : Interpolation::bilinear;
  }
  read_size(from, config, other_size, preprocess);
  if (from.has("image_mean")) preprocess.mean = from.numbers("image_mean");
  if (from.has("image_std")) preprocess.std = from.numbers("image_std");
  if (from.has("do_normalize") && !from.boolean("do_normalize")) preprocess.mean = preprocess.std = {};
}

}  // namespace

ModelFile read_foreign(NamedTensors tensors, const fs::path& path, const ModelFileOptions& options) {
  const VitOrigin origin = vit_origin(tensors);
  const bool hugging_face = origin == VitOrigin::hugging_face, timm = origin == VitOrigin::timm;
  std::string place;
  const json config = hugging_face || timm ? config_beside(path, "config.json", place) : json();
  VitHints hints = hugging_face && !config.is_null() ? hints_of({config, place}) : VitHints{};
  if (options.num_heads) hints.num_heads = options.num_heads;
  hints.img_size = options.img_size;
  VitWeights weights = vit_weights(std::move(tensors), hints);
  const ViTConfig& vit = weights.config;
  ModelFile file{vit, std::move(weights.tensors), {}, usual_preprocess(weights)};
  if (vit.num_channels != 3) file.preprocess.mean = file.preprocess.std = {};
  if (!config.is_null()) {
    const JsonObject about(config, place);
    if (timm && about.has("pretrained_cfg")) read_pretrained_cfg(about.object("pretrained_cfg"), file.preprocess);
    if (timm && about.has("global_pool"))
      about.expect(about.text("global_pool") == (vit.pool == Pool::avg ? "avg" : "token"), "global_pool",
                   "token, or avg with an fc_norm among the weights");
    const char* names = hugging_face ? "id2label" : "label_names";
    if (about.has(names)) file.class_names = about.names(names);
  }
  const json preprocessor = hugging_face ? config_beside(path, "preprocessor_config.json", place) : json();
  if (!preprocessor.is_null())
    read_preprocessor_config({preprocessor, place}, vit, options.img_size.has_value(), file.preprocess);
  if (file.class_names.empty())
    for (Index i = 0; i < vit.num_classes; ++i) file.class_names.push_back(std::to_string(i));
  return file;
}

}  // namespace bobbin
