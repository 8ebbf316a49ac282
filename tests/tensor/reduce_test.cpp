// Reductions and the functions of rows (softmax, layer normalisation, cross-entropy) against plain loops
// in double.
#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "tensor/backend.h"
#include "tensor/functions.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

using Limits = std::numeric_limits<real>;
using Doubles = std::vector<double>;
constexpr double epsilon = Limits::epsilon();
constexpr double inf = std::numeric_limits<double>::infinity();
constexpr real infinity = Limits::infinity();
constexpr real not_a_number = Limits::quiet_NaN();

// Of the normal distribution, whose numbers use every bit of a double: their sums do round.
Tensor random(const Shape& shape, std::uint64_t seed) { return Rng(seed).normal(shape); }

// How many numbers are NaN.
Index nans(const Tensor& x) {
  Index count = 0;
  for (const real value : x.values()) count += std::isnan(value);
  return count;
}

// x (outer, n, inner) summed over n.
Doubles plain_sum(const real* x, Index outer, Index n, Index inner) {
  Doubles y(static_cast<std::size_t>(outer * inner));
  for (Index o = 0; o < outer; ++o)
    for (Index i = 0; i < n; ++i)
      for (Index c = 0; c < inner; ++c) y[static_cast<std::size_t>(o * inner + c)] += x[(o * n + i) * inner + c];
  return y;
}

// x summed to `shape`: each element goes where broadcasting would take it from.
Doubles plain_sum_to(const Tensor& x, const Shape& shape) {
  Doubles y(static_cast<std::size_t>(shape.size()));
  for (Index i = 0; i < x.size(); ++i) {
    Index rest = i, at = 0, step = 1;
    for (int back = 1; back <= shape.rank(); ++back) {
      if (shape[-back] != 1) at += rest % x.shape()[-back] * step;
      rest /= x.shape()[-back];
      step *= shape[-back];
    }
    y[static_cast<std::size_t>(at)] += x.data()[i];
  }
  return y;
}

// Softmax of one row of n numbers of which `len` count.
Doubles plain_softmax(const real* x, Index len, Index n) {
  if (len <= 0) return Doubles(static_cast<std::size_t>(n), 1. / static_cast<double>(n));
  Doubles y(static_cast<std::size_t>(n));
  double max = -inf, total = 0;
  for (Index i = 0; i < std::min(len, n); ++i) max = std::max(max, double{x[i]});
  for (Index i = 0; i < std::min(len, n); ++i) total += y[static_cast<std::size_t>(i)] = std::exp(x[i] - max);
  for (double& value : y) value /= total;
  return y;
}

Doubles plain_softmax(const Tensor& x, const std::vector<int>& lens) {
  const Index cols = x.shape()[-1];
  Doubles y;
  for (Index row = 0; row < x.size() / cols; ++row) {
    const Index len = lens.empty() ? cols : lens[static_cast<std::size_t>(row)];
    const Doubles part = plain_softmax(x.data() + row * cols, len, cols);
    y.insert(y.end(), part.begin(), part.end());
  }
  return y;
}

// Lengths from below zero to beyond the row.
std::vector<int> some_lens(Index rows, Index cols) {
  std::vector<int> lens;
  for (Index row = 0; row < rows; ++row) lens.push_back(static_cast<int>(row * 7 % (cols + 4) - 2));
  return lens;
}

const Shape row_shapes[] = {{1},      {17},      {1, 1},    {3, 1},    {1, 17},       {17, 3},
                            {37, 37}, {65, 129}, {129, 65}, {3, 5, 7}, {2, 1, 3, 17}, {257, 129}};

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

struct PlainCrossEntropy {
  double loss = 0;
  Doubles dlogits;

  PlainCrossEntropy(const Tensor& logits, const Labels& labels, double smoothing, double dloss) {
    const Index rows = logits.shape()[0], cols = logits.shape()[1];
    for (Index row = 0; row < rows; ++row) {
      const real* x = logits.data() + row * cols;
      const Doubles p = plain_softmax(x, cols, cols);
      double max = -inf, total = 0;
      for (Index c = 0; c < cols; ++c) max = std::max(max, double{x[c]});
      for (Index c = 0; c < cols; ++c) total += std::exp(x[c] - max);
      for (Index c = 0; c < cols; ++c) {
        const double q =
            smoothing / static_cast<double>(cols) + (c == labels[static_cast<std::size_t>(row)] ? 1 - smoothing : 0);
        loss -= q == 0 ? 0 : q * (x[c] - max - std::log(total)) / static_cast<double>(rows);
        dlogits.push_back(dloss * (p[static_cast<std::size_t>(c)] - q) / static_cast<double>(rows));
      }
    }
  }
};

