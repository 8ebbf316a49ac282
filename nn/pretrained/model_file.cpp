#include "nn/pretrained/model_file.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "data/files/json.h"
#include "data/files/read_file.h"
#include "data/files/safetensors.h"
#include "nn/module.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::uintmax_t max_config = 16 << 20;  // bytes
constexpr Index max_size = 1 << 20;              // of an image, a width, a number of classes

const std::vector<real> imagenet_mean{real(0.485), real(0.456), real(0.406)},
    imagenet_std{real(0.229), real(0.224), real(0.225)}, half{real(0.5), real(0.5), real(0.5)};

// A JSON object that somebody else wrote, with its place for messages: every value is checked when it is taken.
class Object {
 public:
  Object(const json& object, std::string place) : object_(object), place_(std::move(place)) {
    check(object.is_object(), "model file", place_, " should be an object, got ", shown(object));
  }

  bool has(const char* key) const { return object_.contains(key) && !object_.at(key).is_null(); }
  bool is_object(const char* key) const { return has(key) && object_.at(key).is_object(); }
  Object object(const char* key) const { return {at(key), place_ + "." + key}; }
  bool boolean(const char* key) const {
    expect(at(key).is_boolean(), key, "true or false");
    return at(key).get<bool>();
  }
  Index integer(const char* key, Index low = 1) const { return integer(at(key), key, low); }
  double number(const char* key, double low, double high) const { return number(at(key), key, low, high); }
  std::string text(const char* key) const {
    expect(at(key).is_string(), key, "a string");
    return at(key).get<std::string>();
  }
  // "size": 96, or height and width: [96, 64] or {"height": 96, "width": 64}.
  Size2 size(const char* key) const {
    const json& value = at(key);
    if (value.is_object()) return {object(key).integer("height"), object(key).integer("width")};
    if (!value.is_array()) return integer(value, key, 1);
    expect(value.size() == 2, key, "a number, or height and width");
    return {integer(value[0], key, 1), integer(value[1], key, 1)};
  }
  std::vector<real> numbers(const char* key) const {
    expect(at(key).is_array(), key, "an array of numbers");
    std::vector<real> result;
    for (const json& value : at(key)) result.push_back(static_cast<real>(number(value, key, -1e6, 1e6)));
    return result;
  }
  // An array of names, or an object that has them under "0", "1", ...
  std::vector<std::string> names(const char* key) const {
    const json& value = at(key);
    expect(value.is_array() || value.is_object(), key, "the names of the classes");
    std::vector<std::string> result;
    for (std::size_t i = 0; i < value.size(); ++i) {
      const json name = value.is_array() ? value[i] : value.value(std::to_string(i), json());
      expect(name.is_string(), key, "a name for each class, from 0 on");
      result.push_back(name.get<std::string>());
    }
    return result;
  }
  void expect(bool ok, const char* key, const std::string& what) const {
    check(ok, "model file", place_, ".", key, " should be ", what, ", got ", shown(at(key)));
  }

 private:
  const json& at(const char* key) const {
    check(object_.contains(key), "model file", place_, " has no ", key);
    return object_.at(key);
  }
  Index integer(const json& value, const char* key, Index low) const {
    const auto number =
        value.is_number_unsigned() ? value.get<std::uint64_t>() : std::numeric_limits<std::uint64_t>::max();
    expect(number >= static_cast<std::uint64_t>(low) && number <= std::uint64_t{max_size}, key,
           "a whole number from " + std::to_string(low) + " to " + std::to_string(max_size));
    return value.get<Index>();
  }
  double number(const json& value, const char* key, double low, double high) const {
    const bool ok = value.is_number() && value.get<double>() >= low && value.get<double>() <= high;
    std::ostringstream range;
    range << "a number from " << low << " to " << high;
    expect(ok, key, range.str());
    return value.get<double>();
  }
  static std::string shown(const json& value) {
    const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
    return text.size() <= 60 ? text : text.substr(0, 60) + "...";
  }

  const json& object_;
  std::string place_;
};

// The config.json, or another, in the folder of the file; null if there is none.
json config_beside(const fs::path& path, const char* name, std::string& place) {
  const fs::path config = path.parent_path() / name;
  place = config.string();
  std::error_code unreadable;
  if (!fs::is_regular_file(config, unreadable)) return nullptr;
  const std::vector<std::uint8_t> text = read_file("read_model_file", config, max_config);
  return parse_json({text.begin(), text.end()}, place);
}

// --- Our own files ------------------------------------------------------------------------------------------------

const char* name_of(Pool pool) { return pool == Pool::avg ? "avg" : "token"; }
const char* name_of(Interpolation filter) { return filter == Interpolation::bicubic ? "bicubic" : "bilinear"; }

Interpolation interpolation(const Object& from, const char* key) {
  const std::string name = from.text(key);
  from.expect(name == "bilinear" || name == "bicubic", key, "bilinear or bicubic");
  return name == "bicubic" ? Interpolation::bicubic : Interpolation::bilinear;
}

