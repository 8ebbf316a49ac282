#include "nn/layers.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "nn/models/vit.h"
#include "tests/golden/golden.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

TEST_CASE("layers: a drop path leaves a branch out for whole images, with timm's values and rates") {
  const Golden golden("training");
  Rng rng(1);
  DropPath path(real(0.2), rng);
  const Tensor y = path(Tensor::ones({2000, 3, 2})).value();
  const std::vector<real> numbers = y.values();
  const std::set<real> values(numbers.begin(), numbers.end());
  const std::vector<double> timms = golden.doubles("drop_path/values");
  REQUIRE(values.size() == 2);
  CHECK(double{*values.begin()} == timms[0]);
  CHECK(double{*values.rbegin()} == doctest::Approx(timms[1]));
  Index dropped = 0;
  for (Index i = 0; i < 2000; ++i) {
    const std::vector<real> image(numbers.begin() + i * 6, numbers.begin() + (i + 1) * 6);
    CHECK(image == std::vector<real>(6, image[0]));
    dropped += image[0] == 0;
  }
  CHECK(std::abs(static_cast<double>(dropped) / 2000 - 0.2) < 0.03);
  eval(path);
  CHECK(path(Tensor::ones({3, 1})).value().values() == std::vector<real>(3, 1));
  CHECK(fails([&] { DropPath(2, rng); }, {"must be in [0, 1]"}));

  ViT model({.img_size = 4,
             .patch_size = 2,
             .num_hiddens = 4,
             .mlp_num_hiddens = 4,
             .num_heads = 1,
             .num_blks = 5,
             .drop_path = real(0.2)},
            rng);
  for (std::size_t i = 0; i < 5; ++i) {
    const auto rate = [](const DropPath& p) { return p.dropout ? double{p.dropout->p} : 0; };
    CHECK(rate(model.blks[i].drop_path1) == doctest::Approx(golden.doubles("drop_path/rates")[i]));
    CHECK(rate(model.blks[i].drop_path2) == rate(model.blks[i].drop_path1));
  }
  CHECK(state_of(model).streams.size() == 1 + 5 * 3 + 4 * 2);  // the first block's paths draw nothing
}

TEST_CASE("layers: without LayerScale and drop path a ViT is what it was, with them it has their names") {
  ViTConfig config{.img_size = 4, .patch_size = 2, .num_hiddens = 4, .mlp_num_hiddens = 4, .num_heads = 1};
  Rng a(1), b(1);
  ViT plain(config, a);
  config.layer_scale = real(0.1);
  ViT scaled(config, b);
  const auto names = state_of(scaled).tensors();
  CHECK(names.size() == state_of(plain).tensors().size() + 4);
  CHECK(names.at("blks.1.ls2.gamma").values() == std::vector<real>(4, real(0.1)));
  CHECK(names.at("blks.1.mlp.dense1.weight").values() ==
        state_of(plain).tensors().at("blks.1.mlp.dense1.weight").values());
  CHECK(a.draw().number == b.draw().number);
}

