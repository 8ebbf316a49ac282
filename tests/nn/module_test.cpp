#include "nn/module.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <optional>

#include "nn/models/swin.h"
#include "nn/models/vit.h"
#include "optim/sgd.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

struct Tower {
  Linear first;
  std::vector<Linear> rest;
  Sequential<Dropout, LayerNorm> top;

  explicit Tower(Rng& rng) : first(3, 5, rng, false), top(Dropout(real(0.5), rng), LayerNorm(5)) {
    for (int i = 0; i < 2; ++i) rest.emplace_back(5, 5, rng);
  }
  Var operator()(const Var& x) { return top(rest[1](rest[0](first(x)))); }
  void visit(auto&& v) { v("first", first), v("rest", rest), v("top", top); }
};

struct Tied {
  Linear first;
  std::optional<Linear> extra, none;
  std::unique_ptr<LayerNorm> norm;
  Linear* again;
  void visit(auto&& v) { v("first", first), v("extra", extra), v("none", none), v("norm", norm), v("again", again); }
};

// Kept, drawn from and switched, under names that nobody expects.
struct Counted {
  Var scale = Var::parameter(Tensor::ones({2}));
  Tensor seen = Tensor::zeros({2});
  Rng dice;
  Training learning;
  explicit Counted(Rng& rng) : dice(rng.fork()) {}
  void visit(auto&& v) { v("scale", scale), v("seen", seen), v("dice", dice), v("learning", learning); }
};

// Of two members with one name a file would have one.
struct Twice {
  Tensor a = Tensor::zeros({2}), b = Tensor::ones({2});
  Linear first, second;
  bool layers;
  void visit(auto&& v) {
    if (layers)
      v("layer", first), v("layer", second);
    else
      v("mean", a), v("mean", b);
  }
};

// The same of members of two kinds.
struct OfTwoKinds {
  Var a;
  Tensor b;
  Count c;
  bool buffer;
  void visit(auto&& v) {
    v("mean", a);
    if (buffer)
      v("mean", b);
    else
      v("mean", c);
  }
};

// The largest magnitude in a tensor.
real largest(const Tensor& t) {
  real most = 0;
  for (const real x : t.values()) most = std::max(most, std::abs(x));
  return most;
}

ViTConfig small() {
  return {.img_size = {8, 12},
          .patch_size = 4,
          .num_hiddens = 6,
          .mlp_num_hiddens = 10,
          .num_heads = 3,
          .num_blks = 1,
          .emb_dropout = real(0.3),
          .blk_dropout = real(0.3),
          .num_classes = 5,
          .num_channels = 2};
}

}  // namespace

TEST_CASE("module: names go through structs, vectors and Sequential; undefined parameters are left out") {
  Rng rng(0);
  Tower tower(rng);
  std::vector<std::string> names;
  for (auto& [name, parameter] : named_parameters(tower)) names.push_back(name);
  CHECK(names == std::vector<std::string>{"first.weight", "rest.0.weight", "rest.0.bias", "rest.1.weight",
                                          "rest.1.bias", "top.1.weight", "top.1.bias"});
  CHECK(state_of(tower).count_parameters() == 15 + 2 * 30 + 10);
  CHECK(named_parameters(tower).size() == 7);
}

TEST_CASE("module: eval() switches dropout off, train() on again, however deep") {
  Rng rng(0);
  Tower tower(rng);
  const Tensor x = rng.normal({2, 3});
  CHECK(tower(x).value().values() != tower(x).value().values());
  eval(tower);
  CHECK(tower(x).value().values() == tower(x).value().values());
  train(tower);
  CHECK(tower(x).value().values() != tower(x).value().values());
}

TEST_CASE("module: copies share parameters") {
  Rng rng(0);
  Linear layer(3, 2, rng);
  Linear copy = layer;
  Tape tape;
  tape.backward(sum(copy(Tensor::ones({1, 3}))));
  CHECK(layer.weight.grad().defined());
}

