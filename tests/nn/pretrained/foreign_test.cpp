// What the weights of other libraries do not say, and who says it.
#include "nn/pretrained/foreign.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "data/files/safetensors.h"
#include "data/files/write_file.h"
#include "data/images/image.h"
#include "nn/pretrained/published.h"
#include "tensor/functions.h"
#include "tests/golden/golden.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;
using nlohmann::json;

namespace {

std::filesystem::path golden(const std::string& name) { return "tests/golden/" + name + ".safetensors"; }

// How pictures are prepared, for files that do not say it.
const ModelFileOptions prepared{
    .interpolation = Interpolation::bilinear, .crop_pct = 0, .mean = std::vector<real>{0}, .std = std::vector<real>{1}};

// A copy of the golden file in a folder, under this name, with this config.json.
std::filesystem::path with_config(const TempFolder& folder, const std::string& file, const std::string& config,
                                  const std::string& name = "model") {
  const std::filesystem::path path = folder / (name + ".safetensors");
  std::filesystem::copy_file(golden("weights_" + file), path, std::filesystem::copy_options::overwrite_existing);
  if (config.empty())
    std::filesystem::remove(folder / "config.json");
  else
    write_file(folder / "config.json", config);
  return path;
}

// A golden file of weights with a picture "X" (3, H, W) among them, and what its note says.
struct WithPicture {
  TempFolder folder;
  Image picture;
  json note;

  explicit WithPicture(const std::string& name) {
    Safetensors file = read_safetensors(golden(name));
    note = json::parse(file.metadata.at("golden"));
    const Tensor X = file.tensors.extract("X").mapped();
    picture = {3, X.shape()[1], X.shape()[2], {}};
    for (const real byte : X.values()) picture.bytes.push_back(static_cast<std::uint8_t>(byte));
    write_safetensors(path(), file.tensors);
  }
  std::filesystem::path path() const { return folder / "model.safetensors"; }
  void write(const char* name, const json& config) const { write_file(folder / name, config.dump()); }
  Tensor golden_numbers(const char* name) const {
    const auto numbers = note.at(name).get<std::vector<real>>();
    return Tensor({1, static_cast<Index>(numbers.size())}, numbers);
  }
};

// Weights with the shapes of a torchvision model of this width, depth, patch and image size: all zeros, and far too
// few of them for the model, so that only read_foreign() can be asked.
NamedTensors torchvisions(Index width, int depth, Index patch, Index patches, Index classes = 1000) {
  const Tensor none = Tensor::zeros({1});
  NamedTensors tensors{{"class_token", none},
                       {"conv_proj.weight", Tensor::zeros({width, 3, patch, patch})},
                       {"encoder.pos_embedding", Tensor::zeros({1, patches + 1, width})},
                       {"encoder.layers.encoder_layer_0.mlp.0.weight", Tensor::zeros({4 * width, 1})},
                       {"heads.head.weight", Tensor::zeros({classes, 1})}};
  for (int i = 0; i < depth; ++i)
    tensors.emplace("encoder.layers.encoder_layer_" + std::to_string(i) + ".ln_1.weight", none);
  return tensors;
}

// The same for timm's vit_tiny_patch16_224.
NamedTensors tiny() {
  const Tensor none = Tensor::zeros({1});
  NamedTensors tensors{{"cls_token", none},
                       {"patch_embed.proj.weight", Tensor::zeros({192, 3, 16, 16})},
                       {"pos_embed", Tensor::zeros({1, 197, 192})},
                       {"norm.weight", none},
                       {"blocks.0.mlp.fc1.weight", Tensor::zeros({768, 1})},
                       {"head.weight", Tensor::zeros({1000, 1})}};
  for (int i = 0; i < 12; ++i) tensors.emplace("blocks." + std::to_string(i) + ".norm1.weight", none);
  return tensors;
}

}  // namespace

