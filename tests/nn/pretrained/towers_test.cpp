// Models of timm and transformers with parts that d2l's ViT has not: what they make of images, from our model
// (tests/golden/make_towers.py).
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "data/files/safetensors.h"
#include "data/files/write_file.h"
#include "nn/pretrained/model_file.h"
#include "tests/golden/golden.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;
using nlohmann::json;

namespace {

const ModelFileOptions prepared{.interpolation = Interpolation::bilinear,
                                .crop_pct = 0,
                                .mean = std::vector<real>{0},
                                .std = std::vector<real>{1},
                                .features = true};

struct Tower {
  TempFolder folder;
  NamedTensors tensors;
  json note;
  Tensor X;

  explicit Tower(const std::string& name) {
    Safetensors file = read_safetensors("tests/golden/tower_" + name + ".safetensors");
    note = json::parse(file.metadata.at("golden"));
    X = file.tensors.extract("X").mapped();
    tensors = file.tensors;
    write_safetensors(path(), tensors);
    config(note.at("config"));
  }
  std::filesystem::path path() const { return folder / "model.safetensors"; }
  void config(const json& content) const { write_file(folder / "config.json", content.dump()); }
  Tensor numbers(const char* key) const {
    const auto values = note.at(key).get<std::vector<real>>();
    return Tensor({2, static_cast<Index>(values.size()) / 2}, values);
  }
};

}  // namespace

TEST_CASE("towers: what timm and transformers make of images") {
  for (const std::string name : {"clip", "deit3", "registers", "gap", "map", "dinov2", "no_norm", "hf_dinov2",
                                 "hf_siglip", "hf_clip", "hf_msn"}) {
    CAPTURE(name);
    const Tower tower(name);
    Classifier got = read_classifier(tower.path(), prepared);
    check_golden("out", got.model(tower.X).value(), tower.numbers("out"), 1e-5);
    if (tower.note.contains("features"))
      check_golden("features", got.model.features(tower.X).value(), tower.numbers("features"), 1e-5);
    // All of it stands in a file of ours, too.
    const TempFolder folder;
    const std::string description = describe_model({got.model.config(), got.class_names, got.preprocess, got.scores});
    write_safetensors(folder / "m", state_of(got.model).tensors(), {{"bobbin", description}});
    Classifier again = read_classifier(folder / "m", {.features = true});
    if (got.class_names.empty()) CHECK(fails([&] { read_classifier(folder / "m"); }, {"these weights have no head"}));
    CHECK(again.model(tower.X).value().values() == got.model(tower.X).value().values());
  }
}

TEST_CASE("towers: without a head there are features, and a new head can learn") {
  const Tower tower("gap");
  ModelFileOptions options = prepared;
  options.features = false;
  CHECK(fails([&] { read_model_file(tower.path(), options); }, {"have no head", "train --finetune", "--features"}));
  options.new_head = true;
  ModelFile file = read_model_file(tower.path(), options);
  file.config.num_classes() = 3;
  Rng rng(1);
  AnyModel model(file.config, rng);
  state_of(model).load(file.tensors, file.config.heads());
  CHECK(model(tower.X).shape() == Shape{2, 3});
  CHECK(model.features(tower.X).shape() == Shape{2, 16});
}

TEST_CASE("towers: a config that says another model than the weights are is refused") {
  const auto says = [](const char* name, const char* key, const json& value, const std::string& what) {
    const Tower tower(name);
    json changed = tower.note.at("config");
    changed[json::json_pointer(key)] = value;
    tower.config(changed);
    CAPTURE(key);
    const std::string text = error_of([&] { read_model_file(tower.path(), prepared); });
    CAPTURE(text);
    CHECK(contains(text, what));
  };
  says("clip", "/model_args/pre_norm", false, "says norms before the first block 0, but the weights have 1");
  says("deit3", "/model_args/init_values", nullptr, "says LayerScales 0, but the weights have 1");
  says("deit3", "/model_args/no_embed_class", false,
       "says images of 16 x 16, but the weights have position embeddings");
  says("registers", "/model_args/reg_tokens", 4, "says registers 4, but the weights have 2");
  says("registers", "/model_args/class_token", true, "says class tokens 1, but the weights have 0");
  says("registers", "/model_args/fc_norm", false, "so that there is no fc_norm among the weights, but there is one");
  says("gap", "/model_args/fc_norm", true, "so that there is an fc_norm among the weights, but there is none");
  says("gap", "/model_args/global_pool", "map", "the pooling is map, which does not fit the weights");
  says("map", "/model_args/global_pool", "avg", "so that there is an fc_norm");
  says("no_norm", "/model_args/final_norm", true, "says that there is a norm before the head, but");
  says("hf_dinov2", "/num_register_tokens", 4, "says num_register_tokens 4, but the weights have 2");
  says("hf_dinov2", "/model_type", "dinov2", "model_type should be dinov2_with_registers");
  says("hf_dinov2", "/use_swiglu_ffn", true, "use_swiglu_ffn should be false");
  says("hf_clip", "/model_type", "siglip_vision_model", "model_type should be clip or clip_vision_model");
  says("hf_clip", "/model_type", "chinese_clip_vision_model", "model_type should be clip or clip_vision_model");
  says("hf_siglip", "/hidden_act", "relu", "hidden_act should be gelu, gelu_new, gelu_pytorch_tanh or quick_gelu");
  says("hf_msn", "/model_type", "deit", "model_type should be vit or vit_mae or vit_msn");
}

