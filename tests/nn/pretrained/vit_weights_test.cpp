// Weights of timm, torchvision and transformers: their logits from our model (tests/golden/make_weights.py).
#include "nn/pretrained/vit_weights.h"

#include <cinttypes>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>

#include "data/files/safetensors.h"
#include "nn/models/any_model.h"
#include "nn/pretrained/unwrap.h"
#include "tests/golden/golden.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// What timm's and transformers' golden files do not say; torchvision's code and d2l's say all but the heads.
const VitHints two_heads{.num_heads = 2};
const VitHints of_timm{.num_heads = 2,
                       .pool = Pool::token,
                       .layer_norm_eps = real(1e-6),
                       .activation = Activation::gelu,
                       .trained_size = Size2(24)};

VitHints hints_of(const std::string& file) {
  if (file == "torchvision") return two_heads;
  VitHints hints = of_timm;
  if (file == "timm_avg") hints.pool = Pool::avg;
  if (file == "transformers") hints.layer_norm_eps = real(1e-12);
  return hints;
}

Safetensors read(const std::string& name) { return read_safetensors("tests/golden/weights_" + name + ".safetensors"); }

// What the library computes, which stands in the metadata.
nlohmann::json golden(const std::map<std::string, std::string>& metadata) {
  return nlohmann::json::parse(metadata.at("golden"));
}
Tensor golden_logits(const Safetensors& file, const std::string& name = "logits") {
  const auto values = golden(file.metadata).at(name).get<std::vector<real>>();
  return Tensor({1, static_cast<Index>(values.size())}, values);
}

AnyModel made(const VitWeights& weights) { return make_model(weights.config, weights.tensors); }

Tensor logits(const VitWeights& weights, const std::string& input) {
  return made(weights)(read("inputs").tensors.at(input)).value();
}

// The tensors under names that `rename` gives them.
NamedTensors renamed(const NamedTensors& tensors, const std::function<std::string(std::string)>& rename) {
  NamedTensors result;
  for (const auto& [name, tensor] : tensors) result.emplace(rename(name), tensor);
  return result;
}

std::string replaced(std::string text, const std::string& part, const std::string& by) {
  if (const auto at = text.find(part); at != std::string::npos) text.replace(at, part.size(), by);
  return text;
}

}  // namespace

TEST_CASE("vit_weights: the logits of timm, torchvision and transformers") {
  const struct {
    std::string file;
    VitOrigin origin;
    double eps;
  } cases[] = {{"timm", VitOrigin::timm, 1e-6},
               {"timm_distilled", VitOrigin::timm, 1e-6},
               {"timm_avg", VitOrigin::timm, 1e-6},
               {"timm_no_qkv_bias", VitOrigin::timm, 1e-6},
               {"torchvision", VitOrigin::torchvision, 1e-6},
               {"transformers", VitOrigin::hugging_face, 1e-12}};
  for (const auto& c : cases) {
    CAPTURE(c.file);
    const Safetensors file = read(c.file);
    const VitWeights weights = vit_weights(file.tensors, hints_of(c.file));
    CHECK(weights.origin == c.origin);
    const ViTConfig& config = weights.config;
    CHECK(config.img_size == Size2(24));
    CHECK(config.patch_size == Size2(8));
    CHECK(config.num_hiddens == 16);
    CHECK(config.mlp_num_hiddens == 24);
    CHECK(config.num_heads == 2);
    CHECK(config.num_blks == 2);
    CHECK(config.emb_dropout == 0);
    CHECK(config.blk_dropout == 0);
    CHECK(config.use_bias);
    CHECK(config.num_classes == 5);
    CHECK(config.num_channels == 3);
    CHECK(config.pool == (c.file == "timm_avg" ? Pool::avg : Pool::token));
    CHECK(config.distilled == (c.file == "timm_distilled"));
    CHECK(config.layer_norm_eps == real(c.eps));
    check_golden("logits", logits(weights, "X"), golden_logits(file));

    if (c.origin == VitOrigin::timm) {  // images of another size and shape
      VitWeights other = weights;
      set_img_size(other.config, other.tensors, {40, 16});
      CHECK(other.config.img_size == Size2(40, 16));
      check_golden("logits_other_size", logits(other, "X_other_size"), golden_logits(file, "logits_other_size"));
    }
  }
}