TEST_CASE("foreign: what nobody says is asked for, all in one sentence") {
  const auto asks = [](const std::string& file, const ModelFileOptions& options, const std::vector<std::string>& what) {
    CAPTURE(file);
    return fails([&] { read_model_file(golden("weights_" + file), options); }, what);
  };
  for (const std::string file : {"timm", "timm_avg", "timm_distilled", "timm_no_qkv_bias"})
    CHECK(asks(
        file, {},
        {"weights_" + file, "timm's weights alone do not say the number of heads (--num-heads)",
         "the pooling (--global-pool)", "(--layer-norm-eps)", "(--act)", "(--img-size: 9 patches are 24 x 24, 8 x 72)",
         "(--interpolation)", "(--crop-pct)", "(--mean)", "and the deviation that divides (--std): give these flags",
         "put its config.json beside it", "--weights"}));
  CHECK(asks("transformers", {},
             {"transformers' weights alone do not say the number of heads", "(--layer-norm-eps)", "(--act)", "(--std)",
              "config.json and preprocessor_config.json beside it"}));
  const std::string torchvision = error_of([] { read_model_file(golden("weights_torchvision")); });
  CHECK(contains(torchvision, "do not say the number of heads (--num-heads), the filter that resizes pictures"));
  CHECK(!contains(torchvision, "config.json"));  // its code says the rest, and it has no such file

  // One by one.
  ModelFileOptions all = prepared;
  all.num_heads = 2;
  all.pool = Pool::token;
  all.layer_norm_eps = real(1e-6);
  all.activation = Activation::gelu;
  all.img_size = Size2(24);
  const std::string line = read_model_file(golden("weights_timm"), all).taken;
  CHECK(
      line ==
      "timm's weights: 2 heads (--num-heads), pool token (--global-pool), eps 1e-06 (--layer-norm-eps), gelu (--act), "
      "24 x 24 (--img-size), bilinear (--interpolation), squashed (--crop-pct), mean 0 (--mean), std 1 (--std)");
  CHECK(fails(
      [&] {
        ModelFileOptions options = all;
        options.pool.reset();
        read_model_file(golden("weights_timm"), options);
      },
      {"do not say the pooling (--global-pool): give"}));
  CHECK(fails(
      [&] {
        ModelFileOptions options = all;
        options.img_size = Size2(40, 16);
        read_model_file(golden("weights_timm"), options);
      },
      {"do not say the size of the images it was trained on (--img-size 40 x 16 does not fit: 9 patches are 24 x 24"}));
  all.pool = Pool::avg;
  // Without an fc_norm timm normalises the tokens and averages them then.
  CHECK(read_model_file(golden("weights_timm"), all).config.as<ViTConfig>()->head_norm == HeadNorm::tokens);
  CHECK(read_model_file(golden("weights_timm_avg"), all).config.as<ViTConfig>()->pool == Pool::avg);
  all.pool.reset();  // fixed by the code of these
  CHECK(read_model_file(golden("weights_transformers"), all).config.as<ViTConfig>()->pool == Pool::token);
  CHECK(fails(
      [&] {
        ModelFileOptions options = all;
        options.pool = Pool::token;
        options.mean = std::vector<real>{1, 2};
        read_model_file(golden("weights_timm"), options);
      },
      {"weights_timm", "3 channels, but there are means and deviations of 2"}));
}

TEST_CASE("foreign: d2l's own class, saved in Python without a description") {
  const TempFolder folder;
  Rng rng(1);
  ViT model({.img_size = {8, 12},
             .patch_size = 4,
             .num_hiddens = 6,
             .mlp_num_hiddens = 10,
             .num_heads = 3,
             .num_blks = 2,
             .num_classes = 4,
             .num_channels = 2},
            rng);
  write_safetensors(folder / "m", state_of(model).tensors());
  CHECK(fails([&] { read_classifier(folder / "m"); },
              {"d2l's weights alone do not say the number of heads", "(--img-size: 6 patches are 8 x 12, 4 x 24)"}));
  ModelFileOptions options = prepared;
  options.num_heads = 3;
  options.img_size = Size2(8, 12);
  Classifier got = read_classifier(folder / "m", options);
  CHECK(got.model.as<ViT>()->config.layer_norm_eps == real(1e-5));
  CHECK(got.class_names == std::vector<std::string>{"0", "1", "2", "3"});
  CHECK(got.preprocess.mean == std::vector<real>(2, 0));
  const Tensor X = rng.normal({2, 2, 8, 12});
  eval(model);
  CHECK(got.model(X).value().values() == model(X).value().values());
}

