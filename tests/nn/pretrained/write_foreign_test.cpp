// Our models under the names of other libraries, and back; tests/golden/compare_converted.py loads them there.
#include "nn/pretrained/write_foreign.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "data/files/safetensors.h"
#include "data/files/write_file.h"
#include "tests/golden/golden.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;
using nlohmann::json;

namespace {

const ModelFileOptions prepared{.interpolation = Interpolation::bicubic,
                                .crop_pct = 0.875,
                                .mean = std::vector<real>{real(0.5)},
                                .std = std::vector<real>{real(0.25)},
                                .features = true};

ModelFile tower(const std::string& name) {
  const TempFolder folder;
  Safetensors file = read_safetensors("tests/golden/tower_" + name + ".safetensors");
  file.tensors.erase("X");
  write_safetensors(folder / "m.safetensors", file.tensors);
  write_file(folder / "config.json", json::parse(file.metadata.at("golden")).at("config").dump());
  return read_model_file(folder / "m.safetensors", prepared);
}

ModelFile own(ViTConfig config) {
  config.img_size = 8;
  config.patch_size = config.patch_padding == PatchPadding::same ? 3 : 4;
  config.num_hiddens = 8;
  config.mlp_num_hiddens = 16;
  config.num_heads = 2;
  config.num_channels = 3;
  config.num_classes = 2;
  Rng rng(1);
  ViT model(config, rng);
  return {model.config, state_of(model).tensors(), {"a", "b"}, {.size = 8, .mean = {1, 1, 1}, .std = {1, 2, 3}}};
}

// The same model, read again from what was written.
ModelFile again(const ForeignModel& model, ModelFileOptions options = {.features = true}) {
  const TempFolder folder;
  write_safetensors(folder / "model.safetensors", model.tensors);
  for (const auto& [name, content] : model.files) write_file(folder / name, content);
  return read_model_file(folder / "model.safetensors", options);
}

void check_same(const ModelFile& got, const ModelFile& want) {
  Rng rng(2);
  const Size2 size = want.config.img_size();
  const Tensor X = rng.normal({2, want.config.num_channels(), size.height, size.width});
  AnyModel a = make_model(got.config, got.tensors), b = make_model(want.config, want.tensors);
  eval(a), eval(b);
  CHECK(a(X).value().values() == b(X).value().values());  // to the bit
  CHECK(got.class_names == want.class_names);
}

}  // namespace

TEST_CASE("write_foreign: to timm and back, to the bit") {
  for (const char* name : {"clip", "deit3", "registers", "gap", "map", "dinov2", "no_norm", "hf_siglip", "hf_msn"}) {
    CAPTURE(name);
    const ModelFile want = tower(name);
    const ModelFile got = again(for_library(VitOrigin::timm, want));
    check_same(got, want);
    CHECK(got.preprocess.crop_pct == 0.875);
    CHECK(got.preprocess.mean == want.preprocess.mean);
    CHECK(got.preprocess.std == want.preprocess.std);
    CHECK(got.preprocess.interpolation == Interpolation::bicubic);
  }
  check_same(again(for_library(VitOrigin::timm, own({}))), own({}));  // no biases, eps 1e-5
  check_same(again(for_library(VitOrigin::timm, own({.pool = Pool::avg, .layer_norm_eps = real(1e-6)}))),
             own({.pool = Pool::avg, .layer_norm_eps = real(1e-6)}));
  check_same(again(for_library(VitOrigin::timm, own({.pool = Pool::map, .layer_norm_eps = real(1e-6)}))),
             own({.pool = Pool::map, .layer_norm_eps = real(1e-6)}));
  check_same(again(for_library(VitOrigin::timm, own({.layer_norm_eps = real(1e-6), .distilled = true}))),
             own({.layer_norm_eps = real(1e-6), .distilled = true}));
}

TEST_CASE("write_foreign: the names are timm's own") {
  const ForeignModel got = for_library(VitOrigin::timm, tower("map"));
  NamedTensors want = read_safetensors("tests/golden/tower_map.safetensors").tensors;
  want.erase("X");
  CHECK(got.tensors.size() == want.size());
  for (const auto& item : want) {
    const std::string& name = item.first;
    CAPTURE(name);
    REQUIRE(got.tensors.contains(name));
    CHECK(got.tensors.at(name).values() == item.second.values());
  }
}

TEST_CASE("write_foreign: to transformers and torchvision and back, to the bit") {
  const auto check_class = [](const ModelFile& want, const char* model_type) {
    CAPTURE(model_type);
    const ForeignModel model = for_library(VitOrigin::hugging_face, want);
    CHECK(json::parse(model.files.at("config.json")).at("model_type") == model_type);
    check_same(again(model), want);
  };
  check_class(tower("hf_msn"), "vit");
  check_class(tower("hf_dinov2"), "dinov2_with_registers");
  check_class(own({.layer_scale = real(0.1), .pool = Pool::token_and_avg}), "dinov2");
  ViTConfig eps{.layer_norm_eps = real(1e-4), .activation = Activation::quick_gelu};
  const ModelFile got = again(for_library(VitOrigin::hugging_face, own(eps)));
  check_same(got, own(eps));
  CHECK(got.preprocess.crop_pct == 0);
  eps.distilled = true;
  check_same(again(for_library(VitOrigin::hugging_face, own(eps))), own(eps));
  const ForeignModel torchvision = for_library(VitOrigin::torchvision, own({.layer_norm_eps = real(1e-6)}));
  ModelFileOptions options = prepared;
  options.num_heads = 2;
  ModelFile read = again(torchvision, options);
  read.class_names = {"a", "b"};
  check_same(read, own({.layer_norm_eps = real(1e-6)}));
  const std::string load = "; model.load_state_dict(safetensors.torch.load_file('DIR/model.safetensors'))";
  CHECK(torchvision.python == "model = torchvision.models.VisionTransformer(8, 4, 2, 2, 8, 16, num_classes=2)" + load);
  CHECK(for_library(VitOrigin::torchvision, own({})).python ==
        "model = torchvision.models.VisionTransformer(8, 4, 2, 2, 8, 16, num_classes=2, "
        "norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-05))" +
            load);
}

