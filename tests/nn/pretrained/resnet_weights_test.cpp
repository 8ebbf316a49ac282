// ResNets of other libraries: their names, what they do not say, and what is refused.
#include "nn/pretrained/resnet_weights.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/files/safetensors.h"
#include "data/files/write_file.h"
#include "data/images/image.h"
#include "nn/pretrained/model_file.h"
#include "tests/golden/golden.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;
using nlohmann::json;

namespace {

// transformers' narrow ResNet-18 and a picture, as its files have them.
struct Narrow {
  TempFolder folder;
  NamedTensors tensors;
  Image picture;
  json note;

  Narrow() {
    Safetensors file = read_safetensors("tests/golden/foreign_resnet.safetensors");
    note = json::parse(file.metadata.at("golden"));
    const Tensor X = file.tensors.extract("X").mapped();
    picture = {3, X.shape()[1], X.shape()[2], {}};
    for (const real byte : X.values()) picture.bytes.push_back(static_cast<std::uint8_t>(byte));
    tensors = std::move(file.tensors);
    write();
    write("config.json", note["config"]);
    write("preprocessor_config.json", note["preprocessor"]);
  }
  std::filesystem::path path() const { return folder / "model.safetensors"; }
  void write() const { write_safetensors(path(), tensors); }
  void write(const char* name, const json& config) const { write_file(folder / name, config.dump()); }
  Tensor logits() const {
    const auto numbers = note.at("logits").get<std::vector<real>>();
    return Tensor({1, static_cast<Index>(numbers.size())}, numbers);
  }
};

// The same under torchvision's names, which a ResNet of this form has.
NamedTensors torchvisions(const Narrow& narrow) {
  Classifier classifier = read_classifier(narrow.path());
  return state_of(classifier.model).tensors();
}

const ModelFileOptions prepared{.img_size = Size2(32),
                                .interpolation = Interpolation::bilinear,
                                .crop_pct = 0,
                                .mean = std::vector<real>{0},
                                .std = std::vector<real>{1}};

}  // namespace

TEST_CASE("resnet_weights: transformers' logits for a picture, through its own files") {
  const Narrow narrow;
  Classifier got = read_classifier(narrow.path());
  CHECK(got.taken ==
        "transformers' weights: 48 x 48, bicubic, crop_pct 0.8, mean 0.5, std 0.5 (preprocessor_config.json)");
  CHECK(got.class_names == std::vector<std::string>{"a", "b", "c"});
  CHECK(std::string(got.model.config().title()) == "ResNet-18");
  check_golden("logits", got.model(to_tensor(narrow.picture, got.preprocess)).value(), narrow.logits());
}

TEST_CASE("resnet_weights: what is written is torchvision's state_dict, and is read again") {
  const Narrow narrow;
  Classifier got = read_classifier(narrow.path());
  const State state = state_of(got.model);
  write_safetensors(narrow.folder / "ours", state.tensors(),
                    {{"bobbin", describe_model({got.model.config(), got.class_names, got.preprocess})}},
                    state.whole_numbers());
  const Safetensors file = read_safetensors(narrow.folder / "ours");
  CHECK(file.tensors.size() == narrow.tensors.size());
  CHECK(file.tensors.at("layer2.0.downsample.1.running_var").shape() == Shape{8});
  CHECK(file.tensors.at("bn1.num_batches_tracked").rank() == 0);
  Classifier again = read_classifier(narrow.folder / "ours");
  check_golden("logits", again.model(to_tensor(narrow.picture, again.preprocess)).value(), narrow.logits());
  CHECK(read_classifier(narrow.folder / "ours", {.img_size = Size2(40, 33)}).model.config().img_size() ==
        Size2(40, 33));

  // Without our description it is torchvision's or timm's.
  std::filesystem::remove(narrow.folder / "config.json");
  write_safetensors(narrow.path(), state.tensors(), {}, state.whole_numbers());
  ModelFileOptions options = prepared;
  const std::string line = read_model_file(narrow.path(), options).taken;
  CHECK(line ==
        "torchvision's or timm's weights: 32 x 32 (--img-size), bilinear (--interpolation), squashed (--crop-pct), "
        "mean 0 (--mean), std 1 (--std)");
  options.mean.reset();
  options.img_size.reset();
  CHECK(fails([&] { read_model_file(narrow.path(), options); },
              {"do not say the size of the images (--img-size) and the mean that is subtracted (--mean): give these",
               "--weights: ResNet18_Weights"}));
}

