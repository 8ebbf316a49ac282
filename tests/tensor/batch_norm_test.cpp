// Batch normalisation against a plain loop in double.
#include "tests/tensor/numbers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

const Shape shapes[] = {{2, 1},         {17, 3},        {1, 3, 17},      {3, 5, 3, 3},  {5, 129, 3, 3}, {129, 65, 1},
                        {2, 3, 37, 65}, {7, 2, 1, 129}, {1, 1, 65, 129}, {3, 70, 5, 7}, {300, 2, 3, 3}};

struct PlainBatchNorm {
  Doubles y, mean, variance, rstd, dX, dgamma, dbeta;

  PlainBatchNorm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps, const Tensor& dY,
                 Then then = Then::nothing, bool of_batch = true, const Doubles& given_mean = {},
                 const Doubles& given_rstd = {})
      : y(count(x)), dX(count(x)) {
    const Index C = x.shape()[1], places = x.shape().product(2, x.rank());
    for (Index c = 0; c < C; ++c) {
      const auto each = [&](const auto& visit) {
        for (Index b = 0; b < x.shape()[0]; ++b)
          for (Index p = 0; p < places; ++p) visit((b * C + c) * places + p);
      };
      const double n = static_cast<double>(x.size() / C);
      double m = 0, v = 0;
      each([&](Index i) { m += x.data()[i] / n; });
      each([&](Index i) { v += (x.data()[i] - m) * (x.data()[i] - m) / n; });
      double r = 1 / std::sqrt(v + eps);
      if (!of_batch) m = given_mean[static_cast<std::size_t>(c)], r = given_rstd[static_cast<std::size_t>(c)];
      mean.push_back(m);
      variance.push_back(v);
      rstd.push_back(r);
      dgamma.push_back(0);
      dbeta.push_back(0);
      each([&](Index i) {
        const double x_hat = (x.data()[i] - m) * r;
        const auto at = static_cast<std::size_t>(i);
        y[at] = x_hat * gamma.data()[c] + beta.data()[c];
        dX[at] = dY.data()[i];
        if (then == Then::relu && y[at] <= 0) y[at] = dX[at] = 0;
        dgamma.back() += dX[at] * x_hat;
        dbeta.back() += dX[at];
      });
      each([&](Index i) {
        const double x_hat = (x.data()[i] - m) * r;
        const double rest = of_batch ? (dbeta.back() + x_hat * dgamma.back()) / n : 0;
        const auto at = static_cast<std::size_t>(i);
        dX[at] = gamma.data()[c] * r * (dX[at] - rest);
      });
    }
  }

 private:
  static std::size_t count(const Tensor& x) { return static_cast<std::size_t>(x.size()); }
};

void for_each_case(const auto& body) {
  for (const Shape& shape : shapes)
    for (const Then then : {Then::nothing, Then::relu}) {
      CAPTURE(shape);
      CAPTURE(then == Then::relu);
      body(shape, then);
    }
}

}  // namespace

TEST_CASE("batch normalisation and its gradient agree with plain loops, with and without a ReLU") {
  for_each_case([](const Shape& shape, Then then) {
    const Shape channels{shape[1]};
    const Tensor x = Rng(11).normal(shape, 3, 2), dY = Rng(12).normal(shape);
    const Tensor gamma = Rng(13).normal(channels), beta = Rng(14).normal(channels);
    const real eps = real{1e-3};
    const PlainBatchNorm want(x, gamma, beta, eps, dY, then);
    std::vector<real> first;
    with_threads([&] {
      const BatchNormed got = batch_norm(x, gamma, beta, eps, then);
      CHECK(error(got.y, want.y) <= 64 * epsilon);
      CHECK(error(got.mean, want.mean) <= 16 * epsilon);
      CHECK(error(got.variance, want.variance) <= 16 * epsilon);
      CHECK(error(got.rstd, want.rstd) <= 64 * epsilon);
      const BatchNormGradients back = batch_norm_backward(x, gamma, beta, got.mean, got.rstd, dY, true, then);
      CHECK(error(back.dX, want.dX, 10) <= 64 * epsilon);
      CHECK(error(back.dgamma, want.dgamma, 10) <= 64 * epsilon);
      CHECK(error(back.dbeta, want.dbeta, 10) <= 64 * epsilon);
      std::vector<real> all = got.mean.values();  // bit for bit, for any number of threads
      for (const Tensor& t : {got.variance, got.y, back.dX, back.dgamma, back.dbeta})
        for (const real value : t.values()) all.push_back(value);
      if (first.empty()) first = all;
      CHECK(all == first);
      // In the place of dY, which nobody else has.
      Tensor mine = dY.clone();
      const real* const block = std::as_const(mine).data();
      const BatchNormGradients again =
          batch_norm_backward(x, gamma, beta, got.mean, got.rstd, std::move(mine), true, then);
      CHECK(std::as_const(again.dX).data() == block);
      CHECK(again.dX.values() == back.dX.values());
      CHECK(again.dgamma.values() == back.dgamma.values());
    });
  });
}