TEST_CASE("foreign: images that are 4 x 9 patches, and all that only timm's model_args say") {
  const WithPicture f("foreign_timm_wide");
  f.write("config.json", f.note.at("config"));
  Classifier got = read_classifier(f.path());
  check_golden("logits", got.model(to_tensor(f.picture, got.preprocess)).value(), f.golden_numbers("logits"), 1e-5);
  CHECK(got.taken ==
        "timm's weights: 4 heads (config.json.model_args), pool token (config.json), eps 1e-06 "
        "(config.json.architecture), gelu_tanh, 32 x 72 (config.json.model_args), bicubic, crop_pct 0.9, mean "
        "0.25,0.5,0.75, std 0.5,0.25,0.75 (config.json.pretrained_cfg)");
  // A flag goes before, and that is said.
  CHECK(contains(read_model_file(f.path(), {.num_heads = 2}).taken, "2 heads (--num-heads against "));

  const auto with = [&](const char* place, const json& value) {
    json changed = f.note.at("config");
    changed[json::json_pointer(place)] = value;
    f.write("config.json", changed);
    return error_of([&] { read_model_file(f.path()); });
  };
  const auto says = [&](const char* place, const json& value, const std::string& what) {
    const std::string text = with(place, value);
    CAPTURE(text);
    CHECK(contains(text, what));
  };
  CHECK(with("/model_args/img_size", {72, 32}) == "");  // fits as well: what the config says counts
  CHECK(with("/model_args/drop_path_rate", 0.1) == "");
  CHECK(with("/model_args/init_values", nullptr) == "");
  CHECK(with("/model_type", "timm_wrapper") == "");  // as transformers writes it
  says("/model_type", "vit", "model_type should be timm_wrapper, as these are timm's weights");
  CHECK(with("/pretrained_cfg/fixed_input_size", false) == "");
  says("/model_args/img_size", {24, 48}, "model_args says images of 24 x 48, but the weights have position");
  says("/model_args/num_heads", 0, "model_args.num_heads should be a whole number from 1");
  says("/model_args/act_layer", "silu", "model_args.act_layer should be gelu, gelu_tanh or quick_gelu, as all");
  says("/model_args/norm_layer", "rmsnorm", "model_args.norm_layer should be \"layernorm\", as all else");
  says("/model_args/dynamic_img_pad", true, "model_args.dynamic_img_pad should be false, as all else");
  says("/model_args/qk_norm", true, "model_args.qk_norm should be false");
  says("/model_args/no_embed_class", true, "says images of 32 x 72, but the weights have position embeddings of 37");
  says("/model_args/init_values", 1e-5, "says LayerScales 1, but the weights have 0");
  says("/model_args/block_fn", "x", "model_args has \"block_fn\", which may change the answer");
  says("/model_args/embed_dim", 32, "says width 32, but the weights have 16");
  says("/model_args/depth", 12, "says blocks 12, but the weights have 2");
  says("/model_args/mlp_ratio", 4, "says hidden units of the MLP 64, but the weights have 24");
  says("/model_args/patch_size", 16, "says patch height 16, but the weights have 8");
  says("/model_args/in_chans", 1, "says in_chans 1, but the weights have 3");
  says("/model_args/num_classes", 6, "says num_classes 6, but the weights have 5");
  says("/model_args/global_pool", "avg", "so that there is an fc_norm among the weights, but there is none");
  says("/model_args/global_pool", "map", "the pooling is map, which does not fit the weights");
  says("/model_args/fc_norm", true, "so that there is an fc_norm among the weights, but there is none");
  says("/global_pool", "avg", "config.json.global_pool is not that of its architecture");
  says("/architecture", "vit_base_patch16_clip_224", "says norms before the first block 1, but the weights have 0");
  says("/architecture", "vit_base_patch16_rpn_224", "as norms after the parts of a block are not supported");
  says("/architecture", "vit_b_16.IMAGENET1K_V1", "config.json.architecture should be");
  says("/some_key", 1, "config.json has \"some_key\", which may change the answer");
  says("/pretrained_cfg/some_key", 1, "pretrained_cfg has \"some_key\"");
  says("/pretrained_cfg/crop_mode", "border", "crop_mode should be center or squash");
  says("/pretrained_cfg/crop_pct", 0.01, "crop_pct should be 0, or from 0.1 to 1, got 0.01");
  says("/pretrained_cfg/interpolation", "lanczos", "interpolation should be bilinear or bicubic");
  says("/pretrained_cfg/interpolation", "random", "interpolation should be bilinear or bicubic");
  says("/pretrained_cfg/mean", {1, "x"}, "mean should be a number");
  says("/pretrained_cfg/std", {1, 1, 0}, "must be above 0, got 0");
  says("/pretrained_cfg/label_offset", 1, "label_offset should be 0");
  says("/pretrained_cfg/input_size", {72}, "input_size should be channels, height and width");
  CHECK(contains(with("/label_names", {"a"}), "has 5 classes, but 1 have names"));

  // Pictures of another size than the model's.
  json changed = f.note.at("config");
  changed["pretrained_cfg"]["fixed_input_size"] = false;
  changed["pretrained_cfg"]["input_size"] = {3, 224, 224};
  f.write("config.json", changed);
  CHECK(fails([&] { read_model_file(f.path()); },
              {"says that pictures become 224 x 224, but the model is for 32 x 72", "--img-size decides"}));
  CHECK(read_model_file(f.path(), {.img_size = Size2(32, 72)}).preprocess.size == Size2(32, 72));
  // timm's defaults for what is not there.
  for (const char* key : {"interpolation", "crop_pct", "crop_mode", "mean", "std", "input_size"})
    changed["pretrained_cfg"].erase(key);
  changed["pretrained_cfg"]["interpolation"] = "";
  changed["model_args"].erase("act_layer");
  f.write("config.json", changed);
  const ModelFile defaults = read_model_file(f.path());
  CHECK(defaults.preprocess.interpolation == Interpolation::bicubic);
  CHECK(defaults.preprocess.crop_pct == 0.875);
  CHECK(!defaults.preprocess.squash);
  CHECK(defaults.preprocess.mean == std::vector<real>{real(0.485), real(0.456), real(0.406)});
  CHECK(defaults.preprocess.std == std::vector<real>{real(0.229), real(0.224), real(0.225)});
  CHECK(defaults.config.as<ViTConfig>()->activation == Activation::gelu);
  changed["pretrained_cfg"]["crop_mode"] = "squash";
  changed["label_names"] = {"a", "b", "c", "d", "e"};
  f.write("config.json", changed);
  CHECK(read_model_file(f.path()).preprocess.squash);
  CHECK(read_model_file(f.path()).class_names[3] == "d");
  // Without how pictures are prepared that is asked for, and nothing else.
  changed.erase("pretrained_cfg");
  f.write("config.json", changed);
  CHECK(fails([&] { read_model_file(f.path()); },
              {"do not say the filter that resizes pictures (--interpolation), how"}));
  ModelFileOptions options = prepared;
  options.weights = "vit_small_patch16_224";
  CHECK(fails([&] { read_model_file(f.path(), options); }, {"but --weights \"vit_small_patch16_224\""}));
  options.weights = "vit_tiny_patch16_224.augreg_in21k";  // the same architecture; its tag says the rest
  CHECK(read_model_file(f.path(), {.weights = options.weights}).preprocess.mean == std::vector<real>(3, real(0.5)));
}