TEST_CASE("module: a member's type says what it is for, whatever its name") {
  Rng rng(0);
  Counted inner(rng);
  std::vector<Counted> layers{inner, Counted(rng)};
  const State state = state_of(layers);
  const auto names = [](const auto& parts) {
    std::vector<std::string> found;
    for (const auto& [name, part] : parts) found.push_back(name);
    return found;
  };
  CHECK(names(state.parameters) == std::vector<std::string>{"0.scale", "1.scale"});
  CHECK(names(state.buffers) == std::vector<std::string>{"0.seen", "1.seen"});
  CHECK(names(state.streams) == std::vector<std::string>{"0.dice", "1.dice"});
  state.train(false);
  CHECK(!layers[0].learning.on);
  CHECK(!layers[1].learning.on);
  CHECK(names(state.tensors()) == std::vector<std::string>{"0.scale", "0.seen", "1.scale", "1.seen"});

  // A buffer is loaded as a parameter is: its numbers are copied.
  auto tensors = state.tensors();
  tensors.at("1.seen") = Tensor({2}, {7, 9});
  state.load(tensors);
  CHECK(layers[1].seen.values() == std::vector<real>{7, 9});
  tensors.erase("1.seen");
  CHECK(fails([&] { state.load(tensors); }, {"1 is missing: 1.seen"}));

  layers[0].scale = Tensor::ones({2});  // a constant learns nothing
  CHECK(fails([&] { state_of(layers); }, {"0.scale is a Var that learns nothing"}));
}

TEST_CASE("module: two members of one name are an error; one member that is reached twice is none") {
  Rng rng(0);
  Twice twice{.first = Linear(2, 2, rng), .second = Linear(2, 2, rng), .layers = true};
  CHECK(fails([&] { named_parameters(twice); }, {"[visit] two members are called \"layer.weight\""}));
  twice.layers = false;
  CHECK(fails([&] { state_of(twice); }, {"[visit] two members are called \"mean\""}));
  OfTwoKinds kinds{Var::parameter(Tensor::ones({2})), Tensor::ones({2}), {}, true};
  CHECK(fails([&] { state_of(kinds); }, {"[visit] two members are called \"mean\""}));
  kinds.buffer = false;
  CHECK(fails([&] { state_of(kinds); }, {"[visit] two members are called \"mean\""}));
  twice.layers = true;
  twice.second = twice.first;  // a handle to the same parameters
  CHECK(named_parameters(twice).size() == 2);
}

TEST_CASE("module: optional members and pointers are followed, shared parameters counted once") {
  Rng rng(0);
  Tied tied{Linear(3, 2, rng), Linear(2, 1, rng), std::nullopt, std::make_unique<LayerNorm>(5), nullptr};
  tied.again = &tied.first;
  std::vector<std::string> names;
  for (auto& [name, parameter] : named_parameters(tied)) names.push_back(name);
  CHECK(names == std::vector<std::string>{"first.weight", "first.bias", "extra.weight", "extra.bias", "norm.weight",
                                          "norm.bias"});
}

TEST_CASE("module: evaluating in between does not change the training that follows") {
  const auto weights = [](bool evaluate) {
    Rng rng(7);
    ViT model(small(), rng);
    SGD sgd(named_parameters(model));
    const Tensor X = Rng(1).normal({2, 2, 8, 12});
    for (int step = 0; step < 2; ++step) {
      if (evaluate) {
        eval(model);
        model(X);
        train(model);
      }
      Tape tape;
      tape.backward(cross_entropy(model(X), {0, 1}));
      sgd.step(0.1);
    }
    return model.head(Tensor::ones({1, 6})).value().values();
  };
  CHECK(weights(true) == weights(false));
}

TEST_CASE("init: PyTorch's defaults, within ±1/√fan_in, and nearly reaching it") {
  Rng rng(0);
  Linear linear(64, 100, rng);
  CHECK(largest(linear.weight.value()) <= real(0.125));
  CHECK(largest(linear.weight.value()) > real(0.124));
  CHECK(largest(linear.bias.value()) <= real(0.125));
  CHECK(largest(linear.bias.value()) > real(0.1));
  Conv2d conv(8, 16, {2, 4}, rng, {.groups = 4});  // fan_in = 8 / 4 · 2 · 4
  CHECK(conv.weight.shape() == Shape{16, 2, 2, 4});
  CHECK(largest(conv.weight.value()) <= real(0.25));
  CHECK(largest(conv.weight.value()) > real(0.24));
  LayerNorm layer_norm(3);
  CHECK(layer_norm.weight.value().values() == std::vector<real>{1, 1, 1});
  CHECK(layer_norm.bias.value().values() == std::vector<real>{0, 0, 0});

  ViT model({}, rng);
  CHECK(largest(model.cls_token.value()) == 0);
  const Tensor pos = model.pos_embedding.value();  // of variance 1
  CHECK(norm(pos) / std::sqrt(static_cast<double>(pos.size())) == doctest::Approx(1).epsilon(0.02));
}

