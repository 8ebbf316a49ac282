// Layer normalisation against a plain loop in double.
#include "tests/tensor/numbers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// Of the normal distribution, whose numbers use every bit of a double: their sums do round.
Tensor random(const Shape& shape, std::uint64_t seed) { return Rng(seed).normal(shape); }

struct PlainLayerNorm {
  Doubles y, mean, rstd, dX, dgamma, dbeta;

  PlainLayerNorm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps, const Tensor& dY) {
    const Index n = x.shape()[-1];
    dgamma.resize(static_cast<std::size_t>(n));
    dbeta.resize(static_cast<std::size_t>(n));
    for (Index row = 0; row < x.size() / n; ++row) {
      const real *in = x.data() + row * n, *dy = dY.data() + row * n;
      double m = 0, variance = 0, g_mean = 0, gx_mean = 0;
      for (Index c = 0; c < n; ++c) m += in[c] / static_cast<double>(n);
      for (Index c = 0; c < n; ++c) variance += (in[c] - m) * (in[c] - m) / static_cast<double>(n);
      const double r = 1 / std::sqrt(variance + eps);
      mean.push_back(m);
      rstd.push_back(r);
      for (Index c = 0; c < n; ++c) {
        const double x_hat = (in[c] - m) * r, g = double{dy[c]} * gamma.data()[c];
        y.push_back(x_hat * gamma.data()[c] + beta.data()[c]);
        g_mean += g / static_cast<double>(n);
        gx_mean += g * x_hat / static_cast<double>(n);
        dgamma[static_cast<std::size_t>(c)] += dy[c] * x_hat;
        dbeta[static_cast<std::size_t>(c)] += dy[c];
      }
      for (Index c = 0; c < n; ++c)
        dX.push_back(r * (double{dy[c]} * gamma.data()[c] - g_mean - (in[c] - m) * r * gx_mean));
    }
  }
};

}  // namespace

TEST_CASE("layer normalisation and its gradient agree with plain loops") {
  for (const Shape& shape : row_shapes) {
    CAPTURE(shape);
    const Index cols = shape[-1];
    const Tensor x = Rng(11).normal(shape, 3, 2), dY = random(shape, 12);
    const Tensor gamma = random({cols}, 13), beta = random({cols}, 14);
    const real eps = real{1e-3};
    const PlainLayerNorm want(x, gamma, beta, eps, dY);
    const double rstd = cols == 1 ? 32 : 1;  // a single column has no variance, and 1/sqrt(eps) there
    std::vector<real> dgamma, dbeta;
    with_threads([&] {
      const LayerNormed got = layer_norm(x, gamma, beta, eps);
      CHECK(got.y.shape() == shape);
      CHECK(error(got.y, want.y) <= 64 * epsilon);
      CHECK(error(got.mean, want.mean) <= 32 * epsilon);
      CHECK(error(got.rstd, want.rstd) <= 64 * epsilon);
      const LayerNormGradients back = layer_norm_backward(x, gamma, got, dY);
      CHECK(error(back.dX, want.dX) <= 128 * epsilon * rstd);
      CHECK(error(back.dgamma, want.dgamma, 10) <= 64 * epsilon);
      CHECK(error(back.dbeta, want.dbeta, 10) <= 64 * epsilon);
      if (dgamma.empty()) {
        dgamma = back.dgamma.values();
        dbeta = back.dbeta.values();
      }
      CHECK(back.dgamma.values() == dgamma);  // bit for bit, for any number of threads
      CHECK(back.dbeta.values() == dbeta);
    });
  }
}

TEST_CASE("layer normalisation of extreme rows") {
  const Index cols = 37;
  const Tensor gamma = random({cols}, 15), beta = random({cols}, 16);
  // A constant row is its bias; a large mean costs no more than its own rounding.
  const Tensor constant = layer_norm(Tensor::full({3, cols}, 5), gamma, beta, real{1e-5}).y;
  for (Index row = 0; row < 3; ++row) CHECK(error(constant[row], {beta.data(), beta.data() + cols}) <= 1e-3);
  const Tensor shifted = Rng(17).normal({3, cols}) + real{1000};
  const PlainLayerNorm want(shifted, gamma, beta, 1e-5, shifted);
  CHECK(error(layer_norm(shifted, gamma, beta, real{1e-5}).y, want.y) <= 20000 * epsilon);
  Tensor x = random({3, cols}, 18);
  for (const real bad : {not_a_number, infinity}) {
    x.data()[cols + 5] = bad;
    const Tensor y = layer_norm(x, gamma, beta, real{1e-5}).y;
    CHECK(nans(y) == cols);
    CHECK(nans(y[1]) == cols);
  }
}

TEST_CASE("layer normalisation refuses what does not fit") {
  const Tensor x = Tensor::ones({2, 3, 4}), g = Tensor::ones({4}), wrong = Tensor::ones({3});
  CHECK(fails([&] { layer_norm(x, wrong, g, 1); }, {"[layer_norm]", "(3)", "(4)", "(2, 3, 4)"}));
  CHECK(fails([&] { layer_norm(x, g, wrong, 1); }, {"[layer_norm]", "(3)", "(4)", "(2, 3, 4)"}));
  CHECK(fails([&] { layer_norm(Tensor::scalar(1), g, g, 1); }, {"[layer_norm]", "()", "(4)"}));
  const LayerNormed forward = layer_norm(x, g, g, 1);
  const std::string op = "[layer_norm_backward]";
  CHECK(fails([&] { layer_norm_backward(x, g, forward, x[0]); }, {op, "(2, 3, 4)", "(3, 4)"}));
  CHECK(fails([&] { layer_norm_backward(x, wrong, forward, x); }, {op, "(2, 3, 4)", "(3)"}));
  const LayerNormed shorter = layer_norm(x[0], g, g, 1);
  CHECK(fails([&] { layer_norm_backward(x, g, shorter, x); }, {op, "(2, 3, 4)", "(3)"}));
}