TEST_CASE(
    "layers: a convolutional stem halves the image and doubles the channels, and a patch is cut from what is left") {
  ViTConfig config{.img_size = {27, 14},
                   .patch_size = {7, 2},
                   .stem_stages = 2,
                   .stem_width = 3,
                   .num_hiddens = 8,
                   .mlp_num_hiddens = 8,
                   .num_heads = 2,
                   .num_blks = 1,
                   .num_channels = 2};
  CHECK(config.map_size() == Size2(7, 4));
  CHECK(config.map_channels() == 6);
  CHECK(config.grid() == Size2(1, 2));
  Rng rng(1);
  ViT model(config, rng);
  const auto tensors = state_of(model).tensors();
  CHECK(tensors.at("stem.stages.0.conv.weight").shape() == Shape{3, 2, 3, 3});
  CHECK(tensors.at("stem.stages.1.bn.running_var").shape() == Shape{6});
  CHECK(tensors.at("patch_embedding.conv.weight").shape() == Shape{8, 6, 7, 2});
  CHECK(!tensors.contains("stem.stages.1.conv.bias"));
  CHECK(!tensors.contains("stem.stages.2.conv.weight"));

  const Tensor images = rng.normal({3, 2, 27, 14});
  train(model);
  CHECK(model(images).shape() == Shape{3, 10});
  eval(model);
  Var X = images;
  for (ConvStem::Layer& layer : model.stem.layers)
    X = relu(layer.bn(conv2d(X, layer.conv.weight, {}, {.stride = 2, .padding = 1})));
  CHECK(X.shape() == Shape{3, 6, 7, 4});
  CHECK(slice(model.tokens(images).value(), 1, 1, 3).values() ==
        (model.patch_embedding(X) + slice(model.pos_embedding, 1, 1, 3)).value().values());

  // Of three convolutions in a stage the first alone halves the image.
  config.stem_convs = 3;
  ViT deeper(config, rng);
  eval(deeper);
  Var Y = images;
  for (std::size_t i = 0; i < 6; ++i) {
    ConvStem::Layer& layer = deeper.stem.layers[i];
    CHECK(layer.conv.weight.shape() == Shape{i < 3 ? 3 : 6, i == 0 ? 2 : i < 4 ? 3 : 6, 3, 3});
    Y = relu(layer.bn(conv2d(Y, layer.conv.weight, {}, {.stride = i % 3 == 0 ? 2 : 1, .padding = 1})));
  }
  CHECK(deeper.stem.layers.size() == 6);
  CHECK(deeper.stem(images).value().values() == Y.value().values());

  // With pooling the largest of four neighbours goes on, and an odd row or column at the end does not.
  config.stem_pool = true;
  config.stem_convs = 2;
  config.patch_size = {2, 3};
  CHECK(config.map_size() == Size2(6, 3));
  CHECK(config.grid() == Size2(3, 1));
  ViT pooled(config, rng);
  eval(pooled);
  Var Z = images;
  for (std::size_t i = 0; i < 4; ++i) {
    ConvStem::Layer& layer = pooled.stem.layers[i];
    Z = conv2d(Z, layer.conv.weight, {}, {.padding = 1});
    Z = relu(layer.bn(i % 2 == 0 ? max_pool2d(Z, 2) : Z));
  }
  CHECK(Z.shape() == Shape{3, 6, 6, 3});
  CHECK(pooled.stem(images).value().values() == Z.value().values());
  CHECK(pooled(images).shape() == Shape{3, 10});
  config.img_size = {27, 3};
  CHECK(fails([&] { ViT(config, rng); }, {"2 stages with pooling leave nothing of an image of 27 x 3"}));

  config.img_size = {27, 14}, config.stem_pool = false, config.patch_size = 2;
  CHECK(fails([&] { ViT(config, rng); }, {"7 x 4", "2 x 2"}));
  config.stem_stages = 0, config.patch_size = 1;
  ViT without(config, rng);
  CHECK(!state_of(without).tensors().contains("stem.stages.0.conv.weight"));
}

TEST_CASE("golden: fixed positions are those of vit-pytorch's simple ViT") {
  const Golden golden("training");
  check_golden("positions", sincos_positions({3, 5}, 12).reshape({15, 12}), golden.tensor("positions"));
  CHECK(fails([] { sincos_positions({3, 5}, 4); }, {"4 divides, 8 or more, got 4"}));
  CHECK(fails([] { sincos_positions({3, 5}, 14); }, {"got 14"}));

  ViTConfig config{.img_size = {6, 10}, .patch_size = 2, .num_hiddens = 12, .mlp_num_hiddens = 4, .num_heads = 1};
  config.positions = Positions::sincos;
  Rng rng(1);
  ViT fixed(config, rng);
  CHECK(!state_of(fixed).tensors().contains("pos_embedding"));
  const Tensor images = rng.normal({2, 1, 6, 10}), X = fixed.patch_embedding(images).value();
  eval(fixed);
  CHECK(slice(fixed.tokens(images).value(), 1, 1, 16).values() == (X + sincos_positions({3, 5}, 12)).values());
  CHECK(slice(fixed.tokens(images).value(), 1, 0, 1).values() == std::vector<real>(24, 0));
  config.positions = Positions::none;
  ViT without(config, rng);
  eval(without);
  CHECK(slice(without.tokens(images).value(), 1, 1, 16).values() == without.patch_embedding(images).value().values());
}