TEST_CASE("init: a Swin Transformer's as in timm, and its drop paths rise evenly over all blocks") {
  Rng rng(0);
  Swin model(
      {.img_size = 32, .patch_size = 2, .embed_dim = 48, .depths = {2, 3}, .num_heads = {3, 6}, .drop_path = real(0.4)},
      rng);
  for (const auto& item : named_parameters(model)) {
    const Tensor value = item.second.value();
    CAPTURE(item.first);
    if (value.rank() == 2)
      CHECK(norm(value) / std::sqrt(static_cast<double>(value.size())) == doctest::Approx(0.02).epsilon(0.1).scale(0));
    if (item.first.ends_with("bias") && !item.first.starts_with("patch_embed")) CHECK(largest(value) == 0);
  }
  std::vector<real> rates;
  for (const Swin::Stage& stage : model.stages)
    for (const SwinBlock& block : stage.blocks) {
      rates.push_back(block.drop_path1.dropout ? block.drop_path1.dropout->p : 0);
      CHECK((block.drop_path2.dropout ? block.drop_path2.dropout->p : 0) == rates.back());
    }
  REQUIRE(rates.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) CHECK(rates[i] == doctest::Approx(0.1 * static_cast<double>(i)));
}

TEST_CASE("init: an embedding's, a ViT's tokens and registers, and what a norm adds") {
  Rng rng(0);
  const auto deviation = [](const Tensor& x) { return norm(x) / std::sqrt(static_cast<double>(x.size())); };
  CHECK(deviation(Embedding(200, 50, rng).weight.value()) == doctest::Approx(1).epsilon(0.03));
  ViT model({.img_size = 16,
             .patch_size = 8,
             .num_hiddens = 512,
             .mlp_num_hiddens = 8,
             .num_heads = 1,
             .num_blks = 1,

             .reg_tokens = 4,
             .distilled = true},
            rng);
  CHECK(deviation(model.dist_token.value()) == doctest::Approx(0.02).epsilon(0.1).scale(0));
  CHECK(deviation(model.reg_token.value()) == doctest::Approx(1e-6).epsilon(0.1).scale(0));
  // PyTorch's RMSNorm adds the machine epsilon of its numbers.
  const real tiny = std::sqrt(std::numeric_limits<real>::epsilon());
  CHECK(RMSNorm(1)(Tensor({1, 1}, {tiny})).value().item() == doctest::Approx(std::sqrt(0.5)).epsilon(1e-3));
}

TEST_CASE("init: Xavier's and Kaiming's, as wide as torch.nn.init's") {
  Rng rng(0);
  const auto deviation = [&](const auto& draw, const Shape& shape) {
    Var weight = Var::parameter(Tensor::zeros(shape));
    draw(weight);
    return norm(weight.value()) / std::sqrt(static_cast<double>(weight.size()));
  };
  const Shape shape{64, 32, 3, 5};  // fan_in 480, fan_out 960
  const double near = 0.02;
  CHECK(deviation([&](Var& w) { xavier_uniform(w, rng); }, shape) ==
        doctest::Approx(std::sqrt(2 / 1440.0)).epsilon(near).scale(0));
  CHECK(deviation([&](Var& w) { xavier_normal(w, rng); }, shape) ==
        doctest::Approx(std::sqrt(2 / 1440.0)).epsilon(near).scale(0));
  CHECK(deviation([&](Var& w) { kaiming_uniform(w, rng); }, shape) ==
        doctest::Approx(std::sqrt(2 / 480.0)).epsilon(near).scale(0));
  CHECK(deviation([&](Var& w) { kaiming_normal(w, rng); }, shape) ==
        doctest::Approx(std::sqrt(2 / 480.0)).epsilon(near).scale(0));
  CHECK(deviation([&](Var& w) { kaiming_uniform(w, rng, Fan::out); }, shape) ==
        doctest::Approx(std::sqrt(2 / 960.0)).epsilon(near).scale(0));
  CHECK(deviation([&](Var& w) { kaiming_normal(w, rng, Fan::out); }, shape) ==
        doctest::Approx(std::sqrt(2 / 960.0)).epsilon(near).scale(0));
  CHECK(deviation([&](Var& w) { kaiming_normal(w, rng); }, {300, 200}) == doctest::Approx(0.1).epsilon(near).scale(0));

  Var weight = Var::parameter(Tensor::zeros(shape));
  kaiming_uniform(weight, rng);
  CHECK(largest(weight.value()) <= real(std::sqrt(6 / 480.0)));
  CHECK(largest(weight.value()) > real(0.99 * std::sqrt(6 / 480.0)));
  kaiming_normal(weight, rng);
  CHECK(largest(weight.value()) > real(3 * std::sqrt(2 / 480.0)));
  Var bias = Var::parameter(Tensor::zeros({7}));
  CHECK(fails([&] { kaiming_normal(bias, rng); }, {"[init]", "(7)"}));
  CHECK(fails([&] { xavier_uniform(bias, rng); }, {"[init]", "(7)"}));
}