TEST_CASE("resnet_weights: d2l's own class, saved in Python") {
  const TempFolder folder;
  Rng rng(1);
  ResNet<18> model({.img_size = {33, 40}, .width = 2, .num_classes = 4, .num_channels = 1}, rng);
  const Tensor X = rng.normal({2, 1, 33, 40});
  model(X);  // statistics of its own
  eval(model);
  write_safetensors(folder / "m", state_of(model).tensors(), {}, state_of(model).whole_numbers());
  ModelFileOptions options = prepared;
  options.img_size = Size2(33, 40);
  Classifier got = read_classifier(folder / "m", options);
  CHECK(got.model.as<ResNet<18>>()->config.form == ResNetForm::d2l);
  CHECK(got.model(X).value().values() == model(X).value().values());
  CHECK(fails([&] { read_classifier(folder / "m"); }, {"d2l's weights alone do not say the size of the images"}));
}

TEST_CASE("resnet_weights: config.json of timm") {
  const Narrow narrow;
  const NamedTensors tensors = torchvisions(narrow);
  write_safetensors(narrow.path(), tensors);
  const auto read = [&](const std::string& config, const ModelFileOptions& options = prepared) {
    write_file(narrow.folder / "config.json", config);
    return read_model_file(narrow.path(), options);
  };
  const auto says = [&](const std::string& config, const std::vector<std::string>& what) {
    CAPTURE(config);
    CHECK(fails([&] { read(config); }, what));
  };
  says(R"({"architecture":"resnet18"})", {"says channels of the first stage 64, but the weights have 4"});
  says(R"({"architecture":"resnet34"})", {"says layers 34, but the weights have 18"});
  for (const char* other : {"resnet18d", "resnetblur18", "seresnet18", "resnet50", "vit_base_patch16_224"})
    says(std::string(R"({"architecture":")") + other + "\"}", {"architecture should be resnet18 or resnet34", other});
  says(R"({"num_classes":4})", {"says num_classes 4, but the weights have 3"});
  says(R"({"global_pool":"max"})", {"global_pool should be \"avg\""});
  says(R"({"model_args":{"output_stride":8}})", {"output_stride should be 32"});
  says(R"({"model_args":{"act_layer":"silu"}})", {"act_layer should be \"relu\""});
  says(R"({"model_args":{"avg_down":true}})", {"avg_down", "may change the answer"});
  says(R"({"model_args":{"in_chans":1}})", {"in_chans 1, but the weights have 3"});
  const std::string pictures = R"("pretrained_cfg":{"input_size":[3,24,28],"interpolation":"bilinear","crop_pct":1})";
  CHECK(read("{" + pictures + "}", {}).config.img_size() == Size2(24, 28));
  CHECK(read("{" + pictures + "}", {.img_size = Size2(20)}).config.img_size() == Size2(20));
  CHECK(read("{" + pictures + R"(,"label_names":["x","y","z"]})", {}).class_names[2] == "z");
}

TEST_CASE("resnet_weights: the size that timm's config.json says goes before that of the architecture") {
  const TempFolder folder;
  Rng rng(1);
  ResNet<18> model({.form = ResNetForm::torchvision, .num_channels = 3}, rng);
  write_safetensors(folder / "model.safetensors", state_of(model).tensors());
  const auto size = [&](const std::string& more) {
    write_file(folder / "config.json", R"({"architecture":"resnet18.a1_in1k")" + more + "}");
    return read_model_file(folder / "model.safetensors").config.img_size();
  };
  CHECK(size("") == Size2(224));
  CHECK(size(R"(,"pretrained_cfg":{"input_size":[3,288,320]})") == Size2(288, 320));
}

TEST_CASE("resnet_weights: config.json and preprocessor_config.json of transformers") {
  const Narrow narrow;
  const auto says = [&](const char* file, const json& changes, const std::vector<std::string>& what) {
    CAPTURE(changes.dump());
    const json& good = narrow.note[file == std::string("config.json") ? "config" : "preprocessor"];
    json config = good;
    config.merge_patch(changes);
    narrow.write(file, config);
    CHECK(fails([&] { read_model_file(narrow.path()); }, what));
    narrow.write(file, good);
  };
  says("config.json", {{"hidden_act", "gelu"}}, {"hidden_act should be relu"});
  says("config.json", {{"layer_type", "bottleneck"}}, {"layer_type should be basic"});
  says("config.json", {{"downsample_in_first_stage", true}}, {"downsample_in_first_stage should be false"});
  says("config.json", {{"model_type", "regnet"}}, {"model_type should be resnet"});
  says("config.json", {{"num_channels", 1}}, {"num_channels 1, but the weights have 3"});
  says("config.json", {{"groups", 2}}, {"\"groups\", which may change the answer"});
  says("preprocessor_config.json", {{"size", {{"shortest_edge", nullptr}, {"height", 48}}}}, {"size", "height"});
  says("preprocessor_config.json", {{"crop_pct", 0}}, {"crop_pct should be a number from 0.1 to 1"});
  says("preprocessor_config.json", {{"do_center_crop", true}}, {"do_center_crop should be false"});
  json older = narrow.note["preprocessor"];  // as the files of 2022 say it
  older.erase("image_processor_type");
  older["feature_extractor_type"] = "ConvNextFeatureExtractor";
  older["size"] = 48;
  narrow.write("preprocessor_config.json", older);
  CHECK(read_model_file(narrow.path()).preprocess.crop_pct == 0.8);
  older["size"] = 384;
  narrow.write("preprocessor_config.json", older);
  CHECK(read_model_file(narrow.path()).preprocess.crop_pct == 0);
  std::filesystem::remove(narrow.folder / "preprocessor_config.json");
  CHECK(fails([&] { read_model_file(narrow.path()); }, {"transformers' weights alone do not say the size of the images",
                                                        "put its preprocessor_config.json beside it"}));
  CHECK(read_model_file(narrow.path(), prepared).config.num_classes() == 3);
  std::filesystem::remove(narrow.folder / "config.json");
  CHECK(fails([&] { read_model_file(narrow.path(), prepared); }, {"do not say the activation: put its config.json"}));
}