TEST_CASE("vit_weights: transformers' DeiT, with two heads and with one") {
  const Safetensors file = read("deit");
  const auto of = [&](bool teacher, const std::string& body) {
    NamedTensors tensors;
    for (const auto& [name, tensor] : file.tensors)
      if (!contains(name, "classifier") || name.starts_with("classifier") != teacher)
        tensors.emplace(replaced(name, "deit.", body), tensor);
    return tensors;
  };
  for (const std::string body : {"deit.", "model.deit."}) {
    const auto weights = [&](bool teacher) {
      NamedTensors tensors;
      for (const auto& [name, tensor] : of(teacher, "deit."))
        tensors.emplace(replaced(body, "deit.", "") + name, tensor);
      return vit_weights(unwrap({{tensors, {}}}).tensors, hints_of("transformers"));
    };
    const VitWeights teacher = weights(true), alone = weights(false);
    CHECK(teacher.config.distilled);
    CHECK(teacher.num_patches == 9);
    check_golden("both heads", logits(teacher, "X"), golden_logits(file));
    check_golden("one head", logits(alone, "X"), golden_logits(file, "logits_alone"));
  }
  // The class token's head without the other is none of transformers' models.
  NamedTensors half = unwrap({{of(true, "deit."), {}}}).tensors;
  half.erase("cls_classifier.weight");
  CHECK(fails([&] { name_weights(half); }, {"no tensor for head.1.weight"}));
}

TEST_CASE("vit_weights: torchvision's old names, transformers' names in memory, and d2l's own") {
  const auto old = read("torchvision");
  const NamedTensors old_names = renamed(old.tensors, [](const std::string& name) {
    return replaced(replaced(name, ".mlp.0.", ".mlp.linear_1."), ".mlp.3.", ".mlp.linear_2.");
  });
  CHECK(old_names.contains("encoder.layers.encoder_layer_1.mlp.linear_2.bias"));
  check_golden("old names", logits(vit_weights(old_names, two_heads), "X"), golden_logits(old));

  const Safetensors current = read("transformers");
  const NamedTensors in_memory = renamed(current.tensors, [](std::string name) {
    for (const auto& [part, by] :
         std::vector<std::pair<std::string, std::string>>{{"encoder.layer.", "layers."},
                                                          {"attention.attention.query", "attention.q_proj"},
                                                          {"attention.attention.key", "attention.k_proj"},
                                                          {"attention.attention.value", "attention.v_proj"},
                                                          {"attention.output.dense", "attention.o_proj"},
                                                          {"intermediate.dense", "mlp.fc1"},
                                                          {"output.dense", "mlp.fc2"}})
      name = replaced(name, part, by);
    return name;
  });
  const auto names = golden(current.metadata).at("names_in_memory").get<std::vector<std::string>>();
  for (const std::string& name : names) CHECK(in_memory.contains(name));
  CHECK(names.size() == in_memory.size());
  check_golden("in memory", logits(vit_weights(in_memory, hints_of("transformers")), "X"), golden_logits(current));

  // d2l's class, whose state_dict somebody has saved.
  const Golden d2l("vit_rect_bias");
  Rng rng(1);
  ViT model({.img_size = {12, 8},
             .patch_size = {4, 2},
             .num_hiddens = 16,
             .mlp_num_hiddens = 40,
             .num_heads = 2,
             .num_blks = 3,
             .use_bias = true,
             .num_classes = 5,
             .num_channels = 3},
            rng);
  NamedTensors state;
  for (auto& [name, parameter] : named_parameters(model)) state.emplace(name, d2l.tensor("weights/" + name));
  CHECK(fails([&] { vit_weights(state, two_heads); }, {"do not say", "image size: all of them must be given"}));
  const VitWeights weights = vit_weights(state, {.num_heads = 2, .trained_size = Size2(12, 8)});
  CHECK(weights.origin == VitOrigin::d2l);
  CHECK(weights.config.layer_norm_eps == real(1e-5));
  check_golden("d2l", made(weights)(d2l.tensor("X")).value(), d2l.tensor("logits"));
  CHECK(fails([&] { vit_weights(state, {.num_heads = 2, .trained_size = Size2(12, 10)}); },
              {"of 12 patches, which do not fit an image of 12 x 10"}));
}

TEST_CASE("vit_weights: nothing that the weights do not say is guessed") {
  const NamedTensors tensors = read("timm").tensors;
  CHECK(fails([&] { vit_weights(tensors); }, {"do not say", "all of them must be given"}));
  const auto without = [&](auto member) {
    VitHints hints = of_timm;
    (hints.*member).reset();
    return fails([&] { vit_weights(tensors, hints); }, {"all of them must be given"});
  };
  CHECK(without(&VitHints::num_heads));
  CHECK(without(&VitHints::pool));
  CHECK(without(&VitHints::layer_norm_eps));
  CHECK(without(&VitHints::activation));
  CHECK(without(&VitHints::trained_size));
}

