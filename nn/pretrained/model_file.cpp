#include "nn/pretrained/model_file.h"

#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "data/files/json.h"
#include "data/files/read_file.h"
#include "nn/pretrained/foreign.h"
#include "nn/pretrained/unwrap.h"
#include "nn/pretrained/vit_weights.h"
#include "tensor/check.h"
#include "tensor/functions.h"

namespace bobbin {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

// What a reader of a description can rely on.
void check_description(const AnyConfig& config, const std::vector<std::string>& class_names,
                       const Preprocess& preprocess) {
  const auto count = [](const auto& items) { return static_cast<Index>(items.size()); };
  const auto [height, width] = config.img_size();
  check(count(class_names) == config.num_classes(), "model file", "the model has ", config.num_classes(),
        " classes, but ", class_names.size(), " have names");
  for (const std::vector<real>& numbers : {preprocess.mean, preprocess.std})
    check(numbers.empty() || count(numbers) == config.num_channels(), "model file", "the model has ",
          config.num_channels(), " channels, but there are means and deviations of ", numbers.size());
  check(preprocess.mean.size() == preprocess.std.size(), "model file", "there are ", preprocess.mean.size(),
        " means, but ", preprocess.std.size(), " standard deviations");
  for (const real deviation : preprocess.std)
    check(deviation > 0, "model file", "a standard deviation must be above 0, got ", deviation);
  check(preprocess.crop_pct == 0 || preprocess.crop_pct >= 0.1, "model file",
        "crop_pct should be 0, or from 0.1 to 1, got ", preprocess.crop_pct);
  check(preprocess.size == config.img_size(), "model file", "the model sees images of ", height, " x ", width,
        ", but pictures become ", preprocess.size.height, " x ", preprocess.size.width);
}

// To a file of ours.
void apply(const ModelFileOptions& options, ModelFile& file) {
  check(
      !options.pool && !options.layer_norm_eps && !options.activation && options.weights.empty(), "model file",
      "--global-pool, --layer-norm-eps, --act and --weights are for the weights of other libraries: this file says it");
  auto* vit = file.config.as<ViTConfig>();
  check(vit || options.num_heads == 0, "model file", "--num-heads is for a ViT, and this is a ", file.config.title());
  check(options.num_heads == 0 || options.num_heads == vit->num_heads, "model file", "the model has ",
        vit ? vit->num_heads : 0, " attention heads, this file says, so --num-heads ", options.num_heads,
        " would make another one of it");
  if (options.img_size && *options.img_size != file.config.img_size()) {
    check(vit || file.config.takes_any_size(), "model file", "a ", file.config.title(), " sees images of ",
          file.config.img_size().height, " x ", file.config.img_size().width, " only: its weights are for these");
    if (vit)
      set_img_size(*vit, file.tensors, *options.img_size);
    else
      file.config.img_size() = *options.img_size;
  }
  if (options.interpolation) file.preprocess.interpolation = *options.interpolation;
  if (options.crop_pct) {
    file.preprocess.crop_pct = *options.crop_pct;
    file.preprocess.squash = false;
  }
  if (options.mean) file.preprocess.mean = *options.mean;
  if (options.std) file.preprocess.std = *options.std;
  spread(file.preprocess, file.config.num_channels());
  file.preprocess.size = file.config.img_size();
}

}  // namespace

std::string describe_model(const ModelDescription& d) {
  check_description(d.config, d.class_names, d.preprocess);
  AnyConfig config = d.config;
  Preprocess preprocess = d.preprocess;
  nlohmann::ordered_json all{{"model", config.name()},
                             {"config", to_json(fields_of(config))},
                             {"class_names", d.class_names},
                             {"preprocess", to_json(fields_of(preprocess))}};
  if (!preprocess.no_exif) all["preprocess"].erase("no_exif");
  if (d.scores == Scores::sigmoid) all["scores"] = "sigmoid";
  return to_text(all);
}

ModelDescription read_description(const std::string& text, const std::string& place) {
  const json value = parse_json(text, place);
  const JsonObject description(value, place);
  // One by one: g++ 12 destroys twice what a braced list has made when a later member of it throws.
  ModelDescription result{AnyConfig::of(description.has("model") ? description.text("model") : "vit"), {}, {}};
  read_json(fields_of(result.config), description.object("config"));
  result.class_names = description.names("class_names");
  result.preprocess.size = result.config.img_size();
  read_json(fields_of(result.preprocess), description.object("preprocess"));
  if (description.has("scores")) {
    const bool sigmoid = description.text("scores") == "sigmoid";
    description.expect(sigmoid || description.text("scores") == "softmax", "scores", "softmax or sigmoid");
    if (sigmoid) result.scores = Scores::sigmoid;
  }
  with_context("read_description", place,
               [&] { check_description(result.config, result.class_names, result.preprocess); });
  return result;
}

