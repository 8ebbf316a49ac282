// Swin Transformers of other libraries: their names, what they do not say, and what is refused.
#include "nn/pretrained/swin_weights.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/files/safetensors.h"
#include "data/files/write_file.h"
#include "nn/pretrained/model_file.h"
#include "tests/golden/by_formula.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

const ModelFileOptions prepared{.img_size = Size2(40, 24),
                                .interpolation = Interpolation::bilinear,
                                .crop_pct = 0,
                                .mean = std::vector<real>{0},
                                .std = std::vector<real>{1}};

// A small one, whose second stage has 5 x 3 tokens.
Swin small(SwinForm form) {
  Rng rng(0);
  Swin model({.form = form,
              .img_size = {40, 24},
              .embed_dim = 8,
              .depths = {2, 1},
              .num_heads = {2, 4},
              .window_size = 4,
              .mlp_ratio = real(2.4),
              .num_classes = 3,
              .num_channels = 3},
             rng);
  state_of(model).load(weights_by_formula(model));
  eval(model);
  return model;
}

// What the library itself saves; torchvision with its table of indices.
NamedTensors saved(Swin& model) {
  NamedTensors tensors;
  for (const auto& [name, tensor] : state_of(model).tensors()) {
    tensors.emplace(name, tensor);
    if (model.config.form == SwinForm::torchvision && name.ends_with("attn.relative_position_bias_table"))
      tensors.emplace(name.substr(0, name.rfind("bias_table")) + "index", Tensor::zeros({256}));
  }
  return tensors;
}

}  // namespace

TEST_CASE("swin_weights: the state dicts of timm and torchvision are read by their names, and ours are theirs") {
  const TempFolder folder;
  const Tensor X = Rng(1).uniform({2, 3, 40, 24});
  for (const SwinForm form : {SwinForm::timm, SwinForm::torchvision}) {
    Swin model = small(form);
    const char* first = form == SwinForm::timm ? "layers.1.downsample.reduction.weight" : "features.2.reduction.weight";
    NamedTensors tensors = saved(model);
    CHECK(tensors.contains(first));
    for (const std::string prefix : {"", "module."}) {
      NamedTensors named;
      for (const auto& [name, tensor] : tensors) named.emplace(prefix + name, tensor);
      write_safetensors(folder / "m", named);
      Classifier got = read_classifier(folder / "m", prepared);
      const SwinConfig config = *got.model.config().as<SwinConfig>();
      CHECK(config.form == form);
      CHECK(config.depths == std::vector<Index>{2, 1});
      CHECK(config.num_heads == std::vector<Index>{2, 4});
      CHECK(got.taken.starts_with(form == SwinForm::timm ? "timm's weights: 40 x 24 (--img-size), bilinear"
                                                         : "torchvision's weights: 40 x 24 (--img-size), bilinear"));
      CHECK(got.model(X).value().values() == model(X).value().values());
    }

    // Our own file, which says everything; torchvision's windows take any size, timm's where they need not shrink.
    write_safetensors(folder / "ours", state_of(model).tensors(),
                      {{"bobbin", describe_model({model.config, {"a", "b", "c"}, {Size2(40, 24)}})}});
    CHECK(read_classifier(folder / "ours").model(X).value().values() == model(X).value().values());
    CHECK(fails([&] { read_classifier(folder / "ours", {.num_heads = 2}); }, {"--num-heads is for a ViT"}));
    const auto larger = [&] { return read_classifier(folder / "ours", {.img_size = Size2(48, 60)}); };
    if (form == SwinForm::torchvision)
      CHECK(larger().model(Rng(1).uniform({1, 3, 48, 60})).shape() == Shape{1, 3});
    else
      CHECK(fails(larger, {"relative_position_bias_table", "of another shape"}));

    // Without a head it is for a new one.
    tensors.extract(form == SwinForm::timm ? "head.fc.weight" : "head.weight");
    tensors.extract(form == SwinForm::timm ? "head.fc.bias" : "head.bias");
    write_safetensors(folder / "m", tensors);
    CHECK(fails([&] { read_model_file(folder / "m", prepared); }, {"head"}));
    ModelFileOptions new_head = prepared;
    new_head.new_head = true;
    CHECK(read_model_file(folder / "m", new_head).config.num_classes() == 1);

    // Or for its features: what the head sees.
    ModelFileOptions features = prepared;
    features.features = true;
    Classifier headless = read_classifier(folder / "m", features);
    CHECK(headless.model.config().num_classes() == 0);
    CHECK(headless.class_names.empty());
    const Var seen = headless.model.features(X);
    CHECK(seen.shape() == Shape{2, 16});
    CHECK(headless.model(X).value().values() == seen.value().values());
    CHECK(model.head(seen).value().values() == model(X).value().values());
    // And timm's config of it.
    if (form == SwinForm::timm) write_file(folder / "config.json", R"({"model_args":{"num_classes":0}})");
    CHECK(read_classifier(folder / "m", features).model.features(X).value().values() == seen.value().values());
    std::filesystem::remove(folder / "config.json");
  }
}