// By moments: a normal distribution that is cut off at two deviations, .8796 of whose deviation is left, has a fourth
// moment of 2.3655 times the square of its second; a whole one has 3, a flat one 1.8.
TEST_CASE(
    "init: lecun_normal is normal, of variance 1 / fan_in, and cut off at two deviations, as jax.nn.initializers has "
    "it") {
  Rng rng(0);
  Var weight = Var::parameter(Tensor::zeros({64, 32, 3, 5}));  // fan_in 480
  lecun_normal(weight, rng);
  double sums[4] = {};
  for (const real x : weight.value().values())
    for (int power = 1; power <= 4; ++power) sums[power - 1] += std::pow(double{x} * std::sqrt(480.0), power);
  const auto n = static_cast<double>(weight.size());
  CHECK(std::abs(sums[0] / n) < 0.02);
  CHECK(sums[1] / n == doctest::Approx(1).epsilon(0.02));
  CHECK(std::abs(sums[2] / n) < 0.05);
  CHECK(sums[3] / n == doctest::Approx(2.3655).epsilon(0.02));
  const double cut = 2 / 0.87962566103423978 / std::sqrt(480.0);
  CHECK(largest(weight.value()) <= cut * 1.000001);
  CHECK(largest(weight.value()) > 0.999 * cut);
  Var bias = Var::parameter(Tensor::zeros({7}));
  CHECK(fails([&] { lecun_normal(bias, rng); }, {"[init]", "(7)"}));
}

TEST_CASE("init: a ViT as Flax begins it") {
  Rng rng(0);
  ViT model({.use_bias = true, .init = Init::flax}, rng);
  for (const auto& [path, parameter] : named_parameters(model)) {
    const std::string& name = path;
    CAPTURE(name);
    const Tensor& value = parameter.value();
    const double deviation = norm(value) / std::sqrt(static_cast<double>(value.size()));
    if (name.ends_with("bias") || name == "cls_token")
      CHECK(largest(value) == 0);
    else if (name == "pos_embedding")
      CHECK(deviation == doctest::Approx(0.01).epsilon(0.02).scale(0));
    else if (value.rank() == 1)  // LayerNorm's
      CHECK(sum(value).item() == value.size());
    else
      CHECK(deviation ==
            doctest::Approx(1 / std::sqrt(static_cast<double>(Fans(value.shape()).in))).epsilon(0.02).scale(0));
  }
}

TEST_CASE("PatchEmbedding: a patch size that does not divide the image size is an error, or padded") {
  Rng rng(0);
  CHECK(fails([&] { PatchEmbedding({9, 7}, 4, 6, 1, rng); }, {"9 x 7", "patches of 4 x 4"}));
  PatchEmbedding padded({9, 7}, 4, 6, 1, rng, PatchPadding::same);
  CHECK(padded.num_patches == 6);
  CHECK(padded(Tensor::ones({2, 1, 9, 7})).shape() == Shape{2, 6, 6});
  PatchEmbedding whole({8, 8}, 4, 6, 1, rng);
  CHECK(fails([&] { whole(Tensor::ones({2, 1, 9, 7})); }, {"9"}));
}