namespace {

// One of several files of a model: "model-00001-of-00003.safetensors".
bool is_shard(const std::string& name) {
  const auto of = name.rfind("-of-");
  if (of == std::string::npos || of < 6) return false;
  const std::string part = name.substr(of - 5, 5), parts = name.substr(of + 4, 5);
  const auto is_number = [](const std::string& text) {
    return text.size() == 5 && text.find_first_not_of("0123456789") == std::string::npos;
  };
  return is_number(part) && is_number(parts) && parts != "00001";
}

// A model in several files, by the index beside them that transformers writes: model.safetensors.index.json.
ReadableTensors read_shards(const fs::path& index) {
  const std::vector<std::uint8_t> text = read_file("read_model_file", index, std::uintmax_t{1} << 24);
  const json value = parse_json({text.begin(), text.end()}, index.string());
  const JsonObject map = JsonObject(value, index.string()).object("weight_map");
  std::map<std::string, std::set<std::string>> shards;  // the names in each file
  for (const std::string& name : map.keys()) shards[map.text(name.c_str())].insert(name);
  check(!shards.empty(), "read_model_file", index, " names no file");
  ReadableTensors all;
  for (const auto& [file, names] : shards) {
    check(fs::path(file).filename() == file && file != "..", "read_model_file", index, " names ", Quoted{file},
          ", which should be a file beside it");
    ReadableTensors part = read_readable_safetensors(index.parent_path() / file);
    for (const std::string& name : names)
      check(part.tensors.contains(name) || part.unread.contains(name), "read_model_file", index, " says that ",
            Quoted{name}, " is in ", file, ", but it is not");
    const auto add = [&wanted = names](auto& to, auto& from) {
      for (auto& [name, what] : from)
        if (wanted.contains(name)) to.emplace(name, std::move(what));
    };
    add(all.tensors, part.tensors);
    add(all.unread, part.unread);
    for (const std::string& name : part.whole)
      if (names.contains(name)) all.whole.insert(name);
  }
  return all;
}

}  // namespace

ModelFile read_model_file(const fs::path& path, const ModelFileOptions& options) {
  ReadableTensors content =
      path.filename().string().ends_with(".index.json") ? read_shards(path) : read_readable_safetensors(path);
  return with_context("read_model_file", path, [&] {
    const auto note = content.metadata.find("bobbin");
    const auto read = [&]() -> ModelFile {
      if (note == content.metadata.end()) {
        check(!content.metadata.contains("training"), "read_model_file", "this is a checkpoint of a training run, ",
              "which train --resume goes on with; the model is in model.safetensors and best.safetensors beside it");
        check(!is_shard(path.filename().string()), "read_model_file", "this is one of several files of a model: ",
              "the file that ends in .index.json, beside them, stands for all");
        const Unwrapped model = unwrap(std::move(content));
        ModelFile file = read_foreign(model.tensors, path, options, model.note);
        check(model.layer.empty() || options.new_head, "read_model_file", "there are layers outside the model (",
              model.note, "), such as ", Quoted{model.layer},
              ", which may make something else of its logits: ", "train --finetune begins with the model alone");
        file.numbered = file.class_names.empty();
        for (Index i = 0; file.numbered && i < file.config.num_classes(); ++i)
          file.class_names.push_back(std::to_string(i));
        return file;
      }
      for (const auto& [name, why] : content.unread)
        fail("read_model_file", "there is the tensor ", Quoted{name}, " ", why);
      ModelDescription own = read_description(note->second, "its description");
      ModelFile file{std::move(own.config), std::move(content.tensors), std::move(own.class_names),
                     std::move(own.preprocess), own.scores};
      check_head(file.config.num_classes(), options, "");
      apply(options, file);
      return file;
    };
    ModelFile file = read();
    file.preprocess.no_exif |= options.no_exif;
    check_description(file.config, file.class_names, file.preprocess);
    check_size(file.config, file.tensors);
    return file;
  });
}

bool Classifier::may_be(std::size_t c, const std::string& name) const {
  return class_names[c] == name || (numbered && name.find_first_not_of("0123456789") != name.npos);
}

Tensor Classifier::probabilities(const Tensor& logits) const {
  return scores == Scores::sigmoid ? sigmoid(logits) : softmax(logits);
}

Classifier read_classifier(const fs::path& path, const ModelFileOptions& options) {
  ModelFile file = read_model_file(path, options);
  Classifier classifier{with_context("read_model_file", path, [&] { return make_model(file.config, file.tensors); }),
                        std::move(file.class_names),
                        std::move(file.preprocess),
                        file.scores,
                        std::move(file.taken),
                        file.numbered};
  eval(classifier.model);
  return classifier;
}

}  // namespace bobbin
