// The model in a file that wrappers and training programs have written, and what else is in it.
#include "nn/pretrained/unwrap.h"

#include <nlohmann/json.hpp>

#include "data/files/write_file.h"
#include "nn/pretrained/model_file.h"
#include "nn/pretrained/resnet_weights.h"
#include "nn/pretrained/vit_weights.h"
#include "tests/golden/golden.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

const VitHints of_timm{.num_heads = 2,
                       .pool = Pool::token,
                       .layer_norm_eps = real(1e-6),
                       .activation = Activation::gelu,
                       .trained_size = Size2(24)};
const ModelFileOptions of_file{.num_heads = 2,
                               .img_size = Size2(24),
                               .interpolation = Interpolation::bilinear,
                               .crop_pct = 0,
                               .mean = std::vector<real>{0},
                               .std = std::vector<real>{1},
                               .pool = Pool::token,
                               .layer_norm_eps = real(1e-6),
                               .activation = Activation::gelu};

Safetensors read(const std::string& name) { return read_safetensors("tests/golden/weights_" + name + ".safetensors"); }

NamedTensors under(const std::string& prefix, const NamedTensors& tensors) {
  NamedTensors result;
  for (const auto& [name, tensor] : tensors) result.emplace(prefix + name, tensor);
  return result;
}

NamedTensors both(NamedTensors a, const NamedTensors& b) {
  a.insert(b.begin(), b.end());
  return a;
}

Unwrapped unwrap_all(const NamedTensors& tensors) { return unwrap({{tensors, {}}}); }

// timm's golden weights with these names beside them.
std::string error_with(const std::vector<std::string>& names, const std::string& prefix = "") {
  NamedTensors tensors = read("timm").tensors;
  for (const std::string& name : names) tensors.emplace(name, Tensor::ones({16}));
  return error_of([&] { unwrap_all(under(prefix, tensors)); });
}

}  // namespace

TEST_CASE("unwrap: whatever stands before all names of a model") {
  const Safetensors file = read("timm");
  const auto logits = [&](const NamedTensors& tensors) {
    const VitWeights weights = vit_weights(unwrap_all(tensors).tensors, of_timm);
    return make_model(weights.config, weights.tensors)(read("inputs").tensors.at("X")).value();
  };
  const auto golden = nlohmann::json::parse(file.metadata.at("golden")).at("logits").get<std::vector<real>>();
  const Tensor want({1, static_cast<Index>(golden.size())}, golden);
  for (const std::string prefix : {"", "module.", "_orig_mod.", "model.", "backbone.", "net.", "encoder.",
                                   "module._orig_mod.", "model.module.", "student.backbone.", "any.thing.0."}) {
    CAPTURE(prefix);
    check_golden("logits", logits(under(prefix, file.tensors)), want);
  }
  // In the middle of names, where single layers were wrapped.
  NamedTensors inside;
  for (const auto& [name, tensor] : file.tensors) {
    std::string wrapped = name;
    if (name.starts_with("blocks.1.")) wrapped.insert(9, "_fsdp_wrapped_module._checkpoint_wrapped_module.");
    if (name.starts_with("head.")) wrapped.insert(5, "_orig_mod.");
    inside.emplace("_fsdp_wrapped_module." + wrapped, tensor);
  }
  check_golden("logits", logits(inside), want);
  CHECK(fails([&] { unwrap_all(both(inside, file.tensors)); }, {"two tensors are called"}));

  // The other libraries' first layers, and those of transformers with and without a head.
  for (const std::string name : {"torchvision", "transformers", "deit"}) {
    const NamedTensors tensors = read(name).tensors;
    const NamedTensors plain = unwrap_all(tensors).tensors, wrapped = unwrap_all(under("module.", tensors)).tensors;
    REQUIRE(plain.size() == tensors.size());
    REQUIRE(wrapped.size() == tensors.size());
    for (auto a = plain.begin(), b = wrapped.begin(); a != plain.end(); ++a, ++b) CHECK(a->first == b->first);
    if (name == "torchvision") continue;
    NamedTensors bare;
    const std::size_t body = name == "deit" ? 5 : 4;
    for (const auto& [key, tensor] : tensors)
      if (!contains(key, "classifier")) bare.emplace(key.substr(body), tensor);
    CHECK(name_weights(unwrap_all(bare).tensors).config.num_classes == 0);
    CHECK(name_weights(unwrap_all(under("model.", bare)).tensors).num_patches == 9);
    CHECK(unwrap_all(under("model.", bare)).note == "under model.");
  }
}