TEST_CASE("layers: sequence pooling is a mean of the normalised patches by the softmax of what attention_pool says") {
  ViTConfig config{
      .img_size = 4, .patch_size = 2, .num_hiddens = 4, .mlp_num_hiddens = 4, .num_heads = 1, .num_blks = 0};
  config.pool = Pool::seq;
  Rng rng(1);
  ViT model(config, rng);
  eval(model);
  const Tensor images = rng.normal({2, 1, 4, 4});
  auto& [norm, linear] = model.head.layers;
  const Tensor Z = norm(model.tokens(images)).value();  // (2, 5, 4)
  const std::vector<real> z = Z.values(), w = model.seq_pool->weight.value().values();
  const double bias = model.seq_pool->bias.value().item();
  std::vector<real> pooled;
  for (std::size_t i = 0; i < 2; ++i) {
    double sum = 0, mean[4] = {};
    for (std::size_t p = 1; p < 5; ++p) {
      const real* token = &z[(i * 5 + p) * 4];
      const double weight = std::exp(bias + std::inner_product(token, token + 4, w.begin(), 0.0));
      sum += weight;
      for (std::size_t k = 0; k < 4; ++k) mean[k] += weight * double{token[k]};
    }
    for (const double m : mean) pooled.push_back(static_cast<real>(m / sum));
  }
  check_golden("logits", model(images).value(), linear(Tensor({2, 4}, pooled)).value());
}

namespace {

// What draws a mask, in each of the ways there are.
struct Masks {
  Rng rng{5};
  Linear linear{6, 6, rng};
  Dropout after_linear{real(.3), rng}, after_gelu{real(.4), rng};
  GELU gelu;
  MultiHeadAttention attention{6, 3, real(.5), false, rng};
  DropPath path{real(.5), rng};

  Tensor operator()(const Tensor& x) {
    Var y = after_linear(linear(Var(x)));
    y = gelu(y + 1, after_gelu);
    return path(attention(y, y, y)).value();
  }
};

}  // namespace

TEST_CASE("dropout of a part of a batch is that of the whole, for every layer that drops") {
  Rng rng(9);
  const Tensor x = rng.normal({13, 5, 6});
  const std::vector<real> whole = Masks()(x).values();
  for (const Index first : {0, 4, 8, 12}) {
    const Index count = std::min<Index>(4, 13 - first);
    const PartOfBatch part({.first = first, .count = count, .counted = count, .of = 13});
    const std::vector<real> y = Masks()(slice(x, 0, first, first + count)).values();
    CHECK(y.size() == static_cast<std::size_t>(count * 5 * 6));
    for (std::size_t i = 0; i < y.size(); ++i)
      CHECK(y[i] == doctest::Approx(whole[static_cast<std::size_t>(first * 5 * 6) + i]).epsilon(1e-5));
  }
  const PartOfBatch part({.first = 4, .count = 4, .counted = 4, .of = 8});
  CHECK(fails([] { Masks()(Tensor::ones({3, 5, 6})); }, {"[Dropout]", "for the 4 images of this rank"}));
}

TEST_CASE("layers: quick GELU is x·sigmoid(1.702·x), and a number at the limits of a float, too") {
  GELU gelu{.quick = true};
  const real large = real(3e38);
  const std::vector<real> y = gelu(Var(Tensor({4}, {large, -large, 1, -2}))).value().values();
  CHECK(y[0] == large);
  CHECK(y[1] == 0);
  CHECK(y[2] == doctest::Approx(1 / (1 + std::exp(-1.702))));
  CHECK(y[3] == doctest::Approx(-2 / (1 + std::exp(3.404))));
}