TEST_CASE("write_foreign: what a library does not have is said") {
  // DINOv2's MLP is a whole number of times as wide as a token.
  CHECK(fails([] { for_library(VitOrigin::hugging_face, tower("dinov2")); }, {"is no whole number of times as wide"}));
  const auto says = [](VitOrigin to, const ViTConfig& config, const std::string& what) {
    CHECK(fails([&] { for_library(to, own(config)); }, {what}));
  };
  says(VitOrigin::timm, {.pool = Pool::seq}, "timm has no such model: a mean by weights that are learned");
  for (const VitOrigin to : {VitOrigin::timm, VitOrigin::hugging_face, VitOrigin::torchvision}) {
    says(to, {.norm = Norm::post}, "has no such model: norms after each sum (--norm post)");
    says(to, {.patch_padding = PatchPadding::same}, "zeros around an image that the patch size does not divide");
  }
  says(VitOrigin::timm, {.layer_norm_eps = real(1e-3)}, "an eps of LayerNorm but 1e-6 and 1e-5, 0.001");
  const auto distilled = [](ViTConfig config) {
    config.layer_norm_eps = real(1e-6), config.distilled = true;
    return config;
  };
  says(VitOrigin::timm, distilled({.reg_tokens = 1}), "a distilled one with registers");
  says(VitOrigin::timm, distilled({.no_embed_class = true}), "a distilled one without learned positions of all tokens");
  for (const Positions positions : {Positions::sincos, Positions::none})
    says(VitOrigin::timm, distilled({.positions = positions}), "a distilled one without learned positions of all");
  says(VitOrigin::timm, distilled({.pre_norm = true}), "a distilled one with a norm before the blocks");
  says(VitOrigin::hugging_face, {.pool = Pool::avg}, "a pooling by the mean");
  says(VitOrigin::hugging_face, {.pre_norm = true}, "a norm before the blocks");
  says(VitOrigin::hugging_face, {.layer_scale = real(0.1), .pool = Pool::token_and_avg, .pool_include_prefix = true},
       "a mean of the patches and the tokens before them");
  says(VitOrigin::hugging_face, {.layer_scale = real(0.1)}, "LayerScale with a head for the class token alone");
  says(VitOrigin::torchvision, {.layer_scale = real(0.1)}, "LayerScale or other norms");
  says(VitOrigin::torchvision, {.activation = Activation::gelu_tanh}, "another activation than GELU by erf");
  const ModelFile lenet{AnyConfig::of("lenet"), {}, {}, {}};
  CHECK(fails([&] { for_library(VitOrigin::timm, lenet); }, {"a LeNet is not converted: a ViT is"}));
}

TEST_CASE("read_model_file: a model in several files, by their index") {
  const TempFolder folder;
  const NamedTensors all = read_safetensors("tests/golden/weights_timm.safetensors").tensors;
  NamedTensors parts[2];
  json map;
  int i = 0;
  for (const auto& [name, tensor] : all) {
    const int part = i++ % 2;
    parts[part].emplace(name, tensor);
    map[name] = part == 0 ? "model-00001-of-00002.safetensors" : "model-00002-of-00002.safetensors";
  }
  write_safetensors(folder / "model-00001-of-00002.safetensors", parts[0]);
  write_safetensors(folder / "model-00002-of-00002.safetensors", parts[1]);
  const auto index = folder / "model.safetensors.index.json";
  const auto write = [&](const json& weight_map) { write_file(index, json{{"weight_map", weight_map}}.dump()); };
  write(map);
  ModelFileOptions options = prepared;
  options.num_heads = 2;
  options.pool = Pool::token;
  options.layer_norm_eps = real(1e-6);
  options.activation = Activation::gelu;
  options.img_size = Size2(24);
  const ModelFile got = read_model_file(index, options);
  const ModelFile want = read_model_file("tests/golden/weights_timm.safetensors", options);
  check_same(got, want);
  CHECK(fails([&] { read_model_file(folder / "model-00001-of-00002.safetensors", options); },
              {"one of several files", "ends in .index.json"}));
  json wrong = map;
  wrong["no.such"] = "model-00001-of-00002.safetensors";
  write(wrong);
  CHECK(fails([&] { read_model_file(index, options); }, {"says that \"no.such\" is in model-00001", "but it is not"}));
  wrong = map;
  wrong["cls_token"] = "../model-00001-of-00002.safetensors";
  write(wrong);
  CHECK(fails([&] { read_model_file(index, options); }, {"names \"../model", "which should be a file beside it"}));
  wrong["cls_token"] = 1;
  write(wrong);
  CHECK(fails([&] { read_model_file(index, options); }, {"weight_map.cls_token should be a string"}));
  write(json::object());
  CHECK(fails([&] { read_model_file(index, options); }, {"names no file"}));
  std::filesystem::remove(folder / "model-00002-of-00002.safetensors");
  write(map);
  CHECK(fails([&] { read_model_file(index, options); }, {"model-00002-of-00002.safetensors"}));
}