Labels some_labels(Index rows, Index classes) {
  Labels labels;
  for (Index row = 0; row < rows; ++row) labels.push_back(static_cast<int>(row * 5 % classes));
  return labels;
}

}  // namespace

TEST_CASE("sums agree with a plain loop, and are bit for bit the same for any number of threads") {
  const Index sizes[][3] = {{1, 1, 1},      {1, 17, 1},   {3, 37, 1},    {129, 3, 1},   {65, 1, 1},
                            {1, 1, 65},     {1, 37, 3},   {3, 17, 65},   {2, 65, 129},  {17, 129, 2},
                            {1, 511, 1},    {1, 513, 1},  {1, 50001, 1}, {3, 20001, 1}, {20001, 3, 1},
                            {1, 1000, 129}, {5, 700, 65}, {1, 30001, 2}, {257, 17, 64}, {1, 64, 63}};
  for (const auto& s : sizes) {
    const Index outer = s[0], n = s[1], inner = s[2];
    CAPTURE(outer);
    CAPTURE(n);
    CAPTURE(inner);
    const Tensor x = random({outer, n, inner}, 1);
    const Doubles want = plain_sum(x.data(), outer, n, inner);
    std::vector<real> first;
    with_threads([&] {
      Tensor y({outer, inner});
      backend::sum(x.data(), y.data(), outer, n, inner);
      CHECK(error(y, want, std::sqrt(n)) <= 128 * epsilon);
      if (first.empty()) first = y.values();
      CHECK(y.values() == first);
    });
  }
}

TEST_CASE("a sum of many equal numbers keeps its digits") {
  const Tensor x = Tensor::full({1000003}, real{0.1});
  CHECK(sum(x).item() == doctest::Approx(1000003 * double{real{0.1}}).epsilon(2e-5));  // else it is off by 1e-2
  CHECK(mean(x).item() == doctest::Approx(0.1).epsilon(2e-5));
  CHECK(sum(x.reshape({1000003, 1}).reshape({1, 1000003, 1}), 1).item() == sum(x).item());
  const Tensor wide = Tensor::full({300001, 3}, real{0.1});
  for (const real value : sum(wide, 0).values())
    CHECK(value == doctest::Approx(300001 * double{real{0.1}}).epsilon(2e-5));
}

TEST_CASE("NaN and infinity stay where they belong in a sum, denormals add up") {
  for (const Shape& shape : {Shape{3, 129, 1}, Shape{3, 129, 17}, Shape{3, 2000, 1}}) {
    Tensor x = Tensor::ones(shape);
    const Index inner = shape[2], at = (shape[1] + 100) * inner;  // in the second of three
    x.data()[at] = not_a_number;
    Tensor y = sum(x, 1);
    CHECK(nans(y) == 1);
    CHECK(std::isnan(y.data()[inner]));
    x.data()[at] = infinity;
    y = sum(x, 1);
    CHECK(nans(y) == 0);
    CHECK(y.data()[inner] == infinity);
    x.data()[at + inner] = -infinity;
    CHECK(std::isnan(sum(x, 1).data()[inner]));
    CHECK(std::isnan(sum(x).item()));
    CHECK(std::isnan(mean(x).item()));
    CHECK(sum(Tensor::full(shape, Limits::denorm_min()), 1).data()[0] ==
          static_cast<real>(shape[1]) * Limits::denorm_min());
  }
}