TEST_CASE("layers: values by hand") {
  Rng rng(0);
  const Tensor x({1, 2, 1, 2}, {-1, 2, 3, -4});
  CHECK(Flatten()(x).shape() == Shape{1, 4});
  CHECK(ReLU()(x).value().values() == std::vector<real>{0, 2, 3, 0});
  CHECK(GELU()(x).value().values()[1] == doctest::Approx(1.9545).epsilon(1e-4));
  CHECK(sum(Softmax()(x), -1).value().values()[0] == doctest::Approx(1));
  Linear linear(2, 1, rng);
  linear.weight = Var::parameter(Tensor({1, 2}, {2, 3}));
  linear.bias = Var::parameter(Tensor({1}, {5}));
  CHECK(linear(x).value().values() == std::vector<real>{2 * -1 + 3 * 2 + 5, 2 * 3 - 3 * 4 + 5});
}

TEST_CASE("layers: what does not fit is an error that names both shapes") {
  Rng rng(0);
  CHECK(contains(error_of([&] { Linear(3, 2, rng)(Tensor::ones({4, 5})); }), "(4, 5)"));
  CHECK(contains(error_of([&] { Conv2d(3, 4, 3, rng)(Tensor::ones({1, 2, 5, 5})); }), "(1, 2, 5, 5)"));
  CHECK(contains(error_of([&] { Conv2d(3, 4, 3, rng)(Tensor::ones({1, 3, 2, 5})); }), "does not fit"));
  CHECK(contains(error_of([&] { Conv2d(3, 4, 3, rng, {.groups = 2}); }), "2 groups"));
  CHECK(contains(error_of([&] { LayerNorm(3)(Tensor::ones({4, 5})); }), "(4, 5)"));
  CHECK(contains(error_of([&] { Dropout(2, rng); }), "[0, 1]"));
  CHECK(contains(error_of([&] { Dropout(real(-0.1), rng); }), "[0, 1]"));
  CHECK(contains(error_of([&] { Linear(-1, 2, rng); }), "0 or more"));
  CHECK(contains(error_of([&] { MultiHeadAttention(10, 3, 0, false, rng); }), "3 heads"));
  MultiHeadAttention attend(6, 3, 0, false, rng);
  const Tensor q = Tensor::ones({2, 3, 6}), k = Tensor::ones({2, 5, 6});
  CHECK(contains(error_of([&] { attend(q, k, q); }), "(2, 5, 6)"));
  CHECK(contains(error_of([&] { attend(q, k, k, {1, 2, 3}); }), "valid_lens"));
}

TEST_CASE("ViT: any number of channels, images and patches that are not square") {
  Rng rng(0);
  ViT model(small(), rng);
  CHECK(model.patch_embedding.num_patches == 6);
  CHECK(model(rng.normal({3, 2, 8, 12})).shape() == Shape{3, 5});
  ViTConfig wide = small();
  wide.patch_size = {2, 6};
  CHECK(ViT(wide, rng)(rng.normal({1, 2, 8, 12})).shape() == Shape{1, 5});
}

TEST_CASE("ViT: sizes that do not divide, and images that do not fit") {
  Rng rng(0);
  ViTConfig c = small();
  c.patch_size = 5;
  const std::string error = error_of([&] { ViT(c, rng); });
  CHECK(contains(error, "8 x 12"));
  CHECK(contains(error, "5 x 5"));
  c = small();
  c.num_heads = 4;
  CHECK(contains(error_of([&] { ViT(c, rng); }), "4 heads"));
  ViT model(small(), rng);
  CHECK(contains(error_of([&] { model(Tensor::ones({1, 1, 8, 12})); }), "(1, 1, 8, 12)"));
  CHECK(contains(error_of([&] { model(Tensor::ones({1, 2, 12, 8})); }), "(1, 2, 12, 8)"));
}

TEST_CASE("ViT: the same seed gives the same model; dropout is off in evaluation") {
  Rng a(7), b(7), c(8);
  ViT one(small(), a), two(small(), b), other(small(), c);
  const Tensor X = Rng(1).normal({2, 2, 8, 12});
  CHECK(one(X).value().values() == two(X).value().values());  // the same dropout masks, too
  CHECK(one(X).value().values() != other(X).value().values());
  eval(one);
  eval(two);
  const auto logits = one(X).value().values();
  two(X);
  CHECK(logits == two(X).value().values());
}