TEST_CASE("towers: what no file says is asked for") {
  const auto asks = [](const char* name, const ModelFileOptions& options, const std::vector<std::string>& what) {
    const Tower tower(name);
    std::filesystem::remove(tower.folder / "config.json");
    CHECK(fails([&] { read_model_file(tower.path(), options); }, what));
  };
  ModelFileOptions all = prepared;
  all.num_heads = 4;
  all.layer_norm_eps = real(1e-6);
  all.activation = Activation::gelu;
  all.img_size = Size2(16);
  asks("map", all, {"do not say whether the pooling sees the tokens before the patches"});
  asks("gap", all, {"do not say the pooling (--global-pool)"});
  all.pool = Pool::token;  // positions of four patches, which the image has: so there are none for the class token
  const Tower tower("deit3");
  std::filesystem::remove(tower.folder / "config.json");
  Classifier got = read_classifier(tower.path(), all);
  check_golden("out", got.model(tower.X).value(), tower.numbers("out"), 1e-5);
}

TEST_CASE("towers: CLIP and SigLIP with the part that reads, and a MAE with its decoder") {
  Tower clip("hf_clip");
  NamedTensors both;
  for (const auto& [name, tensor] : clip.tensors) both.emplace("vision_model." + name, tensor);
  both.emplace("text_model.embeddings.token_embedding.weight", Tensor::ones({9, 4}));
  both.emplace("visual_projection.weight", Tensor::ones({4, 16}));
  both.emplace("logit_scale", Tensor::scalar(1));
  write_safetensors(clip.path(), both);
  json whole{{"model_type", "clip"}, {"vision_config", clip.note.at("config")}, {"text_config", json::object()}};
  clip.config(whole);
  Classifier got = read_classifier(clip.path(), prepared);
  check_golden("out", got.model(clip.X).value(), clip.numbers("out"), 1e-5);
  CHECK(contains(got.taken, "without its text model and projections"));
  // What transformers takes where there are two: the second, and its defaults.
  whole["vision_config_dict"] = whole["vision_config"];
  whole["vision_config"]["hidden_act"] = "gelu";
  whole["vision_config"]["num_attention_heads"] = 1;
  clip.config(whole);
  check_golden("out", read_classifier(clip.path(), prepared).model(clip.X).value(), clip.numbers("out"), 1e-5);
  whole["vision_config"] = whole["vision_config_dict"];
  whole["vision_config_dict"].erase("num_attention_heads");
  clip.config(whole);
  CHECK(fails([&] { read_classifier(clip.path(), prepared); }, {"12"}));
  auto norm = both.extract("vision_model.pre_layrnorm.weight");
  write_safetensors(clip.path(), both);
  CHECK(fails([&] { read_classifier(clip.path(), prepared); }, {"no tensor vision_model.pre_layrnorm.weight", "CLIP"}));
  both.emplace(norm.key(), norm.mapped());
  // CLIP's classifier: the mean of the patches, of which none is normalised.
  both.emplace("classifier.weight", Tensor::ones({3, 16}));
  both.emplace("classifier.bias", Tensor::zeros({3}));
  write_safetensors(clip.path(), both);
  const ViTConfig* config = read_model_file(clip.path(), prepared).config.as<ViTConfig>();
  CHECK(config->pool == Pool::avg);
  CHECK(config->head_norm == HeadNorm::none);

  NamedTensors mae = read_safetensors("tests/golden/weights_transformers.safetensors").tensors;
  std::erase_if(mae, [](const auto& item) { return item.first.starts_with("classifier."); });
  mae.emplace("decoder.decoder_embed.weight", Tensor::ones({4, 16}));
  write_safetensors(clip.path(), mae);
  clip.config({{"model_type", "vit_mae"}, {"image_size", 24}, {"num_attention_heads", 2}, {"mask_ratio", 0.75}});
  CHECK(contains(read_model_file(clip.path(), prepared).taken, "without its decoder"));
}