TEST_CASE("unwrap: two models in one file are one too many") {
  const NamedTensors one = read("timm").tensors;
  const auto says = [&](const std::string& a, const std::string& b, const std::vector<std::string>& parts) {
    return fails([&] { unwrap_all(both(under(a, one), under(b, one))); }, parts);
  };
  CHECK(says("model.", "model_ema.module.", {"several models in it, model. and model_ema.module.,", "keep one"}));
  CHECK(says("student.", "teacher.", {"student. and teacher."}));
  CHECK(says("", "ema.", {"ema. and one without a prefix"}));
  CHECK(fails([&] { unwrap_all(both(one, under("net.", read("torchvision").tensors))); }, {"several models"}));
}

TEST_CASE("unwrap: what is not needed does not hinder") {
  const NamedTensors one = read("timm").tensors;
  const Tensor any = Tensor::ones({1});
  NamedTensors more = both(under("model.", one), {{"model.mask_token", any},
                                                  {"model.pooler.dense.weight", any},
                                                  {"model.position_ids", any},
                                                  {"model.counter", any},
                                                  {"criterion.weight", any},
                                                  {"metric.total", any}});
  ReadableTensors content{{more, {}},
                          {{"model.blocks.0.attn.mask", "with numbers of type \"BOOL\""}, {"other", "with none"}},
                          {"model.counter"}};
  const Unwrapped got = unwrap(content);
  CHECK(got.tensors.size() == one.size());
  CHECK(got.note == "under model., without criterion.weight, metric.total, other");
  CHECK(unwrap_all(one).note == "");
  content.tensors.erase("model.blocks.0.attn.proj.weight");
  content.unread["model.blocks.0.attn.proj.weight"] = "with numbers of type \"F8_E4M3\"";
  CHECK(fails([&] { unwrap(content); },
              {"the model needs the tensor \"model.blocks.0.attn.proj.weight\" with numbers of type \"F8_E4M3\""}));
  // Outside the model, but before or after it.
  CHECK(fails([&] { unwrap_all(both(under("1.", one), {{"0.mean", any}})); }, {"\"0.mean\", outside the model"}));
  CHECK(fails([&] { unwrap_all(both(under("net.", one), {{"temperature", any}})); }, {"\"temperature\""}));
  CHECK(unwrap_all(both(under("net.", one), {{"projector.1.running_mean", any}})).tensors.size() == one.size());
  // Counters of a ResNet are whole numbers, and its own.
  const NamedTensors resnet{{"layer1.0.conv1.weight", any}, {"bn1.num_batches_tracked", any}, {"epoch", any}};
  CHECK(unwrap({{resnet, {}}, {}, {"bn1.num_batches_tracked", "epoch"}}).tensors.size() == 2);
}

TEST_CASE("unwrap: parts that are not supported have their names, all of them") {
  CHECK(error_with({}) == "");
  CHECK(contains(error_with({"blocks.0.attn.q_norm.weight"}),
                 "norms of queries and keys are not supported (blocks.0.attn.q_norm.weight)"));
  CHECK(contains(error_with({"blocks.0.attn.q_norm.weight", "rope.freqs", "blocks.0.mlp.w12.weight"}, "module."),
                 "norms of queries and keys, a gated MLP (SwiGLU) and rotary position embeddings are not supported "
                 "(blocks.0.attn.q_norm.weight, blocks.0.mlp.w12.weight and rope.freqs)"));
  const struct {
    std::string name, what;
  } cases[] = {{"blocks.0.gamma_1", "LayerScale"},
               {"blocks.0.lambda_1", "LayerScale"},
               {"storage_tokens", "register tokens"},
               {"blocks.0.attn.lambda_q1", "differential attention"},
               {"fc_norm.weight", "a second norm before the head"},
               {"blocks.0.attn.q_norm.weight", "norms of queries and keys"},
               {"blocks.0.mlp.w12.weight", "a gated MLP (SwiGLU)"},
               {"blocks.0.attn.relative_position_bias_table", "relative position biases"},
               {"rope.freqs", "rotary position embeddings"},
               {"blocks.0.attn.q_bias", "separate query and value biases"},
               {"base.lora_A.weight", "LoRA"}};
  for (const auto& c : cases) {
    CAPTURE(c.name);
    CHECK(contains(error_with({c.name}), c.what));
    CHECK(contains(error_with({c.name}), " not supported (" + c.name + ")"));
  }
  NamedTensors tensors = read("torchvision").tensors;
  tensors.erase("class_token");
  CHECK(fails([&] { unwrap_all(tensors); },
              {"a model without a class token is not supported (there is no class_token)"}));
  tensors = read("timm").tensors;
  tensors.erase("norm.bias");
  CHECK(fails([&] { unwrap_all(tensors); }, {"RMSNorm, a norm without a bias, is not supported (norm.weight)"}));
  tensors = read("timm").tensors;
  tensors["blocks.0.mlp.fc1.weight"] = Tensor::ones({48, 16});
  CHECK(fails([&] { unwrap_all(tensors); }, {"a gated MLP (SwiGLU) is not supported (blocks.0.mlp.fc1.weight)"}));
  // transformers' other families have a ViT's first layer.
  NamedTensors beit;
  for (const auto& [name, tensor] : read("transformers").tensors)
    beit.emplace(name.starts_with("vit.") ? "beit." + name.substr(4) : name, tensor);
  CHECK(fails([&] { unwrap_all(beit); }, {"BEiT is not supported (beit.)"}));
  CHECK(fails(
      [] {
        unwrap_all({{"vision_model.embeddings.patch_embedding.weight", Tensor::ones({1, 1})}});
      },
      {"a model for any number of patches (NaFlex) is not supported"}));
}

