#include "nn/models/resnet.h"

#include <algorithm>
#include <map>
#include <set>

#include "autograd/watch/gradcheck.h"
#include "nn/models/any_model.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

std::set<std::string> names_of(auto& model) {
  std::set<std::string> names;
  for (const auto& [name, tensor] : state_of(model).tensors()) names.insert(name);
  return names;
}

// The largest absolute value.
real widest(const Var& weight) { return std::max(range(weight.value()).max, -range(weight.value()).min); }

}  // namespace

TEST_CASE("ResNet: as many parameters as d2l's class and torchvision's") {
  Rng rng(0);
  const auto count = [&](auto config) {
    typename decltype(config)::Model model(config, rng);
    return state_of(model).count_parameters();
  };
  CHECK(count(ResNetConfig<18>()) == 11178378);
  const auto published = [](auto config) {
    config.form = ResNetForm::torchvision;
    config.num_channels = 3;
    config.num_classes = 1000;
    return config;
  };
  CHECK(count(published(ResNetConfig<18>())) == 11689512);
  CHECK(count(published(ResNetConfig<34>())) == 21797672);
}

TEST_CASE("ResNet: the names of d2l's class") {
  Rng rng(0);
  ResNet<18> model({.width = 2}, rng);
  std::set<std::string> want{"net.0.0.weight", "net.0.0.bias", "net.last.2.weight", "net.last.2.bias"};
  const auto add_norm = [&](const std::string& at) {
    for (const char* part : {".weight", ".bias", ".running_mean", ".running_var", ".num_batches_tracked"})
      want.insert(at + part);
  };
  add_norm("net.0.1");
  for (const std::string stage : {"2", "3", "4", "5"})
    for (const std::string block : {"0", "1"}) {
      const std::string at = "net.b" + stage + "." + block + ".";
      for (const std::string conv : {"conv1", "conv2", "conv3"})
        if (conv != "conv3" || (stage != "2" && block == "0"))
          want.insert({at + conv + ".weight", at + conv + ".bias"});
      add_norm(at + "bn1");
      add_norm(at + "bn2");
    }
  CHECK(names_of(model) == want);
  CHECK(state_of(model).parameters.size() == 76);
}

TEST_CASE("ResNet: the names of torchvision's and timm's class") {
  Rng rng(0);
  ResNet<34> model({.form = ResNetForm::torchvision, .width = 2}, rng);
  std::set<std::string> want{"conv1.weight", "fc.weight", "fc.bias"};
  const auto add_norm = [&](const std::string& at) {
    for (const char* part : {".weight", ".bias", ".running_mean", ".running_var", ".num_batches_tracked"})
      want.insert(at + part);
  };
  add_norm("bn1");
  const int blocks[] = {3, 4, 6, 3};
  for (int stage = 0; stage < 4; ++stage)
    for (int block = 0; block < blocks[stage]; ++block) {
      const std::string at = "layer" + std::to_string(stage + 1) + "." + std::to_string(block) + ".";
      want.insert({at + "conv1.weight", at + "conv2.weight"});
      add_norm(at + "bn1");
      add_norm(at + "bn2");
      if (stage == 0 || block > 0) continue;
      want.insert(at + "downsample.0.weight");
      add_norm(at + "downsample.1");
    }
  CHECK(names_of(model) == want);
}

TEST_CASE("ResNet: the shapes on the way, as d2l's layer_summary prints them") {
  Rng rng(0);
  ResNet<18> model({.width = 64}, rng);
  const Tensor X = rng.normal({1, 1, 96, 96});
  Var Y = model.maxpool(relu(model.bn1(model.conv1(X))));
  CHECK(Y.shape() == Shape{1, 64, 24, 24});
  const Shape want[] = {{1, 64, 24, 24}, {1, 128, 12, 12}, {1, 256, 6, 6}, {1, 512, 3, 3}};
  for (int stage = 0; stage < 4; ++stage) {
    for (Residual& block : model.stages[stage]) Y = block(Y);
    CHECK(Y.shape() == want[stage]);
  }
  CHECK(model(X).shape() == Shape{1, 10});
}