TEST_CASE("batch normalisation by a given mean and variance is a line, and so is its gradient") {
  for_each_case([](const Shape& shape, Then then) {
    const Shape channels{shape[1]};
    const Tensor x = Rng(11).normal(shape, 3, 2), dY = Rng(12).normal(shape);
    const Tensor gamma = Rng(13).normal(channels), beta = Rng(14).normal(channels);
    const Tensor mean = Rng(15).normal(channels), rstd = Rng(16).uniform(channels, real(0.5), 2);
    const auto doubles = [](const Tensor& t) { return map(t, [](double v) { return v; }); };
    const PlainBatchNorm want(x, gamma, beta, 0, dY, then, false, doubles(mean), doubles(rstd));
    with_threads([&] {
      CHECK(error(batch_norm_by(x, gamma, beta, mean, rstd, then), want.y) <= 64 * epsilon);
      const BatchNormGradients back = batch_norm_backward(x, gamma, beta, mean, rstd, dY, false, then);
      CHECK(error(back.dX, want.dX) <= 16 * epsilon);
      CHECK(error(back.dgamma, want.dgamma, 30) <= 64 * epsilon);
      CHECK(error(back.dbeta, want.dbeta, 10) <= 64 * epsilon);
    });
  });
}

TEST_CASE("batch normalisation far from zero: the variance is no difference of large numbers") {
  const double exactly = sizeof(real) == 8 ? 256 : 1;  // in double the plain loop is no more exact
  // Image by image another mean: pieces are not alike.
  for (const double far : {1e3, 1e5}) {
    CAPTURE(far);
    Tensor x = Rng(21).normal({64, 3, 8, 9}, static_cast<real>(far));
    for (Index b = 0; b < 64; ++b) {
      Tensor image = x[b];
      image.assign(image + static_cast<real>(b % 7));
    }
    const Tensor ones = Tensor::ones({3}), zeros = Tensor::zeros({3});
    const PlainBatchNorm want(x, ones, zeros, 1e-5, x);
    const BatchNormed got = batch_norm(x, ones, zeros, real(1e-5));
    CHECK(error(got.mean, want.mean) <= exactly * epsilon);
    CHECK(error(got.variance, want.variance) <= 8 * exactly * epsilon);
    CHECK(error(got.y, want.y) <= far * exactly * epsilon);
  }
  // A single image that is far from the others.
  Tensor x = Rng(22).normal({5, 2, 3, 3});
  x[0].assign(Tensor::full({2, 3, 3}, 1000000));
  const Tensor ones = Tensor::ones({2}), zeros = Tensor::zeros({2});
  const PlainBatchNorm want(x, ones, zeros, 1e-5, x);
  CHECK(error(batch_norm(x, ones, zeros, real(1e-5)).variance, want.variance) <= 8 * epsilon);
}

TEST_CASE("batch normalisation of a constant channel is 0, whatever its number") {
  for (const double number : {1000.1, -0.1, 1e-30, 3e36, 1e-45, 16777217.0})
    for (const Shape& shape : {Shape{2, 3}, Shape{7, 2, 5, 5}, Shape{3, 1, 70, 71}}) {
      CAPTURE(number);
      CAPTURE(shape);
      const Tensor x = Tensor::full(shape, static_cast<real>(number)), ones = Tensor::ones({shape[1]});
      const BatchNormed got = batch_norm(x, ones, Tensor::zeros({shape[1]}), real(1e-5));
      CHECK(got.y.values() == std::vector<real>(static_cast<std::size_t>(x.size()), 0));
      CHECK(got.mean.values() == std::vector<real>(static_cast<std::size_t>(shape[1]), static_cast<real>(number)));
    }
}