TEST_CASE("foreign: transformers' several labels to a picture, GELU by tanh and 2 x 3 patches") {
  const WithPicture f("foreign_transformers");
  f.write("config.json", f.note.at("config"));
  CHECK(fails([&] { read_model_file(f.path()); }, {"do not say the filter that resizes pictures"}));
  f.write("preprocessor_config.json", f.note.at("preprocessor"));
  Classifier got = read_classifier(f.path());
  CHECK(got.class_names == std::vector<std::string>{"a", "b", "c"});
  const Tensor logits = got.model(to_tensor(f.picture, got.preprocess)).value();
  check_golden("logits", logits, f.golden_numbers("logits"), 1e-5);
  CHECK(got.scores == Scores::sigmoid);
  check_golden("scores", got.probabilities(logits), f.golden_numbers("scores"), 1e-5);
  // In a file of ours, too.
  const std::string description = describe_model({got.model.config(), got.class_names, got.preprocess, got.scores});
  CHECK(read_description(description, "it").scores == Scores::sigmoid);
  CHECK(contains(description, R"("activation":"gelu_tanh")"));
}

TEST_CASE("foreign: config.json of transformers") {
  const TempFolder folder;
  const auto read = [&](const std::string& config) {
    return read_classifier(with_config(folder, "transformers", config), prepared);
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
  write_file(folder / "config.json", "");
  CHECK(fails([&] { read_model_file(folder / "model.safetensors", prepared); }, {"config.json", "is empty"}));
  says("{", {"config.json is not JSON in UTF-8"});
  says("[1]", {"config.json should be an object, got [1]"});
  says("{" + std::string(17 << 20, ' ') + "}", {"config.json", "16777216"});
  says(std::string(1 << 20, '[') + std::string(1 << 20, ']'), {"config.json is nested more than 32 deep"});
  says(R"({"num_attention_heads":0})", {"config.json.num_attention_heads should be a whole number from 1", "got 0"});
  says(R"({"num_attention_heads":"2"})", {"got \"2\""});
  says(R"({"num_attention_heads":3,"image_size":24})", {"3 heads do not divide"});
  says("{" + heads + R"(,"hidden_act":"relu"})", {"config.json.hidden_act should be gelu, gelu_new", "got \"relu\""});
  says("{" + heads + "}", {"config.json says images of 224 x 224", "9 patches, which are 24 x 24, 8 x 72"});
  says(R"({"image_size":24})", {"12 heads do not divide"});  // transformers' default
  const std::string fits = "{" + heads + R"(,"image_size":24,)";
  says(fits + R"("hidden_size":32})", {"config.json says hidden_size 32, but the weights have 16"});
  says(fits + R"("intermediate_size":32})", {"says intermediate_size 32, but the weights have 24"});
  says(fits + R"("num_hidden_layers":3})", {"says num_hidden_layers 3, but the weights have 2"});
  says(fits + R"("num_channels":1})", {"says num_channels 1, but the weights have 3"});
  says(fits + R"("num_labels":2})", {"says num_labels 2, but the weights have 5"});
  says(fits + R"("patch_size":16})", {"config.json.patch_size should be", "got 16"});
  says(fits + R"("head_dim":4})", {"config.json.head_dim should be", "got 4"});
  says(fits + R"("pruned_heads":{"0":[1]}})", {"config.json.pruned_heads should be empty"});
  says(fits + R"("model_type":"deit"})",
       {"config.json.model_type should be vit or vit_mae or vit_msn, as its weights are, got \"deit\""});
  says(fits + R"("problem_type":"regression"})", {"problem_type should be", "as all else is not supported"});
  says(fits + R"("layer_scale":1})", {"config.json has \"layer_scale\", which may change the answer"});
  for (const char* act : {"gelu_new", "gelu_pytorch_tanh", "gelu_fast"})
    CHECK(read(fits + R"("hidden_act":")" + act + "\"}").model.as<ViT>()->config.activation == Activation::gelu_tanh);
  CHECK(read(fits + R"("problem_type":null,"some_key":null})").scores == Scores::softmax);
  says("{" + heads + R"(,"image_size":32})", {"config.json says images of 32 x 32", "of 9 patches, which are 24 x 24"});
  says("{" + heads + R"(,"image_size":[24]})", {"image_size should be a number, or height and width, got [24]"});
  says("{" + heads + R"(,"layer_norm_eps":-1})", {"layer_norm_eps should be a number from 1e-20 to 1, got -1"});
  says("{" + heads + R"(,"image_size":24,"id2label":{"0":"a","1":"b"}})", {"has 5 classes, but 2 have names"});
  says("{" + heads + R"(,"image_size":24,"id2label":{"0":"a","2":"b"}})", {"id2label should be a name for each class"});
  says("{" + heads + R"(,"image_size":24,"id2label":{"0":1}})", {"id2label should be a name for each class"});
  says("{" + heads + R"(,"image_size":24,"id2label":5})", {"id2label should be the names of the classes, got 5"});
}