TEST_CASE("ResNet: images of any size, in both forms") {
  for (const ResNetForm form : {ResNetForm::d2l, ResNetForm::torchvision})
    for (const Size2 size : {Size2(1), Size2(28), Size2(33, 7), Size2(64, 96)}) {
      CAPTURE(size.height);
      Rng rng(0);
      ResNet<18> model({.form = form, .img_size = size, .width = 2, .num_classes = 3, .num_channels = 2}, rng);
      const Tensor X = rng.normal({3, 2, size.height, size.width});
      CHECK(model(X).shape() == Shape{3, 3});
      eval(model);
      CHECK(model(X).shape() == Shape{3, 3});
    }
}

TEST_CASE("ResNet: initial values, d2l's by Xavier and torchvision's by Kaiming, both ways out") {
  Rng rng(0);
  ResNet<18> d2l({.width = 16}, rng);
  const Residual& block = d2l.stages[1][0];                   // 16 channels to 32
  CHECK(widest(block.conv1.weight) <= real(0.117852));        // √(6 / (9·(16 + 32)))
  CHECK(widest(block.conv1.weight) > real(0.117));            //
  CHECK(widest(block.shortcut->weight) <= real(0.353554));    // √(6 / 48)
  CHECK(widest(block.shortcut->weight) > real(0.34));         //
  CHECK(widest(block.conv1.bias) <= real(1) / 12);            // PyTorch's: 1/√(9·16)
  CHECK(widest(block.conv1.bias) > 0);                        //
  CHECK(widest(d2l.fc.weight) > real(1 / std::sqrt(128.0)));  // √(6 / 138) is more than PyTorch's

  ResNet<18> model({.form = ResNetForm::torchvision, .width = 16}, rng);
  const std::vector<real> weights = model.stages[1][0].conv1.weight.value().values();
  double squares = 0;
  for (const real w : weights) squares += double{w} * double{w};
  CHECK(squares / static_cast<double>(weights.size()) == doctest::Approx(2.0 / (9 * 32)).epsilon(0.1).scale(0));
  CHECK(widest(model.fc.weight) <= real(1 / std::sqrt(128.0)));
}

TEST_CASE("gradcheck: the residual block, with a shortcut and without, of both forms") {
  GradcheckOptions options;
  if (sizeof(real) == 4) options.tolerance = 0.1;  // a step of float crosses the kinks of relu
  for (const ResNetForm form : {ResNetForm::d2l, ResNetForm::torchvision})
    for (const Index stride : {1, 2}) {
      Rng rng(3);
      Residual block(2, stride == 1 ? 2 : 3, stride, form, rng);
      Var X = Var::parameter(rng.normal({2, 2, 5, 4}));
      std::vector<NamedParameter> leaves = named_parameters(block);
      leaves.emplace_back("X", X);
      for (const bool training : {true, false}) {
        CAPTURE(training);
        train(block, training);
        gradcheck(
            "Residual", [&] { return block(X); }, leaves, options);
      }
    }
}

TEST_CASE("ResNet: evaluation is by the running statistics, image by image") {
  Rng rng(0);
  ResNet<18> model({.form = ResNetForm::torchvision, .img_size = 32, .width = 4}, rng);
  const Tensor X = rng.normal({4, 1, 32, 32});
  const std::vector<real> trained = model(X).value().values();
  eval(model);
  const Tensor together = model(X).value();
  CHECK(together.values() != trained);
  const Tensor alone = model(X[1].reshape({1, 1, 32, 32})).value();
  for (Index c = 0; c < 10; ++c)
    CHECK(alone.values()[static_cast<std::size_t>(c)] ==
          doctest::Approx(together.values()[static_cast<std::size_t>(10 + c)]).epsilon(1e-4));
  CHECK(model.bn1.num_batches_tracked.n == 1);
}