TEST_CASE("sum and mean along each axis and over all") {
  const Tensor x = random({3, 17, 5, 2}, 2);
  for (int axis = 0; axis < 4; ++axis) {
    CAPTURE(axis);
    const Index n = x.shape()[axis];
    Doubles want = plain_sum(x.data(), x.shape().product(0, axis), n, x.shape().product(axis + 1, 4));
    CHECK(sum(x, axis).shape() == x.shape().without(axis));
    CHECK(error(sum(x, axis), want) <= 32 * epsilon);
    CHECK(sum(x, axis - 4).values() == sum(x, axis).values());
    for (double& w : want) w /= static_cast<double>(n);
    CHECK(error(mean(x, axis), want) <= 32 * epsilon);
    CHECK(mean(x, axis - 4).values() == mean(x, axis).values());
  }
  const Doubles total = plain_sum(x.data(), 1, x.size(), 1);
  CHECK(sum(x).shape() == Shape{});
  CHECK(error(sum(x), total) <= 32 * epsilon);
  CHECK(error(mean(x), {total[0] / 510}) <= 32 * epsilon);
  CHECK(sum(Tensor::scalar(3)).item() == 3);
  CHECK(sum(Tensor({3}, {1, 2, 3}), 0).item() == 6);
  CHECK(mean(Tensor({2}, {1, 2}), -1).item() == real{1.5});
  for (const int axis : {4, -5}) {
    CHECK(fails([&] { sum(x, axis); }, {"[sum]", "no axis " + std::to_string(axis), "(3, 17, 5, 2)"}));
    CHECK(fails([&] { mean(x, axis); }, {"[mean]", "no axis " + std::to_string(axis), "(3, 17, 5, 2)"}));
  }
}

TEST_CASE("sum_to undoes every broadcast") {
  double worst = 0;
  for (const Shape& shape :
       {Shape{}, Shape{3}, Shape{3, 2}, Shape{3, 1, 2}, Shape{2, 3, 17, 5}, Shape{2, 3, 2, 1, 3, 2}}) {
    const Tensor x = random(shape, 3);
    const int rank = shape.rank();
    for (int pattern = 0; pattern < 1 << rank; ++pattern) {
      Index sizes[Shape::max_rank];
      for (int axis = 0; axis < rank; ++axis) sizes[axis] = pattern >> axis & 1 ? 1 : shape[axis];
      for (int skip = 0; skip == 0 || (skip <= rank && sizes[skip - 1] == 1); ++skip) {
        const Shape target(sizes + skip, rank - skip);
        CAPTURE(shape);
        CAPTURE(target);
        const Tensor y = sum_to(x, target);
        REQUIRE(y.shape() == target);
        worst = std::max(worst, error(y, plain_sum_to(x, target)));
      }
    }
  }
  CHECK(worst <= 64 * epsilon);
  with_threads([] {
    const Tensor x = random({65, 17, 129}, 4);
    for (const Shape& target :
         {Shape{129}, Shape{17, 1}, Shape{65, 1, 1}, Shape{1, 17, 129}, Shape{65, 1, 129}, Shape{}})
      CHECK(error(sum_to(x, target), plain_sum_to(x, target), 100) <= 64 * epsilon);
  });
  const Tensor x = Tensor::ones({2, 3});
  CHECK(fails([&] { sum_to(x, {2}); }, {"[sum_to]", "(2, 3)", "(2)"}));
  CHECK(fails([&] { sum_to(x, {4, 3}); }, {"[sum_to]", "(2, 3)", "(4, 3)"}));
  CHECK(fails([&] { sum_to(x, {1, 2, 3}); }, {"[sum_to]", "(2, 3)", "(1, 2, 3)"}));
  CHECK(fails([&] { sum_to(Tensor::ones({2, 1}), {2, 3}); }, {"[sum_to]", "(2, 1)", "(2, 3)"}));
}

TEST_CASE("the norm is computed in double: it neither overflows nor vanishes") {
  for (const Index n : {1, 3, 17, 129, 513, 30001}) {
    const Tensor x = random({n}, 5);
    double squares = 0;
    for (const real value : x.values()) squares += double{value} * value;
    CHECK(norm(x) == doctest::Approx(std::sqrt(squares)).epsilon(1e-6));
  }
  CHECK(norm(Tensor::full({4}, real{1e25})) == doctest::Approx(2e25));
  CHECK(norm(Tensor::full({4}, real{1e-30})) == doctest::Approx(2e-30));
  CHECK(norm(Tensor::zeros({3})) == 0);
  CHECK(std::isnan(norm(Tensor({3}, {1, not_a_number, 1}))));
  CHECK(norm(Tensor({3}, {1, -infinity, 1})) == inf);
}