TEST_CASE("batch normalisation: a number that is none spoils its channel only") {
  for (const real bad : {not_a_number, infinity}) {
    Tensor x = Rng(18).normal({3, 5, 2, 7});
    x.data()[(5 + 2) * 14 + 3] = bad;  // of image 1 and channel 2
    const BatchNormed got = batch_norm(x, Tensor::ones({5}), Tensor::zeros({5}), real(1e-5));
    CHECK(nans(got.y) == 3 * 14);
    CHECK(nans(got.mean) <= 1);
    CHECK(nans(got.variance) == 1);
  }
}

TEST_CASE("batch normalisation refuses what does not fit") {
  const Tensor x = Tensor::ones({2, 3, 4, 5}), c = Tensor::ones({3}), wrong = Tensor::ones({4});
  CHECK(fails([&] { batch_norm(x, wrong, c, 1); }, {"[batch_norm]", "(3)", "(4)", "(2, 3, 4, 5)"}));
  CHECK(fails([&] { batch_norm(x, c, wrong, 1); }, {"[batch_norm]", "(3)", "(4)"}));
  CHECK(fails([&] { batch_norm_by(x, c, c, wrong, c); }, {"[batch_norm_by]", "(3)", "(4)"}));
  CHECK(fails([&] { batch_norm_by(x, c, c, c, wrong); }, {"[batch_norm_by]", "(3)", "(4)"}));
  CHECK(fails([&] { batch_norm(c, c, c, 1); }, {"[batch_norm]", "channels", "(3)"}));
  const std::string more = "more than one number for each channel";
  CHECK(fails([&] { batch_norm(Tensor::ones({1, 3, 1, 1}), c, c, 1); }, {"[batch_norm]", more, "(1, 3, 1, 1)"}));
  CHECK(batch_norm_by(Tensor::ones({1, 3, 1, 1}), c, c, c, c).values() == std::vector<real>(3, 1));  // no statistics
  const std::string back = "[batch_norm_backward]";
  CHECK(fails([&] { batch_norm_backward(x, c, c, c, c, x[0], true); }, {back, "(2, 3, 4, 5)", "(3, 4, 5)"}));
  CHECK(fails([&] { batch_norm_backward(x, wrong, c, c, c, x, true); }, {back, "(3)", "(4)"}));
  CHECK(fails([&] { batch_norm_backward(x, c, wrong, c, c, x, true); }, {back, "(3)", "(4)"}));
  CHECK(fails([&] { batch_norm_backward(x, c, c, wrong, c, x, true); }, {back, "(3)", "(4)"}));
  CHECK(fails([&] { batch_norm_backward(x, c, c, c, wrong, x, true); }, {back, "(3)", "(4)"}));
}

TEST_CASE("batch normalisation for products, in bfloat16, is the same rounded; and a ReLU lets NaN through") {
  const Shape shape{3, 17, 5, 7};
  const Tensor x = Rng(11).normal(shape, 3, 2), gamma = Rng(13).normal({17}), beta = Rng(14).normal({17});
  const Tensor exact = batch_norm(x, gamma, beta, 1, Then::relu).y;
  const ProductsIn rounded(Precision::bfloat16);
  const BatchNormed got = batch_norm(x, gamma, beta, 1, Then::relu, ReadBy::products);
  CHECK(got.y.only_rounded());
  const Tensor by = batch_norm_by(x, gamma, beta, got.mean, got.rstd, Then::relu, ReadBy::products);
  CHECK(by.only_rounded());
  const auto same = [](bfloat16 a, bfloat16 b) { return a.bits == b.bits; };
  const auto want = exact.rounded();
  CHECK(std::equal(want.get(), want.get() + x.size(), got.y.rounded().get(), same));
  CHECK(std::equal(want.get(), want.get() + x.size(), by.rounded().get(), same));

  const real nan = std::numeric_limits<real>::quiet_NaN();
  const Tensor one = Tensor::ones({1}), zero = Tensor::zeros({1});
  const Tensor y = batch_norm_by(Tensor({1, 1, 3}, {nan, -1, 2}), one, zero, zero, one, Then::relu);
  CHECK(std::isnan(y.data()[0]));
  CHECK(y.data()[1] == 0);
  CHECK(y.data()[2] == 2);
}