TEST_CASE("read_model_file: without a head, for a new one") {
  const TempFolder folder;
  const auto path = folder / "model.safetensors";
  ModelFileOptions new_head = of_file;
  new_head.new_head = true;
  for (const std::string file : {"timm", "transformers", "torchvision"}) {
    CAPTURE(file);
    NamedTensors tensors = read(file).tensors;
    std::erase_if(tensors,
                  [](const auto& one) { return one.first.starts_with("head") || one.first.starts_with("classifier"); });
    write_safetensors(path, under("backbone.", tensors));
    CHECK(fails([&] { read_model_file(path, of_file); },
                {"model.safetensors", "these weights have no head", "(under backbone.)", "train --finetune"}));
    const ModelFile got = read_model_file(path, new_head);
    CHECK(got.config.num_classes() == 1);
    CHECK(contains(got.taken, ", under backbone."));
    Rng rng(1);
    AnyConfig config = got.config;
    config.num_classes() = 3;
    AnyModel model(config, rng);
    state_of(model).load(got.tensors, config.heads());
  }
}

TEST_CASE("read_model_file: what is no model, and no whole one") {
  const TempFolder folder;
  const auto path = folder / "model-00001-of-00002.safetensors";
  write_safetensors(path, read("timm").tensors);
  CHECK(fails([&] { read_model_file(path, of_file); }, {"one of several files of a model"}));
  std::filesystem::rename(path, folder / "model-00001-of-00001.safetensors");
  CHECK(read_model_file(folder / "model-00001-of-00001.safetensors", of_file).config.num_classes() == 5);
  std::filesystem::copy_file(folder / "model-00001-of-00001.safetensors", folder / "my-model-of-cats.safetensors");
  CHECK(read_model_file(folder / "my-model-of-cats.safetensors", of_file).config.num_classes() == 5);
  write_safetensors(path, {{"parameters.x", Tensor::ones({1})}}, {{"training", "{}"}});
  CHECK(fails([&] { read_model_file(path); }, {"a checkpoint of a training run", "best.safetensors beside it"}));
  // Layers after a model with a head.
  const auto after = folder / "after.safetensors";
  write_safetensors(after,
                    both(under("backbone.", read("timm").tensors), {{"classifier.weight", Tensor::ones({3, 5})}}));
  CHECK(
      fails([&] { read_model_file(after, of_file); },
            {"layers outside the model (under backbone., without classifier.weight), such as \"classifier.weight\""}));
  ModelFileOptions new_head = of_file;
  new_head.new_head = true;
  CHECK(contains(read_model_file(after, new_head).taken, "without classifier.weight"));
  // Positions of patches alone: nine, and none for the class token.
  NamedTensors tensors = read("timm").tensors;
  tensors["pos_embed"] = Tensor::ones({1, 9, 16});
  const auto positions = folder / "positions.safetensors";
  write_safetensors(positions, tensors);
  const auto alone = [&](const ModelFileOptions& options) {
    return read_model_file(positions, options).config.as<ViTConfig>()->no_embed_class;
  };
  CHECK(alone(of_file));  // --img-size 24 has nine patches
  ModelFileOptions config = of_file;
  config.img_size.reset();
  CHECK(fails([&] { alone(config); }, {"8 patches are",
                                       "as there are 9 positions, a square, there may be none for the "
                                       "tokens before the patches, timm's no_embed_class"}));
  write_file(folder / "config.json", R"({"model_args": {"img_size": 24}})");
  CHECK(alone(config));
}
