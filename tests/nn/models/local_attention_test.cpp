#include "nn/models/local_attention.h"

#include <doctest/doctest.h>

#include "autograd/watch/gradcheck.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// The formula of the paper, pixel by pixel, in double.
std::vector<double> by_loops(LocalAttention& layer, const Tensor& X) {
  const Index B = X.shape()[0], in = X.shape()[1], H = X.shape()[2], W = X.shape()[3];
  const Index N = layer.num_heads, D = layer.W_q.weight.shape()[0], d = D / N, k = layer.kernel_size;
  const auto x = X.values(), rows = layer.rows.value().values(), columns = layer.columns.value().values();
  const auto at = [](Index i) { return static_cast<std::size_t>(i); };
  // Channel c of what a 1x1 convolution makes of pixel (i, j); 0 outside.
  const auto pixel = [&](const Conv2d& conv, Index b, Index c, Index i, Index j) {
    if (i < 0 || i >= H || j < 0 || j >= W) return 0.0;
    const auto w = conv.weight.value().values();
    double sum = 0;
    for (Index e = 0; e < in; ++e) sum += double{w[at(c * in + e)]} * x[at(((b * in + e) * H + i) * W + j)];
    return sum;
  };
  std::vector<double> y(at(B * D * H * W));
  for (Index b = 0; b < B; ++b)
    for (Index n = 0; n < N; ++n)
      for (Index i = 0; i < H; ++i)
        for (Index j = 0; j < W; ++j) {
          double total = 0;
          for (Index a = -k / 2; a <= k / 2; ++a)
            for (Index e = -k / 2; e <= k / 2; ++e) {
              double score = 0;
              for (Index c = 0; c < d; ++c) {
                const double r = c < d / 2 ? rows[at((n * d / 2 + c) * k + a + k / 2)]
                                           : columns[at((n * d / 2 + c - d / 2) * k + e + k / 2)];
                score += pixel(layer.W_q, b, n * d + c, i, j) * (pixel(layer.W_k, b, n * d + c, i + a, j + e) + r);
              }
              total += std::exp(score);
              for (Index c = 0; c < d; ++c)
                y[at(((b * D + n * d + c) * H + i) * W + j)] +=
                    std::exp(score) * pixel(layer.W_v, b, n * d + c, i + a, j + e);
            }
          for (Index c = 0; c < d; ++c) y[at(((b * D + n * d + c) * H + i) * W + j)] /= total;
        }
  return y;
}

}  // namespace

TEST_CASE("local attention is the paper's formula, pixel by pixel, and its gradients are those of differences") {
  for (const Index k : {1, 3, 5}) {
    CAPTURE(k);
    Rng rng(3);
    LocalAttention layer(3, 8, k, 2, rng);
    Var X = Var::parameter(rng.normal({2, 3, 4, 5}));
    const Tensor Y = layer(X).value();
    CHECK(Y.shape() == Shape{2, 8, 4, 5});
    const std::vector<double> want = by_loops(layer, X.value());
    const std::vector<real> got = Y.values();
    for (std::size_t i = 0; i < want.size(); ++i) CHECK(got[i] == doctest::Approx(want[i]).epsilon(1e-5));
    auto parameters = named_parameters(layer);
    parameters.emplace_back("X", X);
    gradcheck(
        "local_attention", [&] { return layer(X); }, parameters);
  }
  Rng rng(0);
  CHECK(fails([&] { LocalAttention(3, 8, 2, 2, rng); }, {"[LocalAttention]", "odd", "got 2 and 8 channels for 2"}));
  CHECK(fails([&] { LocalAttention(3, 8, 3, 8, rng); }, {"[LocalAttention]", "8 channels for 8 heads"}));
}
