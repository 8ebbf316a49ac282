// Empty batches: what PyTorch's layers and models make of them, of all kinds and in both precisions.
#include <doctest/doctest.h>

#include <cmath>

#include "nn/attention.h"
#include "nn/models/any_model.h"
#include "nn/models/text_encoder.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// layer(x) of no images or tokens: nothing, of this shape, and no parameter's gradient is other than 0.
void check_empty(const char* name, auto&& layer, const Shape& x, const Shape& y) {
  CAPTURE(name);
  for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
    const ProductsIn products(precision);
    Var X = Var::parameter(Tensor(x));
    Tape tape;
    const Var Y = layer(X);
    CHECK(Y.shape() == y);
    tape.backward(sum(Y));
    CHECK(X.take_grad().shape() == x);
    for (auto& parameter : named_parameters(layer)) {
      CAPTURE(parameter.first);
      if (!parameter.second.grad().defined()) continue;
      for (const real dw : parameter.second.take_grad().values()) CHECK(dw == 0);
    }
  }
}

}  // namespace

TEST_CASE("an empty batch goes through every layer, forward and backward") {
  Rng rng(1);
  const Shape images{0, 4, 6, 6};
  check_empty("Linear", Linear(4, 3, rng), {0, 5, 4}, {0, 5, 3});
  check_empty("Dropout", Dropout(real(0.5), rng), {0, 4}, {0, 4});
  check_empty("GELU", GELU(), {0, 4}, {0, 4});
  check_empty("ReLU", ReLU(), {0, 4}, {0, 4});
  check_empty("SiLU", SiLU(), {0, 4}, {0, 4});
  check_empty("Sigmoid", Sigmoid(), {0, 4}, {0, 4});
  check_empty("Softmax", Softmax(), {0, 4}, {0, 4});
  check_empty("Flatten", Flatten(), images, {0, 144});
  check_empty("LayerNorm", LayerNorm(4), {0, 5, 4}, {0, 5, 4});
  check_empty("LayerNorm", LayerNorm(Shape{5, 4}), {0, 5, 4}, {0, 5, 4});
  check_empty("GroupNorm", GroupNorm(2, 4), images, images);
  check_empty("BatchNorm2d", BatchNorm2d(4), images, images);
  BatchNorm2d evaluated(4);
  eval(evaluated);
  check_empty("BatchNorm2d in evaluation", evaluated, images, images);
  check_empty("Conv2d", Conv2d(4, 3, 3, rng), images, {0, 3, 4, 4});
  check_empty("Conv2d of each channel", Conv2d(4, 4, 3, rng, {.padding = 1, .groups = 4}), images, images);
  check_empty("AvgPool2d", AvgPool2d(2), images, {0, 4, 3, 3});
  check_empty("MaxPool2d", MaxPool2d(3, 2, 1, true), images, {0, 4, 4, 4});
  check_empty("AdaptiveAvgPool2d", AdaptiveAvgPool2d({2, 3}), images, {0, 4, 2, 3});
  check_empty("RMSNorm", RMSNorm(4), {0, 5, 4}, {0, 5, 4});
  check_empty("where and clamp",
              Sequential([](const Var& x) { return where(x.value() > 0, clamp(x, 0, 1), pow(x, 2)); }), {0, 4}, {0, 4});
  check_empty("maximum", Sequential([](const Var& x) { return maximum(x, abs(x)); }), {0, 4}, {0, 4});
  Embedding embedding(7, 4, rng);
  CHECK(embedding(Labels{}).shape() == Shape{0, 4});
  check_empty("LayerScale", LayerScale(4, real(0.1)), {0, 5, 4}, {0, 5, 4});
  check_empty("DropPath", DropPath(real(0.5), rng), {0, 5, 4}, {0, 5, 4});
  MultiHeadAttention attention(4, 2, real(0.5), true, rng);
  check_empty("MultiHeadAttention", Sequential([&](const Var& x) { return attention(x, x, x); }), {0, 5, 4}, {0, 5, 4});
  TransformerEncoder encoder(7, 4, 8, 2, 2, real(0.5), true, rng);
  CHECK(encoder(Tensor(Shape{0, 5})).shape() == Shape{0, 5, 4});
}

TEST_CASE("an empty batch goes through every model, whose loss of it is NaN") {
  const auto check_model = [](auto config, const Shape& x) {
    Rng rng(2);
    typename decltype(config)::Model model(config, rng);
    check_empty(config.name, model, x, {0, 10});
    CHECK(std::isnan(cross_entropy(model(Tensor(x)), Labels{}).value().item()));  // the mean over nothing
  };
  const Tensor none(Shape{0, 10});
  CHECK(cross_entropy(none, Labels{}, {.reduction = Reduction::sum}).item() == 0);
  CHECK(cross_entropy(none, none, {.reduction = Reduction::none}).shape() == Shape{0});
  CHECK(std::isnan(mse_loss(none, none).value().item()));
  CHECK(std::isnan(binary_cross_entropy_with_logits(none, none).value().item()));
  check_model(MLPConfig{.img_size = 4, .num_hiddens = 5}, {0, 1, 4, 4});
  check_model(LeNetConfig{.img_size = 12}, {0, 1, 12, 12});
  check_model(ConvNetConfig{.width = 2}, {0, 1, 28, 28});
  check_model(ResNetConfig<18>{.img_size = 32, .width = 8}, {0, 1, 32, 32});
  check_model(AttentionResNetConfig{.img_size = 8, .width = 8}, {0, 1, 8, 8});
  check_model(
      SwinConfig{
          .img_size = 20, .patch_size = 2, .embed_dim = 6, .depths = {2, 1}, .num_heads = {2, 3}, .window_size = 3},
      {0, 1, 20, 20});
  check_model(ViTConfig{.img_size = 9,
                        .patch_size = 4,
                        .patch_padding = PatchPadding::same,
                        .num_hiddens = 12,
                        .mlp_num_hiddens = 16,
                        .num_heads = 2},
              {0, 1, 9, 9});
  check_model(
      ViTConfig{
          .img_size = 8, .patch_size = 4, .num_hiddens = 12, .mlp_num_hiddens = 16, .num_heads = 2, .num_blks = 2},
      {0, 1, 8, 8});
}

TEST_CASE("what PyTorch refuses of nothing is refused") {
  const Tensor flat(Shape{2, 4, 0, 6});
  CHECK(fails([&] { max_pool2d(flat, 2, 2); }, {"[max_pool2d]", "0 x 6"}));
  CHECK(fails([&] { adaptive_avg_pool2d(flat, 2); }, {"[adaptive_avg_pool2d]", "(2, 4, 0, 6)"}));
  CHECK(fails([&] { max(flat, 2); }, {"of 0 numbers", "axis"}));
  CHECK(fails([&] { max(flat); }, {"of 0 numbers"}));
  CHECK(fails([&] { flat.item(); }, {"[item]", "(2, 4, 0, 6)"}));
}