// 0, or from 0.1 to 1.
double crop_pct(const Object& from, const char* key) {
  const double value = from.number(key, 0, 1);
  from.expect(value == 0 || value >= 0.1, key, "0, or from 0.1 to 1");
  return value;
}

// From 0 on, below 1.
real dropout(const Object& from, const char* key) {
  const auto value = static_cast<real>(from.number(key, 0, 1));
  from.expect(value < 1, key, "0 or more and less than 1");
  return value;
}

ViTConfig read_config(const Object& from) {
  const std::string pool = from.text("pool");
  from.expect(pool == "token" || pool == "avg", "pool", "token or avg");
  return {.img_size = from.size("img_size"),
          .patch_size = from.size("patch_size"),
          .num_hiddens = from.integer("num_hiddens"),
          .mlp_num_hiddens = from.integer("mlp_num_hiddens"),
          .num_heads = static_cast<int>(from.integer("num_heads")),
          .num_blks = static_cast<int>(from.integer("num_blks", 0)),
          .emb_dropout = dropout(from, "emb_dropout"),
          .blk_dropout = dropout(from, "blk_dropout"),
          .use_bias = from.boolean("use_bias"),
          .num_classes = from.integer("num_classes"),
          .num_channels = from.integer("num_channels"),
          .pool = pool == "avg" ? Pool::avg : Pool::token,
          .layer_norm_eps = static_cast<real>(from.number("layer_norm_eps", 1e-20, 1)),
          .distilled = from.boolean("distilled")};
}

ModelFile read_own(NamedTensors tensors, const std::string& note) {
  ModelDescription description = read_description(note, "its description");
  return {{VitOrigin::d2l, std::move(description.config), std::move(tensors)},
          std::move(description.class_names),
          std::move(description.preprocess)};
}

// --- Those of others ----------------------------------------------------------------------------------------------

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
VitHints hints_of(const Object& config) {
  if (config.has("hidden_act")) config.expect(config.text("hidden_act") == "gelu", "hidden_act", "gelu");
  VitHints hints;
  if (config.has("num_attention_heads")) hints.num_heads = static_cast<int>(config.integer("num_attention_heads"));
  if (config.has("image_size")) hints.trained_size = config.size("image_size");
  if (config.has("layer_norm_eps")) hints.layer_norm_eps = static_cast<real>(config.number("layer_norm_eps", 1e-20, 1));
  return hints;
}