TEST_CASE("foreign: preprocessor_config.json, pictures become what transformers makes of them") {
  const TempFolder folder;
  const auto path = with_config(folder, "transformers", R"({"num_attention_heads":2,"image_size":24})");
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
  says({{"do_resize", false}}, ".do_resize should be true, as all else is not supported, got false");
  says({{"do_rescale", false}}, ".do_rescale should be true, as all else is not supported, got false");
  says({{"rescale_factor", 1}}, ".rescale_factor should be 1 / 255, got 1");
  says({{"resample", 1}}, ".resample should be 2, bilinear, or 3, bicubic, got 1");
  says({{"resample", "bicubic"}}, ".resample should be a whole number");
  says({{"do_normalize", 1}}, ".do_normalize should be true or false, got 1");
  says({{"image_mean", 0.5}}, ".image_mean should be an array of numbers, got 0.5");
  says({{"crop_size", 20}}, " says that pictures become 20 x 20, but the model is for 24 x 24");
  says({{"do_center_crop", false}}, " says that pictures become 28 x 28, but the model is for 24 x 24");
  says({{"size", {{"height", nullptr}, {"width", nullptr}, {"shortest_edge", 28}, {"longest_edge", 40}}}},
       ".size has \"longest_edge\", which may change");
  says({{"do_pad", true}}, ".do_pad should be false, as all else is not supported");
  says({{"do_convert_grayscale", true}}, ".do_convert_grayscale should be false");
  says({{"rescale_offset", true}}, ".rescale_offset should be false");
  says({{"default_to_square", false}}, ".default_to_square should be true");
  says({{"image_processor_type", "BeitImageProcessor"}}, ".image_processor_type should be the ImageProcessor of ViT");
  says({{"crop_pct", 0.9}}, " has \"crop_pct\", which may change the answer and is not supported");
  with({{"do_convert_rgb", true}, {"processor_class", "x"}});
  says({{"size", 23}}, ".crop_size should be the same share, from a tenth to all");
  says({{"size", 241}}, ".crop_size should be the same share, from a tenth to all");
  says({{"size", {{"height", 32}}}}, ".crop_size should be the same share, from a tenth to all, of the height and");
  says({{"size", {{"height", 0}}}}, ".size.height should be a whole number from 1");
  says({{"size", {{"height", nullptr}}}}, ".size has no height");
  says({{"size", {{"height", nullptr}, {"width", nullptr}, {"shortest_edge", 28}}}, {"do_center_crop", false}},
       ".size should be height and width where nothing");
  const std::string good = configs["deit"].dump();
  for (std::size_t size = 1; size < good.size(); ++size) {
    write_file(folder / "preprocessor_config.json", good.substr(0, size));
    CHECK(fails([&] { read_model_file(path); }, {"preprocessor_config.json is not JSON"}));
  }
}

