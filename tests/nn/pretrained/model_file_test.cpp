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

std::filesystem::path golden(const std::string& name) { return "tests/golden/weights_" + name + ".safetensors"; }

// A copy of the golden file in a folder with this config.json.
std::filesystem::path with_config(const TempFolder& folder, const std::string& name, const std::string& config) {
  std::filesystem::copy_file(golden(name), folder / "model.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  write_file(folder / "config.json", config);
  return folder / "model.safetensors";
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
      R"({"model":"vit","config":{"img_size":[8,12],"patch_size":4,"num_hiddens":6,"mlp_num_hiddens":10,"num_heads":3,)"
      R"("num_blks":2,"emb_dropout":0.25,"blk_dropout":0.5,"use_bias":true,"num_classes":4,"num_channels":2,)"
      R"("pool":"token","layer_norm_eps":0.0625,"distilled":false},)"
      R"("class_names":["T-shirt/top","naïve \"quote\"","","c"],)"
      R"("preprocess":{"interpolation":"bicubic","crop_pct":0.9,"squash":true,"mean":[0.25,0.5],"std":[1,0.125]}})");

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
  older["preprocess"].erase("squash");
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

TEST_CASE("model file: those of others, with what is usual there") {
  const std::vector<real> half(3, real(0.5)), mean{real(0.485), real(0.456), real(0.406)},
      deviation{real(0.229), real(0.224), real(0.225)};
  const struct {
    std::string file;
    Interpolation interpolation;
    double crop_pct;
    const std::vector<real>&mean, &std;
  } cases[] = {{"timm", Interpolation::bicubic, 0.9, half, half},
               {"timm_avg", Interpolation::bicubic, 0.9, half, half},
               {"timm_distilled", Interpolation::bicubic, 0.9, mean, deviation},
               {"torchvision", Interpolation::bilinear, 0.875, mean, deviation},
               {"transformers", Interpolation::bilinear, 0, half, half}};
  for (const auto& c : cases) {
    CAPTURE(c.file);
    CHECK(fails([&] { read_classifier(golden(c.file)); }, {"weights_" + c.file, "num_hiddens 16", "must be given"}));
    Classifier got = read_classifier(golden(c.file), {.num_heads = 2});
    CHECK(got.model.as<ViT>()->config.num_heads == 2);
    CHECK(got.class_names == std::vector<std::string>{"0", "1", "2", "3", "4"});
    CHECK(got.preprocess.size == Size2(24));
    CHECK(got.preprocess.interpolation == c.interpolation);
    CHECK(got.preprocess.crop_pct == c.crop_pct);
    CHECK(got.preprocess.mean == c.mean);
    CHECK(got.preprocess.std == c.std);
  }
  const ModelFile other = read_model_file(golden("timm"), {.num_heads = 4,
                                                           .img_size = Size2(40, 16),
                                                           .interpolation = Interpolation::bilinear,
                                                           .crop_pct = 0.5,
                                                           .mean = std::vector<real>{0, 1, 2},
                                                           .std = std::vector<real>{3, 4, 5}});
  CHECK(other.config.as<ViTConfig>()->num_heads == 4);
  CHECK(other.config.img_size() == Size2(40, 16));
  CHECK(other.tensors.at("pos_embedding").shape() == Shape{1, 11, 16});
  CHECK(other.preprocess.size == Size2(40, 16));
  CHECK(other.preprocess.interpolation == Interpolation::bilinear);
  CHECK(other.preprocess.crop_pct == 0.5);
  CHECK(other.preprocess.mean == std::vector<real>{0, 1, 2});
  CHECK(other.preprocess.std == std::vector<real>{3, 4, 5});
  CHECK(fails(
      [&] {
        read_model_file(golden("timm"), {.num_heads = 2, .mean = std::vector<real>{1, 2}});
      },
      {"weights_timm", "3 channels, but there are means and deviations of 2"}));
  const ModelFile one = read_model_file(
      golden("timm"), {.num_heads = 2, .mean = std::vector<real>{real(0.25)}, .std = std::vector<real>{2}});
  CHECK(one.preprocess.mean == std::vector<real>(3, real(0.25)));  // one number is for all channels
  CHECK(one.preprocess.std == std::vector<real>(3, 2));
}

