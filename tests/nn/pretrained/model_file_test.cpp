#include "nn/pretrained/model_file.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "data/files/safetensors.h"
#include "data/files/write_file.h"
#include "data/images/image.h"
#include "nn/module.h"
#include "tests/golden/golden.h"
#include "tests/helpers.h"
#include "tests/nn/pretrained/write_classifier.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

const std::vector<std::string> names{"T-shirt/top", "naïve \"quote\"", "", "c"};
const Preprocess preprocess{.size = {8, 12},
                            .interpolation = Interpolation::bicubic,
                            .crop_pct = 0.9,
                            .mean = {0.25, 0.5},
                            .std = {1, 0.125},
                            .squash = true};

ViTConfig small() {
  return {.img_size = {8, 12},
          .patch_size = 4,
          .num_hiddens = 6,
          .mlp_num_hiddens = 10,
          .num_heads = 3,
          .num_blks = 2,
          .emb_dropout = real(0.3),
          .blk_dropout = real(0.2),
          .use_bias = true,
          .num_classes = 4,
          .num_channels = 2,
          .layer_norm_eps = real(1e-4)};
}

}  // namespace

TEST_CASE("model file: what is written is read again") {
  const TempFolder folder;
  const Tensor X = Rng(5).normal({3, 2, 8, 12});
  ViTConfig configs[] = {small(), small(), small()};
  configs[1].distilled = true;
  configs[2].pool = Pool::avg;
  configs[2].use_bias = false;
  for (const ViTConfig& config : configs) {
    Rng rng(1);
    ViT model(config, rng);
    write_classifier(folder / "m", model, names, preprocess);
    Classifier got = read_classifier(folder / "m");
    CHECK(got.class_names == names);
    CHECK(got.preprocess.size == preprocess.size);
    CHECK(got.preprocess.interpolation == preprocess.interpolation);
    CHECK(got.preprocess.crop_pct == preprocess.crop_pct);
    CHECK(got.preprocess.mean == preprocess.mean);
    CHECK(got.preprocess.std == preprocess.std);
    CHECK(got.preprocess.squash);
    CHECK(describe_model({got.model.config(), names, preprocess}) == describe_model({config, names, preprocess}));
    CHECK(!got.model.as<ViT>()->dropout.training.on);  // evaluation mode
    eval(model);
    CHECK(got.model(X).value().values() == model(X).value().values());  // to the bit
  }
}

TEST_CASE("model file: the extremes of train's flags are read again") {
  const TempFolder folder;
  ViTConfig config = small();
  config.num_blks = 0;
  config.emb_dropout = config.blk_dropout = static_cast<real>(0.999f);  // 0.9990000128746033
  Rng rng(1);
  ViT model(config, rng);
  const Preprocess extreme{.size = {8, 12}, .mean = {-1e6, 1e6}, .std = {real(1e-6), 1e6}};
  write_classifier(folder / "m", model, names, extreme);
  Classifier got = read_classifier(folder / "m");
  CHECK(describe_model({got.model.config(), names, got.preprocess}) == describe_model({config, names, extreme}));

  ViTConfig largest = small();
  largest.img_size = largest.patch_size = 4096;
  largest.num_hiddens = largest.num_heads = 65536;
  largest.mlp_num_hiddens = 1 << 20;
  largest.num_blks = 1000;
  Preprocess fitting = extreme;
  fitting.size = 4096;
  const std::string text = describe_model({largest, names, fitting});
  CHECK(describe_model({read_description(text, "it").config, names, fitting}) == text);
}

TEST_CASE("model file: the description that stands in the metadata") {
  const TempFolder folder;
  Rng rng(1);
  ViTConfig config = small();
  config.emb_dropout = 0.25;
  config.blk_dropout = 0.5;
  config.layer_norm_eps = real(0.0625);
  ViT model(config, rng);
  write_classifier(folder / "m", model, names, preprocess);
  const auto metadata = read_safetensors(folder / "m").metadata;
  CHECK(metadata.at("format") == "pt");
  CHECK(
      metadata.at("bobbin") ==
      R"({"model":"vit","config":{"img_size":[8,12],"patch_size":4,"patch_padding":"none","stem_stages":0,"stem_convs":1,"stem_pool":false,"stem_width":32,)"
      R"("num_hiddens":6,"mlp_num_hiddens":10,"num_heads":3,"num_blks":2,"emb_dropout":0.25,"blk_dropout":0.5,"layer_scale":0,"use_bias":true,"num_classes":4,"num_channels":2,)"
      R"("pool":"token","positions":"learned","norm":"pre","class_token":true,"reg_tokens":0,"no_embed_class":false,"pre_norm":false,)"
      R"("head_norm":"pooled","pool_include_prefix":false,"layer_norm_eps":0.0625,"activation":"gelu","distilled":false},)"
      R"("class_names":["T-shirt/top","naïve \"quote\"","","c"],)"
      R"("preprocess":{"interpolation":"bicubic","crop_pct":0.9,"squash":true,"crop_down":false,"mean":[0.25,0.5],"std":[1,0.125]}})");

  Preprocess other = preprocess;
  CHECK(fails([&] { describe_model({config, {"a"}, preprocess}); }, {"has 4 classes, but 1 have names"}));
  other.size = 8;
  CHECK(fails([&] { describe_model({config, names, other}); }, {"sees images of 8 x 12, but pictures become 8 x 8"}));
  other = preprocess;
  other.mean = {1};
  CHECK(fails(
      [&] {
        describe_model({config, names, other});
      },
      {"has 2 channels, but there are means and deviations of 1"}));
  other.mean = {};
  CHECK(fails([&] { describe_model({config, names, other}); }, {"0 means, but 2 standard deviations"}));
  other = preprocess;
  other.std[1] = 0;
  CHECK(fails([&] { describe_model({config, names, other}); }, {"must be above 0, got 0"}));
}