TEST_CASE("argmax finds the first of the largest") {
  CHECK(argmax(Tensor({4, 3}, {1, 2, 3, 5, 5, 4, -3, -1, -2, 0, 0, 0})) == Labels{2, 0, 1, 0});
  CHECK(argmax(Tensor({3, 2}, {-infinity, -infinity, -infinity, -5, 5, infinity})) == Labels{0, 1, 1});
  CHECK(argmax(Tensor({1, 3}, {1, not_a_number, 2}))[0] < 3);
  CHECK(argmax(Tensor({1, 1}, {7})) == Labels{0});
  const Tensor x = random({37, 129}, 6);
  const Labels got = argmax(x);
  for (Index row = 0; row < 37; ++row) {
    Index best = 0;
    for (Index c = 1; c < 129; ++c)
      if (x.data()[row * 129 + c] > x.data()[row * 129 + best]) best = c;
    CHECK(got[static_cast<std::size_t>(row)] == best);
  }
  CHECK(fails([] { argmax(Tensor::ones({3})); }, {"[argmax]", "(3)"}));
  CHECK(fails([] { argmax(Tensor::ones({2, 3, 4})); }, {"[argmax]", "(2, 3, 4)"}));
}

TEST_CASE("softmax and its way back agree with plain loops") {
  for (const Shape& shape : row_shapes) {
    CAPTURE(shape);
    const Index cols = shape[-1], rows = shape.size() / cols;
    const Tensor x = Rng(7).normal(shape, 0, 3), dY = random(shape, 8);
    for (const std::vector<int>& lens : {std::vector<int>{}, some_lens(rows, cols)}) {
      const Doubles want = plain_softmax(x, lens);
      Doubles dX;
      for (Index row = 0; row < rows; ++row) {
        const Index len = lens.empty() ? cols : std::min<Index>(lens[static_cast<std::size_t>(row)], cols);
        double dot = 0;
        for (Index c = 0; c < len; ++c)
          dot += want[static_cast<std::size_t>(row * cols + c)] * dY.data()[row * cols + c];
        for (Index c = 0; c < cols; ++c)
          dX.push_back(c < len ? want[static_cast<std::size_t>(row * cols + c)] * (dY.data()[row * cols + c] - dot)
                               : 0);
      }
      with_threads([&] {
        const Tensor y = softmax(x, lens);
        CHECK(y.shape() == shape);
        CHECK(error(y, want, 1e-3) <= 32 * epsilon);
        CHECK(error(softmax_backward(y, lens, dY), dX, 0.1) <= 256 * epsilon);
      });
    }
  }
}

TEST_CASE("softmax reuses what is moved in and leaves alone what is shared") {
  const Shape shape{129, 65};
  const std::vector<int> lens = some_lens(129, 65);
  const Tensor kept = random(shape, 9), y = softmax(kept, lens), gradient = random(shape, 10);
  const std::vector<real> before = kept.values(), gradient_before = gradient.values();
  Tensor moved = kept.clone();
  const real* block = moved.data();
  const Tensor in_place = softmax(std::move(moved), lens);
  CHECK(in_place.data() == block);
  CHECK(in_place.values() == y.values());
  CHECK(kept.values() == before);

  const Tensor dX = softmax_backward(y, lens, gradient);
  moved = gradient.clone();
  block = moved.data();
  const Tensor dX_in_place = softmax_backward(y, lens, std::move(moved));
  CHECK(dX_in_place.data() == block);
  CHECK(dX_in_place.values() == dX.values());
  CHECK(gradient.values() == gradient_before);
}

