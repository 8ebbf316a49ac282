// Models whose products are computed in bfloat16, beside the same in float32: the gradients have the same direction and
// length, and training goes the same way.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "autograd/ops.h"
#include "nn/models/lenet.h"
#include "nn/models/mlp.h"
#include "nn/models/vit.h"
#include "optim/adamw.h"
#include "optim/sgd.h"
#include "optim/training/step.h"
#include "tensor/profile.h"

using namespace bobbin;

namespace {

const ViTConfig small{.img_size = {8, 12},
                      .patch_size = 4,
                      .num_hiddens = 24,
                      .mlp_num_hiddens = 40,
                      .num_heads = 3,
                      .emb_dropout = real(0.1),
                      .blk_dropout = real(0.2),
                      .num_classes = 5,
                      .num_channels = 2};

using Tensors = std::map<std::string, Tensor>;

Tensor images(const auto& config, Index count) {
  return Rng(2).normal({count, config.num_channels, Size2(config.img_size).height, Size2(config.img_size).width});
}

Labels labels(const auto& config, Index count) {
  Labels y;
  for (Index i = 0; i < count; ++i) y.push_back(static_cast<int>(i % config.num_classes));
  return y;
}

// ReLU's derivative jumps, so a hidden unit that rounding moves across 0 has another gradient altogether, in PyTorch,
// too: at a batch of 4 it is one of 1024, and the cosine .9957. Large biases keep all away from 0.
void keep_from_jumps(MLP& model) {
  std::vector<real> bias;
  for (Index i = 0; i < model.config.num_hiddens; ++i) bias.push_back(i % 3 == 0 ? real{-4} : real{4});
  std::get<1>(model.net.layers).bias.mutable_value().assign({{model.config.num_hiddens}, bias});
}
void keep_from_jumps(auto&) {}

// The gradient of each parameter of a new model, with the same dropout each time.
Tensors gradients(const auto& config, Index batch_size, Precision precision) {
  const ProductsIn products_in(precision);
  Rng rng(1);
  typename std::decay_t<decltype(config)>::Model model(config, rng);
  keep_from_jumps(model);
  train(model);
  Tape tape;
  tape.backward(cross_entropy(model(images(config, batch_size)), labels(config, batch_size)));
  Tensors result;
  for (auto& [name, parameter] : named_parameters(model)) result[name] = parameter.take_grad();
  return result;
}

double cosine(const Tensor& a, const Tensor& b) {
  const std::vector<real> x = a.values(), y = b.values();
  double product = 0;
  for (std::size_t i = 0; i < x.size(); ++i) product += double{x[i]} * y[i];
  return product / (norm(a) * norm(b));
}

void check_gradients(const auto& config, Index batch_size) {
  const Tensors exact = gradients(config, batch_size, Precision::float32);
  const Tensors rounded = gradients(config, batch_size, Precision::bfloat16);
  REQUIRE(rounded.size() == exact.size());
  for (const auto& gradient : rounded) {
    const std::string& name = gradient.first;
    const Tensor &got = gradient.second, &want = exact.at(name);
    CAPTURE(name);
    // Softmax does not see a shift of all scores of a query, so this one is 0, but for rounding.
    if (const auto at = name.find("W_k.bias"); at != std::string::npos) {
      CHECK(norm(got) <= 2e-2 * norm(rounded.at(std::string(name).replace(at, 3, "W_q"))));
      continue;
    }
    CHECK(cosine(got, want) >= 0.999);
    CHECK(std::abs(norm(got) / norm(want) - 1) <= 2e-2);
    if (want.rank() > 1) CHECK(norm(got - want) >= 1e-4 * norm(want));  // products did round
  }
}

}  // namespace

TEST_CASE("in bfloat16 every gradient of a small ViT has float32's direction") {
  for (const bool use_bias : {false, true})
    for (const bool whole_last_block : {false, true}) {
      CAPTURE(use_bias);
      CAPTURE(whole_last_block);
      ViTConfig config = small;
      config.use_bias = use_bias;
      config.whole_last_block = whole_last_block;
      check_gradients(config, 8);
    }
}

TEST_CASE("in bfloat16 every gradient of d2l's ViT has float32's direction") { check_gradients(ViTConfig(), 2); }

TEST_CASE("in bfloat16 every gradient of LeNet and of MLP has float32's direction") {
  check_gradients(LeNetConfig(), 4);
  check_gradients(MLPConfig(), 4);
}

TEST_CASE("a step in bfloat16 writes no rounded number out, and few roundings have a pass of their own") {
  const ProductsIn products_in(Precision::bfloat16);
  Rng rng(1);
  ViTConfig config = small;
  config.whole_last_block = true;
  ViT model(config, rng);
  SGD optimizer(named_parameters(model), {});
  const auto calls = [](const auto& body) {
    profile::start();
    body();
    profile::stop();
    std::map<std::string, Index> by_name;
    for (const profile::Row& row : profile::rows()) by_name[row.name] = row.calls;
    return by_name;
  };
  const Tensor X = images(small, 4);
  const auto step = [&] { training_step(model, optimizer, CrossEntropy(), X, labels(small, 4), real(0.01)); };
  step();  // rounds the weights
  auto counts = calls(step);
  CHECK(counts["linear"] > 0);
  CHECK(counts["to_float"] == 0);
  // The patches, the class token for the head and the gradients of both layers' results; in a block those of the two
  // sums, for W_o and for dense2.
  CHECK(counts["to_bfloat16"] == 4 + 2 * config.num_blks);
  eval(model);
  const auto evaluation = [&] { model(Var(X)); };
  counts = calls(evaluation);
  CHECK(counts["to_float"] == 0);
  CHECK(counts["to_bfloat16"] == 2);  // the patches, and the class token for the head
}

TEST_CASE("in bfloat16 the loss after 20 steps of a small ViT with dropout is float32's") {
  const auto last_loss = [](const auto& options, double lr, Precision precision) {
    const ProductsIn products_in(precision);
    Rng rng(1);
    ViT model(small, rng);
    train(model);
    typename std::decay_t<decltype(options)>::Rule optimizer(named_parameters(model), options);
    const Tensor X = images(small, 20);
    const Labels y = labels(small, 20);
    double loss = 0;
    for (int step = 0; step < 20; ++step)
      loss = training_step(model, optimizer, CrossEntropy(), X, y, static_cast<real>(lr));
    return loss;
  };
  const auto compare = [&](const auto& options, double lr) {
    CAPTURE(std::string(options.name));
    const double exact = last_loss(options, lr, Precision::float32);
    const double rounded = last_loss(options, lr, Precision::bfloat16);
    CHECK(exact < std::log(5.0));  // what a guess has: it learns
    CHECK(rounded != exact);
    CHECK(std::abs(rounded / exact - 1) <= 5e-3);
  };
  compare(SGDOptions{.momentum = real(0.9)}, 0.02);
  compare(AdamWOptions(), 0.003);
}