TEST_CASE("foreign: transformers cuts half a pixel more off the end") {
  const TempFolder folder;
  Safetensors file = read_safetensors(golden("foreign_crop"));
  Image picture{3, 29, 39, {}};
  for (const real byte : file.tensors.at("X").values()) picture.bytes.push_back(static_cast<std::uint8_t>(byte));
  const auto path = with_config(folder, "transformers", R"({"num_attention_heads":2,"image_size":24})");
  write_file(folder / "preprocessor_config.json", json::parse(file.metadata.at("golden")).at("preprocessor").dump());
  const Tensor seen = to_tensor(picture, read_model_file(path).preprocess);
  check_golden("seen", seen.reshape({3, 24, 24}), file.tensors.at("seen"), 1e-6);
}

TEST_CASE("foreign: a published model by --weights, by its file's name, or torchvision's by its shapes") {
  const auto read = [](const NamedTensors& tensors, const std::string& file, const std::string& weights = "",
                       int heads = 0) {
    return read_foreign(tensors, "/none/" + file + ".safetensors", {.num_heads = heads, .weights = weights});
  };
  const NamedTensors b16 = torchvisions(768, 12, 16, 196), b32 = torchvisions(768, 12, 32, 49);
  CHECK(fails([&] { read(b16, "model"); },
              {"torchvision's weights alone do not say the filter that resizes pictures", "--weights: ",
               "ViT_B_16_Weights.IMAGENET1K_V1, ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1, "
               "ViT_B_16_Weights.IMAGENET1K_SWAG_LINEAR_V1"}));
  for (const std::string name : {"ViT_B_16_Weights.IMAGENET1K_V1", "vit_b_16.IMAGENET1K_V1", "vit_b_16-c867db91"}) {
    const ModelFile file = read(b16, "model", name), called = read(b16, name);
    CHECK(file.config.as<ViTConfig>()->num_heads == 12);
    CHECK(file.preprocess.interpolation == Interpolation::bilinear);
    CHECK(file.preprocess.crop_pct == 0.875);
    CHECK(contains(file.taken, "std 0.229,0.224,0.225 (--weights " + name + ")"));
    CHECK(contains(called.taken, "std 0.229,0.224,0.225 (its name, " + name + ")"));
  }
  CHECK(read(b16, "model", "ViT_B_16_Weights.IMAGENET1K_SWAG_LINEAR_V1").preprocess.crop_pct == 1);
  CHECK(contains(read(b32, "model").taken, "its shapes, ViT_B_32_Weights.IMAGENET1K_V1"));  // there is one
  CHECK(read(torchvisions(768, 12, 16, 576), "model").preprocess.interpolation == Interpolation::bicubic);
  CHECK(fails([&] { read(torchvisions(768, 12, 32, 49, 10), "model"); }, {"do not say the filter"}));  // fine-tuned
  CHECK(fails([&] { read(torchvisions(384, 12, 16, 196), "model"); }, {"do not say the number of heads"}));
  CHECK(fails([&] { read(torchvisions(768, 12, 16, 195), "model"); }, {"195 patches, which is no square"}));
  CHECK(fails([&] { read(b32, "model", "ViT_B_16_Weights.IMAGENET1K_V1"); },
              {"--weights ViT_B_16_Weights.IMAGENET1K_V1 says patch height 16, but the weights have 32"}));
  CHECK(fails([&] { read(b16, "model", "ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1"); },
              {"says images of 384 x 384, but the weights have position embeddings of 196 patches"}));
  CHECK(fails(
      [&] { read(b16, "model", "vit_base_patch16_224"); },
      {"--weights should be a published model of torchvision's, such as ViT_B_16", "got \"vit_base_patch16_224\""}));
  CHECK(fails([&] { read(b16, "model", "vgg"); }, {"--weights should be a published model of", "got \"vgg\""}));
  CHECK(fails([&] { read(b16, "vit_base_patch16_224"); }, {"do not say the filter"}));  // timm's name, not timm's file

  const NamedTensors timm = read_safetensors(golden("weights_timm")).tensors;
  CHECK(fails([&] { read(timm, "vit_tiny_patch16_224"); },
              {"its name, vit_tiny_patch16_224 says width 192, but the weights have 16"}));
  CHECK(fails([&] { read(timm, "model", "vit_tiny_patch16_224"); }, {"--weights vit_tiny_patch16_224 says width 192"}));
}