TEST_CASE("softmax of extreme numbers") {
  for (const Index cols : {1, 3, 17, 37}) {
    CAPTURE(cols);
    // Large numbers do not overflow, and a common shift changes nothing.
    CHECK(error(softmax(Tensor::full({2, cols}, real{1e30})), Doubles(2 * cols, 1. / cols)) <= 4 * epsilon);
    CHECK(error(softmax(Tensor::full({cols}, -Limits::max())), Doubles(cols, 1. / cols)) <= 4 * epsilon);
    // All -inf, or any NaN or +inf, is NaN, as in PyTorch: and in this row only.
    for (const real bad : {not_a_number, infinity, -infinity}) {
      Tensor x = Tensor::ones({3, cols});
      x.data()[cols + cols / 2] = bad;
      if (bad == -infinity) std::fill_n(x.data() + cols, cols, bad);
      const Tensor y = softmax(x);
      CHECK(nans(y) == cols);
      CHECK(nans(y[1]) == cols);
    }
  }
  const Tensor large({1, 4}, {1000, 1001, -1000, 999});
  CHECK(error(softmax(large), plain_softmax(large, {})) <= 4 * epsilon);
  // -inf beside numbers gets 0, and the rest shares 1.
  CHECK(error(softmax(Tensor({4}, {0, -infinity, 0, -infinity})), {0.5, 0, 0.5, 0}) <= epsilon);
  // What does not count may be anything.
  const Tensor masked({2, 4}, {1, 1, not_a_number, infinity, not_a_number, infinity, 3, -infinity});
  CHECK(error(softmax(masked, {2, 0}), {0.5, 0.5, 0, 0, 0.25, 0.25, 0.25, 0.25}) <= epsilon);
  const Tensor spoiled = softmax(Tensor({4}, {not_a_number, 1, 5, 5}), {2});
  CHECK(nans(spoiled) == 2);
  CHECK(spoiled.data()[2] == 0);
  CHECK(spoiled.data()[3] == 0);
  const Tensor dY({1, 4}, {1, 2, not_a_number, infinity});
  CHECK(error(softmax_backward(Tensor({1, 4}, {0.5, 0.5, 0, 0}), {2}, dY), {-0.25, 0.25, 0, 0}) <= epsilon);
}

TEST_CASE("softmax refuses what does not fit") {
  const Tensor x = Tensor::ones({2, 3, 4});
  CHECK(fails([] { softmax(Tensor::scalar(1)); }, {"[softmax]", "()"}));
  CHECK(fails([&] { softmax(x, {1, 2, 3}); }, {"[softmax]", "6", "(2, 3, 4)", "got 3"}));
  CHECK(fails([&] { softmax_backward(x, {}, Tensor::ones({2, 3})); }, {"[softmax_backward]", "(2, 3, 4)", "(2, 3)"}));
  CHECK(fails([&] { softmax_backward(x, {1}, x); }, {"[softmax_backward]", "(2, 3, 4)", "got 1"}));
}