TEST_CASE("vit_weights: what is wrong is named") {
  const NamedTensors good = read("timm").tensors;
  const auto with = [&](const std::string& name, const Tensor& tensor) {
    NamedTensors tensors = good;
    tensors.erase(name);
    if (tensor.defined()) tensors.emplace(name, tensor);
    return error_of([&] { made(vit_weights(tensors, of_timm)); });
  };
  CHECK(with("cls_token", good.at("cls_token")) == "");
  CHECK(fails([] { vit_weights({}); }, {"among 0 tensors there is no patch_embedding.conv.weight"}));
  CHECK(contains(with("patch_embed.proj.weight", {}), "not weights of a Vision Transformer"));
  CHECK(contains(with("pos_embed", {}), "no tensor for pos_embedding"));
  CHECK(contains(with("head.weight", {}), "1 is unexpected: \"head.1.bias\""));
  CHECK(contains(with("pos_embed", Tensor::ones({10, 16})), "should have 3 axes, but its shape is (10, 16)"));
  CHECK(contains(with("pos_embed", Tensor::ones({1, 12, 16})), "of 11 patches, which do not fit an image of 24 x 24"));
  CHECK(contains(with("fc_norm.weight", Tensor::ones({16})), "two tensors are the \"head.0.weight\""));
  CHECK(contains(with("blocks.0.attn.qkv.weight", Tensor::ones({47, 16})), "(47, 16) cannot be cut in three"));
  CHECK(contains(with("blocks.0.attn.qkv.weight", Tensor::scalar(1)), "() cannot be cut in three"));
  CHECK(contains(with("blocks.1.attn.proj.bias", {}), "1 is missing: blks.1.attention.W_o.bias"));
  CHECK(contains(with("blocks.0.ls1.gamma", Tensor::ones({16})), "are missing: blks.0.ls2.gamma, blks.1.ls1.gamma"));
  CHECK(contains(with("blocks.0.ls3.gamma", Tensor::ones({16})), "1 is unexpected: \"blocks.0.ls3.gamma\" (16)"));
  CHECK(contains(with("blocks.7.norm1.weight", Tensor::ones({16})), "unexpected: \"blks.7.ln1.weight\""));
  CHECK(contains(with("norm.weight", Tensor::ones({17})), "head.0.weight is (17), expected (16)"));
  VitHints hints = of_timm;
  hints.num_heads = -1;
  CHECK(fails([&] { vit_weights(good, hints); }, {"num_heads must be 1 or more, got -1"}));
  hints.num_heads = 3;
  CHECK(fails([&] { made(vit_weights(good, hints)); }, {"3 heads do not divide"}));
  hints.trained_size = 25;
  CHECK(fails([&] { vit_weights(good, hints); }, {"25 x 25", "8 x 8"}));
  // Only of timm's models, and of CLIP's classifier, the head may have no norm.
  const auto without = [](const std::string& file, const std::string& norm, const VitHints& hints) {
    NamedTensors tensors = read(file).tensors;
    std::erase_if(tensors, [&](const auto& item) { return item.first.starts_with(norm); });
    return error_of([&] { made(vit_weights(tensors, hints)); });
  };
  const std::string missing = "2 are missing: head.0.weight, head.0.bias";
  CHECK(contains(without("torchvision", "encoder.ln.", two_heads), missing));
  CHECK(contains(without("transformers", "vit.layernorm.", hints_of("transformers")), missing));
  Rng rng(1);
  ViT ours({.img_size = 8, .patch_size = 4, .num_hiddens = 8, .mlp_num_hiddens = 8, .num_heads = 2}, rng);
  NamedTensors d2l = state_of(ours).tensors();
  d2l.erase("head.0.weight"), d2l.erase("head.0.bias");
  CHECK(contains(error_of([&] { made(vit_weights(d2l, {.num_heads = 2, .trained_size = Size2(8)})); }), missing));
  // Shapes that would make an enormous model.
  CHECK(contains(with("patch_embed.proj.weight", Tensor::ones({100000, 1, 8, 8})), "\"num_hiddens\":100000"));
}

TEST_CASE("resize_positions: as timm's resample_abs_pos_embed") {
  const NamedTensors golden = read("inputs").tensors;
  const Tensor& positions = golden.at("positions");
  int cases = 0;
  for (const auto& [name, want] : golden) {
    Index height = 0, width = 0;
    if (std::sscanf(name.c_str(), "positions/%" SCNd64 "x%" SCNd64, &height, &width) != 2) continue;
    check_golden(name, resize_positions(positions, 3, {height, width}), want);
    ++cases;
  }
  CHECK(cases == 5);
  CHECK(resize_positions(positions, 3, 3).values() == positions.values());
  CHECK(fails([&] { resize_positions(positions, 4, 2); }, {"of 4 x 4 patches, got (1, 11, 2)"}));
}