TEST_CASE("ViT: the head sees the mean over the patches, if told so") {
  Rng rng(0);
  ViTConfig c = small();
  c.pool = Pool::avg;
  c.num_blks = 0;  // then the class token cannot reach the patches
  ViT model(c, rng);
  eval(model);
  const Tensor X = rng.normal({1, 2, 8, 12});
  const auto before = model(X).value().values();
  Tensor token = model.cls_token.mutable_value();
  token.assign(Tensor::full(token.shape(), 100));
  CHECK(model(X).value().values() == before);
}

TEST_CASE("ViT: distilled, two tokens and two heads, of which the mean counts") {
  Rng rng(0);
  ViTConfig c = small();
  c.distilled = true;
  ViT model(c, rng);
  eval(model);
  CHECK(model.pos_embedding.shape() == Shape{1, 8, 6});
  std::vector<std::string> names;
  for (auto& [name, parameter] : named_parameters(model)) names.push_back(name);
  CHECK(names[1] == "dist_token");
  CHECK(names.back() == "head_dist.bias");

  const Tensor X = rng.normal({2, 2, 8, 12});
  const std::vector<real> first = model(X).value().values();
  // The first tokens alone are the same function as the whole last block.
  model.config.whole_last_block = true;
  CHECK(error(model(X).value(), {first.begin(), first.end()}) < 1e-5);
  // Each head counts half.
  const Tensor bias = model.head_dist->bias.mutable_value();
  set(bias, 3, bias.values()[3] + 2);
  CHECK(model(X).value().values()[3] == doctest::Approx(first[3] + 1).epsilon(1e-4));

  c.pool = Pool::avg;
  CHECK(contains(error_of([&] { ViT(c, rng); }), "needs Pool::token"));
}

TEST_CASE("ViT: layer_norm_eps reaches every layer norm") {
  Rng rng(0);
  ViTConfig c = small();
  c.layer_norm_eps = real(0.125);
  ViT model(c, rng);
  CHECK(model.blks[0].ln1.eps == real(0.125));
  CHECK(model.blks[0].ln2.eps == real(0.125));
  CHECK(std::get<0>(model.head.layers).eps == real(0.125));
}

TEST_CASE("module: Embedding takes whole numbers, and leaves its padding alone") {
  Rng rng(3);
  Embedding table(5, 3, rng, 2);
  CHECK(table.weight.value()[2].values() == std::vector<real>(3));
  CHECK(table(Labels{4, 2}).shape() == Shape{2, 3});
  CHECK(table(Tensor({2, 1}, {4, 2})).value().values() == table(Labels{4, 2}).value().values());
  CHECK(table(Tensor({2, 1}, {4, 2})).shape() == Shape{2, 1, 3});
  Tape tape;
  tape.backward(sum(table(Labels{4, 2, 4})));
  CHECK(table.weight.grad().values() == std::vector<real>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2});
  CHECK(fails([&] { table(Tensor({1}, {real(0.5)})); }, {"[Embedding]", "whole numbers 0 ... 4", "0.5"}));
  CHECK(fails([&] { table(Tensor({1}, {5})); }, {"[Embedding]", "0 ... 4", "5"}));
  CHECK(fails([&] { table(Labels{-1}); }, {"[index_select]", "-1"}));
  CHECK(fails([&] { Embedding(5, 3, rng, 5); }, {"[Embedding]", "padding_idx", "5"}));
}

TEST_CASE("module: causal attention does not see what comes after") {
  Rng rng(4);
  MultiHeadAttention attention(6, 2, 0, true, rng);
  attention.causal = true;
  Tensor X = rng.normal({2, 5, 6});
  const std::vector<real> before = attention(X, X, X).value().values();
  for (Index i = 3 * 6; i < 5 * 6; ++i) test::set(X, i, 7);  // the last two of the first image
  const std::vector<real> after = attention(X, X, X).value().values();
  CHECK(std::equal(before.begin(), before.begin() + 18, after.begin()));
  CHECK(std::equal(before.begin() + 30, before.end(), after.begin() + 30));
  CHECK(before[18] != after[18]);
  CHECK(causal_lens(2, 3, {2, 9}) == std::vector<int>{1, 2, 2, 1, 2, 3});
  CHECK(causal_lens(1, 3, {5, 1, 0}) == std::vector<int>{1, 1, 0});
  CHECK(fails([&] { causal_lens(2, 3, {1}); }, {"[causal_lens]", "2 images", "6 queries", "got 1"}));
}