TEST_CASE("model file: a description alone is read again, and its errors say where it is from") {
  const std::string text = describe_model({small(), names, preprocess});
  const ModelDescription got = read_description(text, "the checkpoint's description");
  CHECK(describe_model(got) == text);
  CHECK(got.class_names == names);
  CHECK(got.preprocess.size == Size2(8, 12));
  auto older = nlohmann::json::parse(text);
  for (const char* key : {"squash", "crop_down"}) older["preprocess"].erase(key);
  for (const char* later : {"activation", "layer_scale", "positions"}) older["config"].erase(later);
  older.erase("model");
  CHECK(!read_description(older.dump(), "it").preprocess.squash);
  CHECK(read_description(older.dump(), "it").config.as<ViTConfig>());
  const auto says = [&](const char* place, const nlohmann::json& value, const std::string& what) {
    auto other = nlohmann::json::parse(text);
    other[nlohmann::json::json_pointer(place)] = value;
    CHECK(fails([&] { read_description(other.dump(), "the checkpoint's description"); },
                {"the checkpoint's description" + what}));
  };
  says("/config/num_heads", "x", ".config.num_heads should be a whole number");
  says("/preprocess/mean", {0.5}, ": the model has 2 channels, but there are means and deviations of 1");
  says("/class_names", {"a"}, ": the model has 4 classes, but 1 have names");
  for (std::size_t size = 0; size < text.size(); ++size)
    CHECK(fails([&] { read_description(text.substr(0, size), "the note"); }, {"the note is not JSON"}));
}

TEST_CASE("model file: ours says itself what is asked of others") {
  const TempFolder folder;
  Rng rng(1);
  ViT model(small(), rng);
  write_classifier(folder / "m", model, names, preprocess);
  const auto refuses = [&](const ModelFileOptions& options) {
    return fails([&] { read_model_file(folder / "m", options); }, {"are for the weights of other libraries"});
  };
  CHECK(refuses({.pool = Pool::avg}));
  CHECK(refuses({.layer_norm_eps = real(1e-6)}));
  CHECK(refuses({.activation = Activation::gelu}));
  CHECK(refuses({.weights = "vit_tiny_patch16_224"}));
  CHECK(read_model_file(folder / "m").taken == "");
}

TEST_CASE("model file: our own for images of another size, with another head") {
  const TempFolder folder;
  Rng rng(1);
  ViT model(small(), rng);
  write_classifier(folder / "m", model, names, preprocess);
  ModelFile file = read_model_file(folder / "m", {.img_size = Size2(16, 8)});
  CHECK(file.preprocess.size == Size2(16, 8));
  file.config.num_classes() = 7;
  AnyModel other(file.config, rng);
  state_of(other).load(file.tensors, file.config.heads());
  CHECK(other(rng.normal({1, 2, 16, 8})).shape() == Shape{1, 7});
}

