// Each fused op against the same in single ops: equal values, equal gradients.
#include "autograd/plain.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "tests/golden/golden.h"
#include "tests/helpers.h"

using namespace bobbin;

namespace {

constexpr double tolerance = sizeof(real) == 8 ? 1e-12 : 2e-6;

// Runs both on the same inputs with the same random cotangent.
template <class Fused, class Plain>
void check_equal(const Fused& fused, const Plain& plain, const std::vector<Shape>& shapes) {
  Rng rng(5);
  std::vector<Var> inputs;
  for (const Shape& shape : shapes) inputs.push_back(Var::parameter(rng.normal(shape)));
  Tensor dY;
  const auto run = [&](const auto& f) {
    Tape tape;
    const Var Y = f(inputs);
    if (!dY.defined()) dY = rng.normal(Y.shape());
    tape.backward(sum(Y * Var(dY)));
    std::vector<Tensor> all{Y.value()};
    for (Var& input : inputs) all.push_back(input.take_grad());
    return all;
  };
  const auto got = run(fused), want = run(plain);
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    CHECK(relative_error(got[i], want[i]) <= tolerance);
  }
}

}  // namespace

using Inputs = std::vector<Var>;

TEST_CASE("plain: linear") {
  check_equal([](const Inputs& x) { return linear(x[0], x[1], x[2]); },
              [](const Inputs& x) { return plain::linear(x[0], x[1], x[2]); }, {{3, 17, 5}, {37, 5}, {37}});
}

TEST_CASE("plain: layer_norm") {
  check_equal([](const Inputs& x) { return layer_norm(x[0], x[1], x[2]); },
              [](const Inputs& x) { return plain::layer_norm(x[0], x[1], x[2]); }, {{65, 3, 37}, {37}, {37}});
}

TEST_CASE("plain: batch_norm, and its running statistics") {
  std::vector<Tensor> running[2];
  const auto batch = [&](int which, auto op) {
    return [&, which, op](const Inputs& x) {
      Tensor mean = Tensor::full({5}, 3), variance = Tensor::full({5}, 2);
      const Var Y = op(x[0], x[1], x[2], mean, variance, real(0.3), real(1e-3));
      running[which] = {mean, variance};
      return Y;
    };
  };
  check_equal(batch(0, [](auto&&... x) { return batch_norm(x...); }),
              batch(1, [](auto&&... x) { return plain::batch_norm(x...); }), {{7, 5, 3, 37}, {5}, {5}});
  for (const std::size_t i : {0, 1}) CHECK(relative_error(running[0][i], running[1][i]) <= tolerance);
}

TEST_CASE("plain: gelu_tanh with dropout") {
  check_equal(
      [](const Inputs& x) {
        return gelu_tanh(x[0], real(0.3), {7, 5});
      },
      [](const Inputs& x) {
        return plain::gelu_tanh(x[0], real(0.3), {7, 5});
      },
      {{3, 17, 37}});
}

TEST_CASE("gelu with dropout, against a loop in double with libm's erf") {
  const real p = real(0.3);
  const Draw draw{7, 5};
  Var x = Var::parameter(Rng(5).normal({3, 17, 37}));
  Tape tape;
  const Var Y = gelu(x, p, draw);
  tape.backward(sum(Y));
  const std::vector<real> X = x.value().values(), mask = dropout(Tensor::ones(x.shape()), p, draw).values();
  std::vector<double> y, dx;
  for (std::size_t i = 0; i < mask.size(); ++i) {
    const double t = X[i];
    const double cdf = (1 + std::erf(t / std::numbers::sqrt2)) / 2;
    const double pdf = std::exp(-t * t / 2) / std::sqrt(2 * std::numbers::pi);
    y.push_back(mask[i] * t * cdf);
    dx.push_back(mask[i] * (cdf + t * pdf));
  }
  CHECK(test::error(Y.value(), y) <= tolerance);
  CHECK(test::error(x.grad(), dx) <= tolerance);
}