TEST_CASE("swin_weights: Microsoft's names, with their buffers, and those of timm before 0.9") {
  const TempFolder folder;
  Swin model = small(SwinForm::timm);
  NamedTensors tensors;
  for (const auto& [name, tensor] : state_of(model).tensors())
    tensors.emplace(name.starts_with("layers.1.downsample.") ? "layers.0" + name.substr(8)
                    : name.starts_with("head.fc.")           ? "head." + name.substr(8)
                                                             : name,
                    tensor);
  tensors.emplace("layers.0.blocks.0.attn.relative_position_index", Tensor::zeros({16, 16}));
  tensors.emplace("layers.0.blocks.1.attn_mask", Tensor::zeros({6, 16, 16}));
  write_safetensors(folder / "m", tensors);
  Classifier got = read_classifier(folder / "m", prepared);
  CHECK(got.taken.starts_with("Microsoft's weights: "));
  const Tensor X = Rng(1).uniform({2, 3, 40, 24});
  CHECK(got.model(X).value().values() == model(X).value().values());
}

TEST_CASE("swin_weights: of the sizes in timm's config.json model_args' goes first, then pretrained_cfg's") {
  const TempFolder folder;
  const auto size = [&](const std::string& config, const ModelFileOptions& options = {}) {
    write_file(folder / "config.json", "{" + config + "}");
    return read_model_file(folder / "m", options).config.img_size();
  };
  Swin model = small(SwinForm::timm);
  write_safetensors(folder / "m", saved(model));
  const std::string args = R"("model_args":{"img_size":[48,24]},)";
  for (const char* fixed : {"", R"("fixed_input_size":true,)"}) {
    const std::string pictures = std::string(R"("pretrained_cfg":{)") + fixed + R"("input_size":[3,40,24]})";
    CAPTURE(pictures);
    CHECK(size(pictures) == Size2(40, 24));
    CHECK(size(args + pictures) == Size2(48, 24));
    CHECK(size(args + pictures, {.img_size = Size2(56, 24)}) == Size2(56, 24));
  }
  Rng rng(1);
  SwinConfig config = published_swin("swin_tiny_patch4_window7_224")->config;
  config.num_channels = 3;
  Swin tiny(config, rng);
  write_safetensors(folder / "m", state_of(tiny).tensors());
  const std::string architecture = R"("architecture":"swin_tiny_patch4_window7_224.ms_in1k")";
  CHECK(size(architecture) == Size2(224));
  CHECK(size(architecture + R"(,"pretrained_cfg":{"input_size":[3,448,448]})") == Size2(448));
}

TEST_CASE("swin_weights: what is not said, contradicted or not supported is refused") {
  const TempFolder folder;
  Swin model = small(SwinForm::timm);
  const NamedTensors tensors = saved(model);
  const auto says = [&](const NamedTensors& tensors, const ModelFileOptions& options,
                        const std::vector<std::string>& what) {
    write_safetensors(folder / "m", tensors);
    CHECK(fails([&] { read_model_file(folder / "m", options); }, what));
  };
  says(tensors, {}, {"timm's weights alone do not say the size of the images (--img-size), the filter", "--weights"});
  ModelFileOptions options = prepared;
  options.weights = "swin_tiny_patch4_window7_224";
  says(tensors, options, {"--weights swin_tiny_patch4_window7_224 says width 96, but the weights have 8"});
  options.weights = "Swin_T_Weights.IMAGENET1K_V1";
  says(tensors, options, {"--weights should be a published Swin Transformer of timm's"});
  options = prepared;
  options.num_heads = 2;
  says(tensors, options, {"--num-heads", "are for a ViT"});
  const auto with = [&](const std::string& name, const Tensor& tensor) {
    NamedTensors more = tensors;
    more.erase(name);
    more.emplace(name, tensor);
    return more;
  };
  says(with("absolute_pos_embed", Tensor::zeros({1, 60, 8})), prepared, {"absolute positions in a Swin Transformer"});
  says(with("layers.0.blocks.0.attn.logit_scale", Tensor::zeros({2, 1, 1})), prepared, {"Swin V2 is not supported"});
  says(with("layers.0.blocks.0.attn.relative_position_bias_table", Tensor::zeros({35, 2})), prepared,
       {"has 35 rows", "square window"});

  write_safetensors(folder / "m", tensors);
  const auto config = [&](const std::string& text, const std::vector<std::string>& what) {
    write_file(folder / "config.json", text);
    CHECK(fails([&] { read_model_file(folder / "m", prepared); }, what));
  };
  config(R"({"architecture":"swin_tiny_patch4_window7_224"})", {"says width 96, but the weights have 8"});
  config(R"({"architecture":"swinv2_tiny_window8_256"})", {"should be a Swin Transformer of timm that is supported"});
  config(R"({"model_args":{"always_partition":true}})", {"always_partition should be false"});
  config(R"({"model_args":{"head_dim":4}})", {"head_dim", "may change the answer"});
}