TEST_CASE("model file: d2l's own class, saved in Python without a description") {
  const TempFolder folder;
  Rng rng(1);
  ViTConfig config = small();
  config.layer_norm_eps = real(1e-5);
  ViT model(config, rng);
  write_safetensors(folder / "m", state_of(model).tensors());
  Classifier got = read_classifier(folder / "m", {.num_heads = 3, .img_size = Size2(8, 12)});  // not a square
  CHECK(got.model.as<ViT>()->config.layer_norm_eps == real(1e-5));
  CHECK(got.preprocess.interpolation == Interpolation::bilinear);
  CHECK(got.preprocess.crop_pct == 0);
  CHECK(got.preprocess.mean.empty());
  CHECK(got.preprocess.std.empty());
  CHECK(got.class_names.size() == 4);
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

TEST_CASE("model file: config.json of transformers") {
  const TempFolder folder;
  const auto read = [&](const std::string& config) {
    return read_classifier(with_config(folder, "transformers", config));
  };
  const std::string classes = R"("id2label":{"0":"tench","4":"e","2":"c","3":"d","1":"b"})";
  Classifier got = read(R"({"num_attention_heads":4,"layer_norm_eps":1e-6,"image_size":24,"hidden_act":"gelu",)" +
                        classes + R"(,"label2id":{"tench":0}})");
  CHECK(got.model.as<ViT>()->config.num_heads == 4);
  CHECK(got.model.as<ViT>()->config.layer_norm_eps == real(1e-6));
  CHECK(got.class_names == std::vector<std::string>{"tench", "b", "c", "d", "e"});

  const std::string heads = R"("num_attention_heads":2)";
  const auto says = [&](const std::string& config, const std::vector<std::string>& what) {
    CAPTURE(config);
    CHECK(fails([&] { read(config); }, {folder.path().string()}));
    CHECK(fails([&] { read(config); }, what));
  };
  says("", {"config.json", "is empty"});
  says("{", {"config.json is not JSON in UTF-8"});
  says("[1]", {"config.json should be an object, got [1]"});
  says("{" + std::string(17 << 20, ' ') + "}", {"config.json", "16777216"});
  says(std::string(1 << 20, '[') + std::string(1 << 20, ']'), {"config.json is nested more than 32 deep"});
  says(R"({"num_attention_heads":0})", {"config.json.num_attention_heads should be a whole number from 1", "got 0"});
  says(R"({"num_attention_heads":"2"})", {"got \"2\""});
  says(R"({"num_attention_heads":3})", {"3 heads do not divide"});
  says("{" + heads + R"(,"hidden_act":"relu"})", {"config.json.hidden_act should be gelu, got \"relu\""});
  says("{" + heads + R"(,"image_size":32})", {"of 9 patches, which do not fit an image of 32 x 32"});
  says("{" + heads + R"(,"image_size":[24]})", {"image_size should be a number, or height and width, got [24]"});
  says("{" + heads + R"(,"layer_norm_eps":-1})", {"layer_norm_eps should be a number from 1e-20 to 1, got -1"});
  says("{" + heads + R"(,"id2label":{"0":"a","1":"b"}})", {"has 5 classes, but 2 have names"});
  says("{" + heads + R"(,"id2label":{"0":"a","2":"b"}})", {"id2label should be a name for each class"});
  says("{" + heads + R"(,"id2label":{"0":1}})", {"id2label should be a name for each class"});
  says("{" + heads + R"(,"id2label":5})", {"id2label should be the names of the classes, got 5"});
}

TEST_CASE("model file: preprocessor_config.json, pictures become what transformers makes of them") {
  const TempFolder folder;
  const auto path = with_config(folder, "transformers", R"({"num_attention_heads":2})");
  const Golden golden("preprocess_transformers");
  const auto configs = nlohmann::json::parse(golden.meta("golden"));
  const std::vector<int> bytes = golden.ints("X");
  const Image picture{3, 29, 39, {bytes.begin(), bytes.end()}};
  for (const std::string name : {"vit", "deit", "shortest_edge", "plain"}) {
    const auto check_numbers = [&](const nlohmann::json& config) {
      CAPTURE(config.dump());
      write_file(folder / "preprocessor_config.json", config.dump());
      const Tensor X = to_tensor(picture, read_model_file(path).preprocess);
      check_golden(name, X.reshape({3, 24, 24}), golden.tensor(name), 1e-6);
    };
    check_numbers(configs[name]);
    nlohmann::json older = configs[name];  // as the files of 2021 say it
    for (const char* key : {"do_rescale", "rescale_factor", "image_processor_type"}) older.erase(key);
    if (name != "shortest_edge") older["size"] = older["size"]["height"];
    if (older.contains("crop_size")) older["crop_size"] = older["crop_size"]["height"];
    check_numbers(older);
  }
  CHECK(read_model_file(path, {.img_size = Size2(16, 8)}).preprocess.size == Size2(16, 8));

  const auto with = [&](nlohmann::json changes) {
    nlohmann::json config = configs["deit"];
    config.merge_patch(changes);
    write_file(folder / "preprocessor_config.json", config.dump());
    return read_model_file(path).preprocess;
  };
  CHECK(with({{"size", 24}}).crop_pct == 0);
  CHECK(!with({{"size", 24}}).squash);
  for (Index size = 24; size <= 240; ++size) {  // floor(24 / crop_pct) is the size, also where 24 / size is not exact
    const double crop_pct = with({{"size", size}}).crop_pct;
    CHECK((size == 24 ? crop_pct == 0 : std::floor(24 / crop_pct) == static_cast<double>(size)));
  }
  const auto says = [&](const nlohmann::json& changes, const std::string& what) {
    CAPTURE(changes.dump());
    CHECK(fails([&] { with(changes); }, {folder.path().string(), "preprocessor_config.json" + what}));
  };
  says({{"do_resize", false}}, ".do_resize should be true, got false");
  says({{"do_rescale", false}}, ".do_rescale should be true, got false");
  says({{"rescale_factor", 1}}, ".rescale_factor should be 1 / 255, got 1");
  says({{"resample", 1}}, ".resample should be 2, bilinear, or 3, bicubic, got 1");
  says({{"resample", "bicubic"}}, ".resample should be a whole number");
  says({{"do_normalize", 1}}, ".do_normalize should be true or false, got 1");
  says({{"image_mean", 0.5}}, ".image_mean should be an array of numbers, got 0.5");
  says({{"crop_size", 20}}, ".crop_size should be the model's image size, 24 x 24, got 20");
  says({{"do_center_crop", false}}, ".size should be the model's image size, 24 x 24, got {\"height\":28");
  says({{"size", nullptr}}, " has no size");
  says({{"size", 23}}, ".crop_size should be the same share, from a tenth to all");
  says({{"size", 241}}, ".crop_size should be the same share, from a tenth to all");
  says({{"size", {{"height", 32}}}}, ".crop_size should be the same share, from a tenth to all, of the height and");
  says({{"size", {{"height", 0}}}}, ".size.height should be a whole number from 1");
  says({{"size", {{"height", nullptr}}}}, ".size has no height");
  says({{"size", {{"shortest_edge", 28}}}, {"do_center_crop", false}},
       ".size should be height and width where nothing");
  const std::string good = configs["deit"].dump();
  for (std::size_t size = 1; size < good.size(); ++size) {
    write_file(folder / "preprocessor_config.json", good.substr(0, size));
    CHECK(fails([&] { read_model_file(path); }, {"preprocessor_config.json is not JSON"}));
  }
}

TEST_CASE("model file: config.json of timm") {
  const TempFolder folder;
  const auto read = [&](const std::string& file, const std::string& config) {
    return read_model_file(with_config(folder, file, config), {.num_heads = 2});
  };
  const ModelFile got = read("timm", R"({"global_pool":"token","pretrained_cfg":{"interpolation":"bilinear",)"
                                     R"("crop_pct":1.0,"mean":[0.25,0.5,0.75],"std":[1,2,3],"crop_mode":"center"},)"
                                     R"("label_names":["a","b","c","d","e"]})");
  CHECK(got.preprocess.interpolation == Interpolation::bilinear);
  CHECK(got.preprocess.crop_pct == 1);
  CHECK(got.preprocess.mean == std::vector<real>{0.25, 0.5, 0.75});
  CHECK(got.preprocess.std == std::vector<real>{1, 2, 3});
  CHECK(got.class_names[3] == "d");
  CHECK(read("timm_avg", R"({"global_pool":"avg"})").config.as<ViTConfig>()->pool == Pool::avg);
  CHECK(fails([&] { read("timm", R"({"global_pool":"avg"})"); }, {"global_pool should be token, or avg with"}));
  CHECK(fails([&] { read("timm", R"({"pretrained_cfg":{"crop_pct":0.01}})"); },
              {"config.json.pretrained_cfg.crop_pct should be 0, or from 0.1 to 1, got 0.01"}));
  CHECK(fails([&] { read("timm", R"({"pretrained_cfg":{"interpolation":"lanczos"}})"); },
              {"interpolation should be bilinear or bicubic, got \"lanczos\""}));
  CHECK(fails([&] { read("timm", R"({"pretrained_cfg":{"mean":[1,"x"]}})"); }, {"mean should be a number", "\"x\""}));
  CHECK(fails([&] { read("timm", R"({"pretrained_cfg":{"std":[1,1,0]}})"); }, {"must be above 0, got 0"}));
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
  says(complaint("{}"), "its description has no preprocess");
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
  says(with("/config/pool", "max"), "pool should be token or avg, got \"max\"");
  says(with("/config/pool", 3), "pool should be token or avg, got 3");
  says(with("/config/emb_dropout", 1), "emb_dropout should be a number from 0 to 0.9999, got 1");
  says(with("/config/blk_dropout", 0.9999999999999999999), "blk_dropout should be a number from 0 to 0.9999");
  says(with("/config/layer_norm_eps", 0), "layer_norm_eps should be a number from 1e-20 to 1, got 0");
  says(with("/config/distilled", true), "missing: dist_token");
  says(with("/class_names", {"a", "b", "c", 4}), "class_names should be a name for each class, from 0 on, got");
  says(with("/class_names", {"a"}), "has 4 classes, but 1 have names");
  says(with("/preprocess/crop_pct", 2), "crop_pct should be a number from 0 to 1, got 2");
  says(with("/preprocess/mean", "x"), "mean should be a number from -1000000 to 1000000, got \"x\"");
  says(with("/preprocess/mean", 0.5), "has 2 channels, but there are means and deviations of 1");
  says(with("/model", "vgg"), "there is no model \"vgg\"; there are vit, ");
  says(with("/preprocess/std", {1e300, 1}), "std should be a number from 1e-06 to 1000000, got 1e+300");
}
