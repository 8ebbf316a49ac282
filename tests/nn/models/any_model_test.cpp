#include "nn/models/any_model.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

TEST_CASE("models: what is promised of each of them") {
  for (const std::string& name : AnyConfig::names()) {
    CAPTURE(name);
    AnyConfig config = AnyConfig::of(name);
    CHECK(config.name() == name);
    config.img_size() = 32;
    config.num_channels() = 3;
    config.num_classes() = 7;
    Rng rng(0);
    AnyModel model(config, rng);
    const State state = state_of(model);

    // Images to logits, and no other images.
    eval(model);
    const Tensor X = Rng(1).uniform({2, 3, 32, 32});
    CHECK(model(X).shape() == Shape{2, 7});
    CHECK(fails([&] { model(X.reshape({2, 3, 64, 16})); }, {"needs images (B, 3, 32, 32), got (2, 3, 64, 16)"}));
    CHECK(fails([&] { model(X[0]); }, {"needs images (B, 3, 32, 32), got (3, 32, 32)"}));

    // The config says all that it takes to make the same model anew, and about how large it is.
    const nlohmann::json written = nlohmann::json::parse(to_text(to_json(fields_of(config))));
    AnyConfig again = AnyConfig::of(name);
    read_json(fields_of(again), {written, "config"});
    AnyModel copy = make_model(again, state.tensors());
    eval(copy);
    CHECK(copy(X).value().values() == model(X).value().values());
    const auto count = static_cast<double>(state.count_parameters());
    CHECK(config.weights() <= count);
    CHECK(config.weights() >= 0.9 * count);

    // What the heads name is what has a number for each class, and all that has.
    again.num_classes() = 8;
    AnyModel other(again, rng);
    state_of(other).load(state.tensors(), again.heads());
    CHECK(fails([&] { make_model(again, state.tensors()); }, {"of another shape"}));

    // Every field is told on the command line, or comes from the data or a file.
    for (const Field& field : fields_of(config)) {
      CAPTURE(field.name());
      CHECK((field.flag().empty() || std::string(field.about().help) != ""));
    }
  }
}

TEST_CASE("models: an unknown name, and a config that contradicts its weights") {
  CHECK(fails([] { AnyConfig::of("vgg\n"); }, {"there is no model \"vgg?\"; there are vit, "}));
  Rng rng(0);
  MLP model({.img_size = 4, .num_hiddens = 5}, rng);
  const auto tensors = state_of(model).tensors();
  CHECK(make_model(MLPConfig{.img_size = 4, .num_hiddens = 5}, tensors).as<MLP>());
  CHECK(!make_model(MLPConfig{.img_size = 4, .num_hiddens = 5}, tensors).as<ViT>());
  CHECK(fails([&] { make_model(MLPConfig{.img_size = 4096, .num_hiddens = 65536}, tensors); },
              {"\"num_hiddens\":65536", "weights, but only 145 are there"}));
}

TEST_CASE("MLP: d2l's, its names and its numbers") {
  Rng rng(0);
  MLP model({}, rng);
  std::vector<std::string> names;
  for (const auto& [name, parameter] : named_parameters(model)) names.push_back(name);
  CHECK(names == std::vector<std::string>{"net.1.weight", "net.1.bias", "net.3.weight", "net.3.bias"});
  CHECK(state_of(model).count_parameters() == 203530);
}

TEST_CASE("ConvNet: its names, its numbers, and that it is what its parts make") {
  Rng rng(0);
  ConvNet model({.width = 4, .num_channels = 3}, rng);
  std::vector<std::string> names;
  for (const auto& [name, parameter] : named_parameters(model)) names.push_back(name);
  REQUIRE(names.size() == 20);
  CHECK(names[0] == "blocks.0.conv1.weight");
  CHECK(names[11] == "blocks.1.bn2.bias");
  CHECK(names.back() == "head.bias");
  // Convolutions 3-4-4-16-16-16-16, norms of their channels, 16-10.
  CHECK(state_of(model).count_parameters() == 9 * (12 + 16 + 64 + 3 * 256) + 2 * (2 * 4 + 4 * 16) + 170);

  const Tensor images = rng.normal({2, 3, 28, 27});
  CHECK(fails([&] { model(images); }, {"[ConvNet]"}));
  ConvNet wide({.img_size = {28, 27}, .width = 4, .num_channels = 3}, rng);
  eval(wide);
  Var X = images;
  for (ConvBlock& b : wide.blocks) {
    X = relu(b.bn1(max_pool2d(conv2d(X, b.conv1.weight, {}, {.padding = 1}), 2)));
    X = relu(b.bn2(conv2d(X, b.conv2.weight, {}, {.padding = 1})));
  }
  CHECK(X.shape() == Shape{2, 16, 3, 3});
  CHECK(wide(images).value().values() ==
        linear(max(max(X, -1), -1), wide.head.weight, wide.head.bias).value().values());
}

TEST_CASE("LeNet: d2l's, its names, its numbers and how it begins") {
  Rng rng(0);
  LeNet model({}, rng);
  std::vector<std::string> names;
  for (const auto& [name, parameter] : named_parameters(model)) names.push_back(name);
  CHECK(names == std::vector<std::string>{"net.0.weight", "net.0.bias", "net.3.weight", "net.3.bias", "net.7.weight",
                                          "net.7.bias", "net.9.weight", "net.9.bias", "net.11.weight", "net.11.bias"});
  CHECK(state_of(model).count_parameters() == 61706);
  const auto widest = [](const Tensor& weight) { return std::max(range(weight).max, -range(weight).min); };
  const Tensor conv = std::get<3>(model.net.layers).weight.value();  // √(6 / ((6 + 16)·25))
  CHECK(widest(conv) <= real(0.104447));
  CHECK(widest(conv) > real(0.104));
  CHECK(fails([&] { LeNet({.img_size = {12, 11}}, rng); }, {"images of 12 x 11 are too small"}));
  CHECK(LeNet({.img_size = {13, 12}}, rng)(rng.uniform({1, 1, 13, 12})).shape() == Shape{1, 10});
}