// timm keeps how pictures were prepared.
void read_pretrained_cfg(const Object& from, Preprocess& preprocess) {
  if (from.has("interpolation")) preprocess.interpolation = interpolation(from, "interpolation");
  if (from.has("crop_pct")) preprocess.crop_pct = crop_pct(from, "crop_pct");
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
void read_size(const Object& from, const ViTConfig& config, bool other_size, Preprocess& preprocess) {
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
void read_preprocessor_config(const Object& from, const ViTConfig& config, bool other_size, Preprocess& preprocess) {
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

ModelFile read_foreign(NamedTensors tensors, const fs::path& path, const ModelFileOptions& options) {
  const VitOrigin origin = vit_origin(tensors);
  const bool hugging_face = origin == VitOrigin::hugging_face, timm = origin == VitOrigin::timm;
  std::string place;
  const json config = hugging_face || timm ? config_beside(path, "config.json", place) : json();
  VitHints hints = hugging_face && !config.is_null() ? hints_of({config, place}) : VitHints{};
  if (options.num_heads) hints.num_heads = options.num_heads;
  hints.img_size = options.img_size;
  ModelFile file{vit_weights(std::move(tensors), hints), {}, {}};
  file.preprocess = usual_preprocess(file.weights);
  if (file.weights.config.num_channels != 3) file.preprocess.mean = file.preprocess.std = {};
  if (!config.is_null()) {
    const Object about(config, place);
    if (timm && about.has("pretrained_cfg")) read_pretrained_cfg(about.object("pretrained_cfg"), file.preprocess);
    if (timm && about.has("global_pool"))
      about.expect(about.text("global_pool") == name_of(file.weights.config.pool), "global_pool",
                   "token, or avg with an fc_norm among the weights");
    const char* names = hugging_face ? "id2label" : "label_names";
    if (about.has(names)) file.class_names = about.names(names);
  }
  const json preprocessor = hugging_face ? config_beside(path, "preprocessor_config.json", place) : json();
  if (!preprocessor.is_null())
    read_preprocessor_config({preprocessor, place}, file.weights.config, options.img_size.has_value(), file.preprocess);
  if (file.class_names.empty())
    for (Index i = 0; i < file.weights.config.num_classes; ++i) file.class_names.push_back(std::to_string(i));
  return file;
}

// --- Both ---------------------------------------------------------------------------------------------------------

void apply(const ModelFileOptions& options, ModelFile& file) {
  if (options.num_heads) file.weights.config.num_heads = options.num_heads;
  if (options.img_size) set_img_size(file.weights, *options.img_size);
  if (options.interpolation) file.preprocess.interpolation = *options.interpolation;
  if (options.crop_pct) {
    file.preprocess.crop_pct = *options.crop_pct;
    file.preprocess.squash = false;
  }
  if (options.mean) file.preprocess.mean = *options.mean;
  if (options.std) file.preprocess.std = *options.std;
  spread(file.preprocess, file.weights.config.num_channels);
  file.preprocess.size = file.weights.config.img_size;
}

// What a description says of itself, and a reader can rely on.
void check_description(const ViTConfig& config, const std::vector<std::string>& class_names,
                       const Preprocess& preprocess) {
  const auto count = [](const auto& items) { return static_cast<Index>(items.size()); };
  check(count(class_names) == config.num_classes, "model file", "the model has ", config.num_classes, " classes, but ",
        class_names.size(), " have names");
  for (const std::vector<real>& numbers : {preprocess.mean, preprocess.std})
    check(numbers.empty() || count(numbers) == config.num_channels, "model file", "the model has ", config.num_channels,
          " channels, but there are means and deviations of ", numbers.size());
  check(preprocess.mean.size() == preprocess.std.size(), "model file", "there are ", preprocess.mean.size(),
        " means, but ", preprocess.std.size(), " standard deviations");
  for (const real deviation : preprocess.std)
    check(deviation > 0, "model file", "a standard deviation must be above 0, got ", deviation);
  check(preprocess.size == config.img_size, "model file", "the model sees images of ", config.img_size.height, " x ",
        config.img_size.width, ", but pictures become ", preprocess.size.height, " x ", preprocess.size.width);
}

}  // namespace

std::string describe_model(const ViTConfig& c, const std::vector<std::string>& class_names,
                           const Preprocess& preprocess) {
  check_description(c, class_names, preprocess);
  const auto pair = [](Size2 size) { return nlohmann::ordered_json{size.height, size.width}; };
  const nlohmann::ordered_json description{{"config",
                                            {{"img_size", pair(c.img_size)},
                                             {"patch_size", pair(c.patch_size)},
                                             {"num_hiddens", c.num_hiddens},
                                             {"mlp_num_hiddens", c.mlp_num_hiddens},
                                             {"num_heads", c.num_heads},
                                             {"num_blks", c.num_blks},
                                             {"emb_dropout", c.emb_dropout},
                                             {"blk_dropout", c.blk_dropout},
                                             {"use_bias", c.use_bias},
                                             {"num_classes", c.num_classes},
                                             {"num_channels", c.num_channels},
                                             {"pool", name_of(c.pool)},
                                             {"layer_norm_eps", c.layer_norm_eps},
                                             {"distilled", c.distilled}}},
                                           {"class_names", class_names},
                                           {"preprocess",
                                            {{"interpolation", name_of(preprocess.interpolation)},
                                             {"crop_pct", preprocess.crop_pct},
                                             {"squash", preprocess.squash},
                                             {"mean", preprocess.mean},
                                             {"std", preprocess.std}}}};
  return description.dump(-1, ' ', false, json::error_handler_t::replace);
}

ModelDescription read_description(const std::string& text, const std::string& place) {
  const json value = parse_json(text, place);
  const Object description(value, place), preprocess = description.object("preprocess");
  // One by one: g++ 12 destroys twice what a braced list has made when a later member of it throws.
  ModelDescription result;
  result.config = read_config(description.object("config"));
  result.class_names = description.names("class_names");
  result.preprocess.size = result.config.img_size;
  result.preprocess.interpolation = interpolation(preprocess, "interpolation");
  result.preprocess.crop_pct = crop_pct(preprocess, "crop_pct");
  result.preprocess.squash = preprocess.has("squash") && preprocess.boolean("squash");  // not in the first files
  result.preprocess.mean = preprocess.numbers("mean");
  result.preprocess.std = preprocess.numbers("std");
  naming("read_description", place, [&] { check_description(result.config, result.class_names, result.preprocess); });
  return result;
}

void write_classifier(const fs::path& path, ViT& model, const std::vector<std::string>& class_names,
                      const Preprocess& preprocess) {
  write_safetensors(path, state_of(model).tensors(), {{"bobbin", describe_model(model.config, class_names, preprocess)}});
}

ModelFile read_model_file(const fs::path& path, const ModelFileOptions& options) {
  Safetensors content = read_safetensors(path);
  return naming("read_model_file", path, [&] {
    const auto note = content.metadata.find("bobbin");
    ModelFile file = note != content.metadata.end() ? read_own(std::move(content.tensors), note->second)
                                                    : read_foreign(std::move(content.tensors), path, options);
    apply(options, file);
    check_description(file.weights.config, file.class_names, file.preprocess);
    check_size(file.weights);
    return file;
  });
}

Classifier read_classifier(const fs::path& path, const ModelFileOptions& options) {
  ModelFile file = read_model_file(path, options);
  Classifier classifier{naming("read_model_file", path, [&] { return make_vit(file.weights); }),
                        std::move(file.class_names), std::move(file.preprocess)};
  eval(classifier.model);
  return classifier;
}

}  // namespace bobbin
