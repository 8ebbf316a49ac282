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
  // A large mean costs no more than its own rounding.
  const Tensor shifted = Rng(17).normal({3, cols}) + real{1000};
  const PlainLayerNorm want(shifted, gamma, beta, 1e-5, shifted);
  CHECK(error(layer_norm(shifted, gamma, beta, real{1e-5}).y, want.y) <= 4000 * epsilon);
  Tensor x = random({3, cols}, 18);
  for (const real bad : {not_a_number, infinity}) {
    x.data()[cols + 5] = bad;
    const Tensor y = layer_norm(x, gamma, beta, real{1e-5}).y;
    CHECK(nans(y) == cols);
    CHECK(nans(y[1]) == cols);
  }
}

TEST_CASE("layer normalisation of a constant row is 0, whatever its number and its width") {
  for (const double number : {1000.1, 12345.678, -0.1, 1e-30, 3e36, 1e-45, 16777217.0})
    for (const Index cols : {1, 3, 7, 768, 1000, 32768}) {
      CAPTURE(number);
      CAPTURE(cols);
      const Tensor x = Tensor::full({2, cols}, static_cast<real>(number)), ones = Tensor::ones({cols});
      const LayerNormed got = layer_norm(x, ones, Tensor::zeros({cols}), real{1e-5});
      CHECK(got.y.values() == std::vector<real>(static_cast<std::size_t>(2 * cols), 0));
      CHECK(got.mean.values() == std::vector<real>(2, static_cast<real>(number)));
      const LayerNormGradients back = layer_norm_backward(x, ones, got, Rng(1).normal(x.shape()));
      CHECK(back.dgamma.values() == std::vector<real>(static_cast<std::size_t>(cols), 0));
      // A gradient that is the same everywhere moves nothing.
      const Tensor same = Tensor::full(x.shape(), real(1000.1));
      CHECK(error(layer_norm_backward(x, ones, got, same).dX, Doubles(2 * cols), 1000.1 * 317) <= 1e-6 * in_a_row);
    }
}

TEST_CASE("layer normalisation far from zero, wide and of many rows is as right as PyTorch in float32") {
  // The mean is a float, and half its last digit is in every number.
  const struct {
    Shape shape;
    double mean, of_dY, y, dX, dgamma, dbeta;
  } cases[] = {
      // rows, columns    mean  dY      what PyTorch 2.15 is off by in float32: y, dX, dgamma, dbeta
      {{4, 32768}, 100, 0, 1.02e-5, 4.5e-6, 6.5e-5, 1e-6}, {{4, 32768}, 100, 100, 6.7e-6, 2.9e-2, 9.6e-4, 1e-4},
      {{4, 32768}, 1e4, 0, 1e-3, 3.3e-4, 5.8e-3, 1e-6},    {{4, 768}, 1e6, 0, 3.5e-2, 4.7e-2, 1.6e-1, 1e-6},
      {{1, 1000000}, 100, 10, 1e-5, 1.1e-2, 6e-5, 1e-6},   {{50000, 64}, 100, 10, 2e-5, 1.3e-3, 3.4e-2, 2.2},
  };
  for (const auto& c : cases) {
    CAPTURE(c.shape);
    CAPTURE(c.mean);
    const Index cols = c.shape[1];
    const Tensor x = Rng(21).normal(c.shape, static_cast<real>(c.mean)), ones = Tensor::ones({cols});
    const Tensor dY = Rng(22).normal(c.shape, static_cast<real>(c.of_dY)), zeros = Tensor::zeros({cols});
    const PlainLayerNorm want(x, ones, zeros, 1e-5, dY);
    const LayerNormed got = layer_norm(x, ones, zeros, real{1e-5});
    const LayerNormGradients back = layer_norm_backward(x, ones, got, dY);
    const double huge = 1e30;  // so that errors are absolute
    CHECK(huge * error(got.y, want.y, huge) <= c.y);
    CHECK(huge * error(back.dX, want.dX, huge) <= c.dX);
    CHECK(huge * error(back.dgamma, want.dgamma, huge) <= c.dgamma);
    CHECK(huge * error(back.dbeta, want.dbeta, huge) <= c.dbeta);
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