TEST_CASE("resnet_weights: networks of other kinds are refused in one sentence") {
  const Narrow narrow;
  const NamedTensors good = torchvisions(narrow);
  std::filesystem::remove(narrow.folder / "config.json");
  const auto says = [&](const std::function<void(NamedTensors&)>& change, const std::string& what) {
    CAPTURE(what);
    NamedTensors tensors = good;
    change(tensors);
    write_safetensors(narrow.path(), tensors);
    CHECK(fails([&] { read_classifier(narrow.path(), prepared); }, {narrow.path().string(), what}));
  };
  const Tensor one = Tensor::ones({1});
  says([&](auto& t) { t.emplace("layer1.0.conv3.weight", one); }, "ResNet-50 and deeper ones");
  says([&](auto& t) { t.erase("layer4.1.conv1.weight"); }, "a ResNet of 2, 2, 2, 1 blocks is not supported");
  says([&](auto& t) { t.erase("fc.weight"); }, "these weights have no head");
  says([&](auto& t) { t.erase("conv1.weight"); }, "there is no conv1.weight among the weights");
  says([&](auto& t) { t["conv1.weight"] = Tensor::ones({4}); },
       "conv1.weight should have 4 axes, but its shape is (4)");
  says(
      [&](auto& t) {
        t["conv1.weight"] = Tensor::ones({4, 3, 3, 3});
      },
      "conv1.weight is (4, 3, 3, 3), expected (4, 3, 7, 7)");
  says([&](auto& t) { t.emplace("layer1.0.se.fc1.weight", one); },
       "squeeze and excitation is not supported (layer1.0.se.fc1.weight)");
  says([&](auto& t) { t.erase("layer3.0.downsample.1.running_mean"); },
       "1 is missing: layer3.0.downsample.1.running_mean");
  says([&](auto& t) { t["bn1.num_batches_tracked"] = Tensor::scalar(real(0.5)); }, "no whole number");
  CHECK(fails([&] { read_model_file(narrow.path(), {.num_heads = 2}); }, {"are for a ViT", "ResNet-18"}));
  NamedTensors before = good;  // PyTorch wrote no counts before version 0.4.1
  for (const auto& [name, tensor] : good)
    if (name.ends_with("num_batches_tracked")) before.erase(name);
  write_safetensors(narrow.path(), before);
  CHECK(read_classifier(narrow.path(), prepared).model.as<ResNet<18>>());
}

TEST_CASE("published: the ResNets of timm and torchvision") {
  std::ifstream lines("tests/golden/published_resnets.txt");  // written by make_resnet.py
  int models = 0;
  for (std::string line; std::getline(lines, line); ++models) {
    CAPTURE(line);
    std::istringstream words(line);
    std::string name, filter;
    int layers = 0;
    Index size = 0;
    double uncut = 0;
    words >> name >> layers >> size >> filter >> uncut;
    const std::optional<PublishedResNet> got = published_resnet(name);
    REQUIRE(got);
    CHECK(got->layers == layers);
    const bool torchvision = contains(name, "IMAGENET1K") || contains(name, "-");
    CHECK(got->timm == !torchvision);
    REQUIRE(got->preprocess);
    const Preprocess& p = *got->preprocess;
    CHECK(p.size == Size2(size));
    CHECK(p.interpolation == (filter == "bicubic" ? Interpolation::bicubic : Interpolation::bilinear));
    CHECK(std::floor(static_cast<double>(size) / p.crop_pct) == uncut);
    for (const std::vector<real>& numbers : {p.mean, p.std})
      for (const real got_number : numbers) {
        double number = -1;
        words >> number;
        CHECK(got_number == static_cast<real>(number));
      }
  }
  CHECK(models == 20);
  for (const char* name : {"", "resnet", "resnet50", "resnet18d", "resnet18d.ra2_in1k", "ResNet18_Weights"})
    CHECK(!published_resnet(name));
  CHECK(published_resnet("resnet18"));
  CHECK(!published_resnet("resnet18")->preprocess);
  CHECK(!published_resnet("resnet18.bt_in1k")->preprocess);
}