TEST_CASE("foreign: an architecture of timm by the file's name, with a tag that says how pictures are prepared") {
  const TempFolder folder;
  const auto read = [&](const std::string& file, const ModelFileOptions& options = {}) {
    return read_foreign(tiny(), folder / (file + ".safetensors"), options);
  };
  CHECK(fails([&] { read("model"); }, {"do not say the number of heads"}));
  CHECK(fails([&] { read("vit_tiny_patch16_224"); }, {"do not say the filter that resizes pictures", "(--std): give"}));
  CHECK(fails([&] { read("vit_tiny_patch16_224.mine"); }, {"do not say the filter that resizes pictures"}));
  const std::string name = "vit_tiny_patch16_224.augreg_in21k_ft_in1k";
  for (const ModelFile& file : {read(name), read("model", {.weights = name})}) {
    const ViTConfig& config = *file.config.as<ViTConfig>();
    CHECK(config.num_heads == 3);
    CHECK(config.pool == Pool::token);
    CHECK(config.layer_norm_eps == real(1e-6));
    CHECK(config.img_size == Size2(224));
    CHECK(file.preprocess.interpolation == Interpolation::bicubic);
    CHECK(file.preprocess.crop_pct == 0.9);
    CHECK(file.preprocess.mean == std::vector<real>(3, real(0.5)));
    CHECK(file.preprocess.std == std::vector<real>(3, real(0.5)));
  }
  CHECK(contains(read(name, {.img_size = Size2(96, 160)}).taken,
                 "224 x 224 (its name, " + name + "), positions resized for 96 x 160 (--img-size)"));
  CHECK(fails([&] { read("vit_tiny_patch16_384.augreg_in21k_ft_in1k"); },
              {"its name, vit_tiny_patch16_384.augreg_in21k_ft_in1k says images of 384 x 384, but the weights have "
               "position embeddings of 196 patches, which are 224 x 224, 112 x 448"}));
  CHECK(fails([&] { read("vit_small_patch16_224"); }, {"says width 384, but the weights have 192"}));
  // A config.json is nearer to the weights than their file's name; without an architecture in it the name stands.
  write_file(folder / "config.json", R"({"architecture":"vit_tiny_patch16_224","mean":[0,0,0],"crop_pct":1})");
  const ModelFile flat = read("vit_small_patch16_224");
  CHECK(flat.preprocess.mean == std::vector<real>(3, 0));
  CHECK(flat.preprocess.std[1] == real(0.224));
  CHECK(flat.preprocess.crop_pct == 1);
  write_file(folder / "config.json", R"({"num_classes":1000})");
  CHECK(read(name).config.as<ViTConfig>()->num_heads == 3);
  write_file(folder / "config.json", R"({"architecture":"vit_tiny_patch16_224"})");
  CHECK(fails([&] { read("model"); }, {"do not say the filter that resizes pictures"}));
}