TEST_CASE("plain: cross_entropy") {
  for (const real smoothing : {real(0), real(0.1), real(1)})
    check_equal(
        [=](const Inputs& x) {
          return cross_entropy(x[0], {0, 16, 3}, smoothing);
        },
        [=](const Inputs& x) {
          return plain::cross_entropy(x[0], {0, 16, 3}, smoothing);
        },
        {{3, 17}});
}

TEST_CASE("plain: conv2d") {
  const auto compare = [](const Conv2dOptions& options, const std::vector<Shape>& shapes) {
    check_equal([&](const Inputs& x) { return conv2d(x[0], x[1], x[2], options); },
                [&](const Inputs& x) { return plain::conv2d(x[0], x[1], x[2], options); }, shapes);
  };
  compare({.stride = {2, 1}, .padding = {1, 3}, .dilation = {1, 2}, .groups = 3}, {{2, 6, 7, 9}, {9, 2, 3, 2}, {9}});
  compare({.padding = 1}, {{2, 17, 9, 6}, {33, 17, 3, 3}, {33}});
  compare({.stride = 2, .padding = 2, .groups = 37}, {{2, 37, 9, 6}, {74, 1, 5, 5}, {74}});
}

TEST_CASE("plain: attention") {
  const std::vector<Shape> shapes{{3, 5, 12}, {3, 7, 12}, {3, 7, 12}};
  const std::vector<std::vector<int>> all_lens{{}, {7, 0, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 1, 7, 7, 7}};
  for (const std::vector<int>& lens : all_lens)
    for (const real p : {real(0), real(0.3)})
      check_equal(
          [&](const Inputs& x) {
            return attention(x[0], x[1], x[2], 4, lens, p, {11, 2});
          },
          [&](const Inputs& x) {
            return plain::attention(x[0], x[1], x[2], 4, lens, p, {11, 2});
          },
          shapes);
}

TEST_CASE("plain: attention with a bias of the scores, and its gradient") {
  const auto fused = [](const Inputs& x) { return biased_attention(x[0], 4, x[1]); };
  const auto composed = [](const Inputs& x) { return plain::biased_attention(x[0], 4, x[1]); };
  for (const Index G : {1, 2, 3, 6}) check_equal(fused, composed, {{6, 7, 36}, {G, 4, 7, 7}});

  // In bfloat16 the same, but for the rounding of operands to 8 bits.
  Rng rng(6);
  const Inputs x{Var::parameter(rng.normal({6, 7, 36})), Var::parameter(rng.normal({2, 4, 7, 7}))};
  std::vector<Tensor> results[2];
  for (const bool rounded : {false, true}) {
    const ProductsIn products_in(rounded ? Precision::bfloat16 : Precision::float32);
    Tape tape;
    const Var Y = fused(x);
    tape.backward(sum(Y * Y));
    results[rounded].push_back(Y.value());
    for (Var input : x) results[rounded].push_back(input.take_grad());
  }
  for (std::size_t i = 0; i < 3; ++i) {
    CAPTURE(i);
    CHECK(relative_error(results[1][i], results[0][i]) < 0.03);
  }

  const auto with = [&](const Shape& bias) { biased_attention(x[0], 4, Var(Tensor(bias))); };
  using test::fails;
  CHECK(fails([&] { with({4, 4, 7, 7}); }, {"[biased_attention]", "where G divides", "got (4, 4, 7, 7)"}));
  CHECK(fails([&] { with({1, 3, 7, 7}); }, {"(1, 3, 7, 7)"}));
  CHECK(fails([&] { with({1, 4, 7, 5}); }, {"(1, 4, 7, 5)"}));
  CHECK(fails([&] { biased_attention(x[0], 5, x[1]); }, {"5 heads divide the D queries, got (6, 7, 36)"}));
}