TEST_CASE("swin_weights: a size that asks for gigabytes is refused, before anything is made") {
  const TempFolder folder;
  Swin model = small(SwinForm::timm);
  const auto config = [&](const std::string& img_size, const std::vector<std::string>& what) {
    write_safetensors(folder / "m", saved(model));
    write_file(folder / "config.json", R"({"model_args":{"img_size":)" + img_size + "}}");
    ModelFileOptions options = prepared;
    options.img_size.reset();
    CHECK(fails([&] { read_classifier(folder / "m", options); }, what));
  };
  config("1048576", {"images of 1048576 x 1048576 are too large", "4096 x 4096"});
  config("[40, 4097]", {"images of 40 x 4097 are too large"});

  // Our own description: what the mask of shifted windows would have, 4096 x 4096 tokens and each 64 x 64 of them.
  SwinConfig hostile{.img_size = 64,
                     .patch_size = 1,
                     .embed_dim = 1,
                     .depths = {2},
                     .num_heads = {1},
                     .window_size = 64,
                     .num_classes = 1};
  Rng rng(0);
  Swin one(hostile, rng);
  hostile.img_size = 4096;
  write_safetensors(folder / "ours", state_of(one).tensors(),
                    {{"bobbin", describe_model({hostile, {"a"}, {Size2(4096)}})}});
  CHECK(fails([&] { read_classifier(folder / "ours"); },
              {"4096 x 4096 tokens in windows of 64 x 64 are 68719476736 pairs, of which there can be 134217728"}));
  hostile = {.form = SwinForm::torchvision,
             .img_size = {4096, 64},
             .patch_size = {2, 1},
             .embed_dim = 1,
             .depths = {1, 1},
             .num_heads = {1, 1},
             .window_size = {1, 64}};
  CHECK_NOTHROW(hostile.checked());  // 2048 x 64 tokens in windows of 1 x 64: 2^23
  hostile.window_size = {32, 64};    // 2^28
  CHECK(fails([&] { hostile.checked(); }, {"2048 x 64 tokens in windows of 32 x 64"}));
  // A narrow model of wide tables.
  CHECK(SwinConfig{.embed_dim = 1, .depths = {1}, .num_heads = {1}, .window_size = 56}.weights() > 111 * 111);
  // The largest that are published, and images of 4096 pixels in Swin-T's windows.
  CHECK_NOTHROW(SwinConfig{.img_size = 384, .window_size = 12}.checked());
  CHECK_NOTHROW(SwinConfig{.img_size = 4096}.checked());
}

TEST_CASE("published: the Swin Transformers of timm and torchvision") {
  std::ifstream lines("tests/golden/published_swins.txt");  // written by make_swin.py
  int models = 0, others = 0;
  for (std::string line; std::getline(lines, line); ++models) {
    CAPTURE(line);
    std::istringstream words(line);
    const auto next = [&words] {
      std::string word;
      words >> word;
      return word;
    };
    const auto number = [&] { return std::stod(next()); };
    const auto listed = [](const std::vector<Index>& stages) {
      std::string text;
      for (const Index i : stages) text += (text.empty() ? "" : ",") + std::to_string(i);
      return text;
    };
    const std::string name = next();
    const std::optional<PublishedSwin> got = published_swin(name);
    if (contains(name, "_s3_")) {  // stages have windows of their own
      CHECK(!got);
      ++others;
      continue;
    }
    REQUIRE(got);
    const SwinConfig& c = got->config;
    CHECK(c.form == (name.starts_with("swin_") && contains(name, "_patch4_") ? SwinForm::timm : SwinForm::torchvision));
    CHECK(c.patch_size == Size2(4));
    CHECK(static_cast<double>(c.embed_dim) == number());
    CHECK(listed(c.depths) == next());
    CHECK(listed(c.num_heads) == next());
    CHECK(c.window_size.height == c.window_size.width);
    CHECK(listed(std::vector<Index>(4, c.window_size.height)) == next());
    const double size = number();
    CHECK(static_cast<double>(c.img_size.height) == size);
    REQUIRE(got->preprocess);
    const Preprocess& p = *got->preprocess;
    CHECK(p.size == c.img_size);
    CHECK(next() == "bicubic");
    CHECK(p.interpolation == Interpolation::bicubic);
    CHECK(std::floor(size / p.crop_pct) == number());
    for (const std::vector<real>& numbers : {p.mean, p.std})
      for (const real got_number : numbers) CHECK(got_number == static_cast<real>(number()));
    CHECK(p.mean.size() == 3);
    CHECK(p.std.size() == 3);
  }
  CHECK(models == 28);
  CHECK(others == 3);
  CHECK(published_swin("swin_base_patch4_window12_384")->preprocess->crop_pct == 1);
  CHECK(!published_swin("swin_tiny_patch4_window7_224.other")->preprocess);
  for (const char* name : {"", "swin_tiny_patch4_window12_384", "Swin_V2_T_Weights.IMAGENET1K_V1", "swin_v2_t"})
    CHECK(!published_swin(name));
}