TEST_CASE("foreign: timm's pooling, and its norms") {
  const TempFolder folder;
  const std::string args = R"("model_args":{"embed_dim":16,"depth":2,"num_heads":2,"patch_size":8,"img_size":24,)"
                           R"("mlp_ratio":1.5)",
                    tiny = R"({"architecture":"vit_tiny_patch16_224",)";
  ModelFile got = read_model_file(with_config(folder, "timm", tiny + args + "}}"), prepared);
  CHECK(got.config.as<ViTConfig>()->num_heads == 2);
  // The mean needs its norm, and is known where the architecture does not say it.
  got = read_model_file(with_config(folder, "timm_avg", tiny + args + R"(,"global_pool":"avg"}})"), prepared);
  CHECK(got.config.as<ViTConfig>()->pool == Pool::avg);
  got = read_model_file(with_config(folder, "timm_avg", tiny + R"("global_pool":"avg",)" + args + "}}"), prepared);
  CHECK(got.config.as<ViTConfig>()->pool == Pool::avg);
  CHECK(fails([&] { read_model_file(with_config(folder, "timm_avg", tiny + args + "}}"), prepared); },
              {"the pooling is token and so that there is no fc_norm among the weights, but there is one"}));
  got = read_model_file(with_config(folder, "timm_avg", tiny + args + R"(,"fc_norm":true}})"), prepared);
  CHECK(got.config.as<ViTConfig>()->pool == Pool::token);  // one token: normalised before or after is the same
  got =
      read_model_file(with_config(folder, "timm", tiny + args + R"(,"global_pool":"avg","fc_norm":false}})"), prepared);
  CHECK(got.config.as<ViTConfig>()->head_norm == HeadNorm::tokens);  // tokens are normalised, and averaged then
  CHECK(fails([&] { read_model_file(with_config(folder, "timm_distilled", tiny + args + "}}"), prepared); },
              {"says distillation tokens 0, but the weights have 1"}));
  CHECK(fails([&] { read_model_file(with_config(folder, "timm", R"({"architecture":"vit_tiny_patch16_224"})")); },
              {"config.json.architecture says width 192, but the weights have 16"}));
  CHECK(fails([&] { read_model_file(with_config(folder, "timm", R"({"num_classes":5})")); },
              {"do not say the number of heads"}));
}