TEST_CASE("layer normalisation and its way back agree with plain loops") {
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

TEST_CASE("cross-entropy and its way back agree with plain loops") {
  for (const Shape& shape : {Shape{1, 1}, Shape{1, 3}, Shape{3, 17}, Shape{37, 10}, Shape{129, 65}}) {
    CAPTURE(shape);
    const Tensor logits = Rng(19).normal(shape, 0, 5);
    const Labels labels = some_labels(shape[0], shape[1]);
    for (const double smoothing : {0.0, 0.1, 0.5, 1.0}) {
      CAPTURE(smoothing);
      const real s = static_cast<real>(smoothing);
      const PlainCrossEntropy want(logits, labels, s, 3);
      with_threads([&] {
        CHECK(cross_entropy(logits, labels, s).shape() == Shape{});
        CHECK(error(cross_entropy(logits, labels, s), {want.loss}) <= 16 * epsilon);
        const Tensor dlogits = cross_entropy_backward(logits, labels, s, Tensor::scalar(3));
        CHECK(dlogits.shape() == shape);
        CHECK(error(dlogits, want.dlogits) <= 16 * epsilon);
      });
    }
  }
}

TEST_CASE("cross-entropy of extreme logits") {
  const Tensor large({2, 3}, {1000, -1000, 500, 80, 81, 1000});
  const Labels labels{1, 2};
  for (const double smoothing : {0.0, 0.1}) {
    const PlainCrossEntropy want(large, labels, static_cast<real>(smoothing), 1);
    CHECK(error(cross_entropy(large, labels, static_cast<real>(smoothing)), {want.loss}) <= 4 * epsilon);
    CHECK(error(cross_entropy_backward(large, labels, static_cast<real>(smoothing), Tensor::scalar(1)), want.dlogits) <=
          4 * epsilon);
  }
  CHECK(cross_entropy(Tensor::full({1, 4}, real{1e30}), {0}, 0).item() == doctest::Approx(0).epsilon(1e25));
  // A class that is ruled out by -inf costs nothing, unless it is the label or smoothing asks for it.
  const Tensor ruled_out({1, 3}, {0, -infinity, 0});
  CHECK(cross_entropy(ruled_out, {0}, 0).item() == doctest::Approx(std::log(2)));
  CHECK(error(cross_entropy_backward(ruled_out, {0}, 0, Tensor::scalar(1)), {-0.5, 0, 0.5}) <= epsilon);
  CHECK(cross_entropy(ruled_out, {1}, 0).item() == infinity);
  CHECK(cross_entropy(ruled_out, {0}, real{0.1}).item() == infinity);
  // A NaN is seen.
  for (Index at = 0; at < 3; ++at) {
    Tensor logits = Tensor::ones({1, 3});
    logits.data()[at] = not_a_number;
    CHECK(std::isnan(cross_entropy(logits, {0}, 0).item()));
    CHECK(nans(cross_entropy_backward(logits, {0}, 0, Tensor::scalar(1))) == 3);
  }
}

TEST_CASE("cross-entropy refuses what does not fit") {
  const Tensor logits = Tensor::ones({2, 3});
  CHECK(fails([&] { cross_entropy(logits, {1}, 0); }, {"[cross_entropy]", "(2, 3)", "1 labels"}));
  CHECK(fails([&] { cross_entropy(Tensor::ones({3}), {1}, 0); }, {"[cross_entropy]", "(3)"}));
  CHECK(fails([&] { cross_entropy(logits, {0, 3}, 0); }, {"[cross_entropy]", "label 3 of row 1", "3 classes"}));
  CHECK(fails([&] { cross_entropy(logits, {-1, 0}, 0); }, {"[cross_entropy]", "label -1 of row 0"}));
  for (const real smoothing : {real{-0.1}, real{1.1}, not_a_number})
    CHECK(fails([&] { cross_entropy(logits, {0, 1}, smoothing); }, {"[cross_entropy]", "[0, 1]"}));
  const std::string op = "[cross_entropy_backward]";
  CHECK(fails([&] { cross_entropy_backward(logits, {1}, 0, Tensor::scalar(1)); }, {op, "(2, 3)", "1 labels"}));
  CHECK(fails([&] { cross_entropy_backward(logits, {0, 3}, 0, Tensor::scalar(1)); }, {op, "label 3"}));
  CHECK(fails([&] { cross_entropy_backward(Tensor::ones({3}), {1}, 0, Tensor::scalar(1)); }, {op, "(3)"}));
  CHECK(fails([&] { cross_entropy_backward(logits, {1, 0}, 0, Tensor::ones({2})); }, {op, "one number", "(2)"}));
}

TEST_CASE("range: smallest and largest finite number, and how many are none") {
  with_threads([] {
    for (const Index n : {1, 2, 15, 16, 17, 100, 16384, 16385, 100000}) {
      CAPTURE(n);
      Tensor x = random({n}, 7);
      const auto [low, high] = std::minmax_element(x.data(), x.data() + n);
      const real min = *low, max = *high;
      const Range all = range(x);
      CHECK(all.finite());
      CHECK(all.min == min);
      CHECK(all.max == max);
      if (n < 15) continue;
      *std::min_element(x.data(), x.data() + n) = not_a_number;
      *std::max_element(x.data(), x.data() + n) = -infinity;
      x.data()[n / 2] = infinity;
      real want_min = infinity, want_max = -infinity;
      for (const real value : x.values())
        if (std::isfinite(value)) want_min = std::min(want_min, value), want_max = std::max(want_max, value);
      const Range rest = range(x);
      CHECK(!rest.finite());
      CHECK(rest.nan + rest.inf == n - std::count_if(x.data(), x.data() + n, [](real v) { return std::isfinite(v); }));
      CHECK(rest.nan == nans(x));
      CHECK(rest.min == want_min);
      CHECK(rest.max == want_max);
    }
  });
  const Range none = range(Tensor({3}, {not_a_number, infinity, -infinity}));
  CHECK(none.nan == 1);
  CHECK(none.inf == 2);
  CHECK(none.min == infinity);
  CHECK(none.max == -infinity);
  CHECK(range(Tensor({2}, {Limits::max(), Limits::lowest()})).finite());
  CHECK(range(Tensor::scalar(Limits::denorm_min())).max == Limits::denorm_min());
}