TEST_CASE("model file: a description that lies") {
  const TempFolder folder;
  Rng rng(1);
  ViT model(small(), rng);
  const auto good = nlohmann::json::parse(describe_model({small(), names, preprocess}));
  const auto complaint = [&](const std::string& note) {
    write_safetensors(folder / "m", state_of(model).tensors(), {{"bobbin", note}});
    const std::string text = error_of([&] { read_classifier(folder / "m"); });
    CHECK((text.empty() || contains(text, (folder / "m").string())));
    return text;
  };
  CHECK(complaint(good.dump()) == "");
  const auto with = [&](const char* place, const nlohmann::json& value) {
    auto description = good;
    description[nlohmann::json::json_pointer(place)] = value;
    return complaint(description.dump());
  };
  const auto says = [](const std::string& text, const std::string& what) {
    CAPTURE(text);
    CHECK(contains(text, what));
  };
  // Whoever makes the model without read_classifier() is warned, too.
  CHECK(contains(with("/config/num_blks", 1000), "weights, but only"));
  CHECK(fails([&] { read_model_file(folder / "m"); }, {(folder / "m").string(), "weights, but only"}));
  says(complaint(""), "its description is not JSON in UTF-8");
  says(complaint("{}"), "its description has no config");
  says(complaint("7"), "its description should be an object, got 7");
  says(with("/config", nullptr), "its description.config should be an object, got null");
  says(with("/config/num_heads", nullptr), "its description.config.num_heads should be a whole number from 1");
  says(with("/config/num_heads", 4), "4 heads do not divide num_hiddens 6");
  says(with("/config/num_heads", -3), "got -3");
  says(with("/config/num_heads", 3.5), "got 3.5");
  says(with("/config/num_blks", 3), "missing: blks.2.ln1.weight");
  says(with("/config/num_blks", 1), "unexpected: \"blks.1.");
  says(with("/config/num_blks", 1000), "weights, but only");
  says(with("/config/num_blks", 1001), "whole number from 0 to 1000, got 1001");
  says(with("/config/num_hiddens", 65536), "\"num_hiddens\":65536");
  says(with("/config/mlp_num_hiddens", 1 << 20), "weights, but only");
  says(with("/config/num_classes", 1 << 20), "has 1048576 classes, but 4 have names");
  says(with("/config/img_size", {4096, 4096}), "weights, but only");
  says(with("/config/img_size", 12), "pos_embedding is (1, 7, 6), expected (1, 10, 6)");
  says(with("/config/img_size", 10), "the patch size must divide the image size");
  says(with("/config/img_size", "8"), "img_size should be a whole number");
  says(with("/config/patch_size", {4096, 4096}), "weights, but only");
  says(with("/config/num_channels", 1 << 20), "has 1048576 channels, but there are means and deviations of 2");
  says(with("/config/use_bias", 1), "use_bias should be true or false, got 1");
  says(with("/config/pool", "max"), "pool should be token, avg, seq, map or token_and_avg, got \"max\"");
  says(with("/config/pool", 3), "pool should be token, avg, seq, map or token_and_avg, got 3");
  says(with("/config/emb_dropout", 1), "emb_dropout should be a number from 0 to 0.9999, got 1");
  says(with("/config/blk_dropout", 0.9999999999999999999), "blk_dropout should be a number from 0 to 0.9999");
  says(with("/config/layer_norm_eps", 0), "layer_norm_eps should be a number from 1e-20 to 1, got 0");
  says(with("/config/distilled", true), "missing: dist_token");
  says(with("/class_names", {"a", "b", "c", 4}), "class_names should be a name for each class, from 0 on, got");
  says(with("/config/activation", "relu"), "activation should be gelu, gelu_tanh or quick_gelu, got \"relu\"");
  says(with("/scores", "none"), "its description.scores should be softmax or sigmoid, got \"none\"");
  says(with("/class_names", {"a"}), "has 4 classes, but 1 have names");
  says(with("/preprocess/crop_pct", 2), "crop_pct should be a number from 0 to 1, got 2");
  says(with("/preprocess/mean", "x"), "mean should be a number from -1000000 to 1000000, got \"x\"");
  says(with("/preprocess/mean", 0.5), "has 2 channels, but there are means and deviations of 1");
  says(with("/model", "vgg"), "there is no model \"vgg\"; there are vit, ");
  says(with("/preprocess/std", {1e300, 1}), "std should be a number from 1e-06 to 1000000, got 1e+300");
}

TEST_CASE("model file: a small ViT of many patches, whose positions are not in the file") {
  const TempFolder folder;
  for (const Positions positions : {Positions::sincos, Positions::none}) {
    ViTConfig config{.img_size = 96,
                     .patch_size = 2,
                     .num_hiddens = 36,
                     .mlp_num_hiddens = 64,
                     .num_heads = 2,
                     .num_classes = 2,
                     .positions = positions};
    Rng rng(0);
    ViT model(config, rng);
    eval(model);
    write_classifier(folder / "m", model, {"a", "b"}, {.size = 96});
    const Tensor X = Rng(1).uniform({1, 1, 96, 96});
    CHECK(read_classifier(folder / "m").model(X).value().values() == model(X).value().values());

    // A description that asks for gigabytes of them: 2048 x 2048 patches of 36 numbers.
    config.img_size = 4096;
    write_safetensors(folder / "m", state_of(model).tensors(),
                      {{"bobbin", describe_model({config, {"a", "b"}, {.size = 4096}})}});
    CHECK(fails([&] { read_classifier(folder / "m"); }, {"2048 x 2048 patches", "of 36 numbers", "134217728"}));
  }
}
