// Softmax and cross-entropy against plain loops in double.
#include "tests/tensor/numbers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// Of the normal distribution, whose numbers use every bit of a double: their sums do round.
Tensor random(const Shape& shape, std::uint64_t seed) { return Rng(seed).normal(shape); }

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

struct PlainCrossEntropy {
  double loss = 0;
  Doubles dlogits;

  PlainCrossEntropy(const Tensor& logits, const Doubles& targets, double dloss) {
    const Index rows = logits.shape()[0], cols = logits.shape()[1];
    for (Index row = 0; row < rows; ++row) {
      const real* x = logits.data() + row * cols;
      const Doubles p = plain_softmax(x, cols, cols);
      double max = -inf, total = 0;
      for (Index c = 0; c < cols; ++c) max = std::max(max, double{x[c]});
      for (Index c = 0; c < cols; ++c) total += std::exp(x[c] - max);
      for (Index c = 0; c < cols; ++c) {
        const double q = targets[static_cast<std::size_t>(row * cols + c)];
        loss -= q == 0 ? 0 : q * (x[c] - max - std::log(total)) / static_cast<double>(rows);
        dlogits.push_back(dloss * (p[static_cast<std::size_t>(c)] - q) / static_cast<double>(rows));
      }
    }
  }
};

// 1-s at the label plus s/C everywhere.
Doubles smoothed(const Labels& labels, Index classes, double s) {
  Doubles q;
  for (const int label : labels)
    for (Index c = 0; c < classes; ++c) q.push_back(s / static_cast<double>(classes) + (c == label ? 1 - s : 0));
  return q;
}

Labels some_labels(Index rows, Index classes) {
  Labels labels;
  for (Index row = 0; row < rows; ++row) labels.push_back(static_cast<int>(row * 5 % classes));
  return labels;
}

}  // namespace

TEST_CASE("softmax and its gradient agree with plain loops") {
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
        const Tensor y = masked_softmax(x, lens);
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
  const Tensor kept = random(shape, 9), y = masked_softmax(kept, lens), gradient = random(shape, 10);
  const std::vector<real> before = kept.values(), gradient_before = gradient.values();
  Tensor moved = kept.clone();
  const real* block = moved.data();
  const Tensor in_place = masked_softmax(std::move(moved), lens);
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
  CHECK(error(masked_softmax(masked, {2, 0}), {0.5, 0.5, 0, 0, 0.25, 0.25, 0.25, 0.25}) <= epsilon);
  const Tensor spoiled = masked_softmax(Tensor({4}, {not_a_number, 1, 5, 5}), {2});
  CHECK(nans(spoiled) == 2);
  CHECK(spoiled.data()[2] == 0);
  CHECK(spoiled.data()[3] == 0);
  const Tensor dY({1, 4}, {1, 2, not_a_number, infinity});
  CHECK(error(softmax_backward(Tensor({1, 4}, {0.5, 0.5, 0, 0}), {2}, dY), {-0.25, 0.25, 0, 0}) <= epsilon);
}

TEST_CASE("softmax of wide rows and its gradient are right to 1e-6, PyTorch's to 1e-5") {
  for (const Index cols : {50000, 1000000}) {
    const Tensor x = Rng(21).uniform({1, cols}, 0, real(0.1)), dY = Rng(22).normal({1, cols}, 100);
    const Doubles want = plain_softmax(x.data(), cols, cols);
    double dot = 0;
    for (Index c = 0; c < cols; ++c) dot += want[static_cast<std::size_t>(c)] * dY.data()[c];
    Doubles dX;
    for (Index c = 0; c < cols; ++c) dX.push_back(want[static_cast<std::size_t>(c)] * (dY.data()[c] - dot));
    const Tensor y = softmax(x);
    CHECK(error(y, want, 1 / static_cast<double>(cols)) <= 4e-7);
    CHECK(error(softmax_backward(y, {}, dY), dX, 4 / static_cast<double>(cols)) <= 2e-6);
  }
}

TEST_CASE("log_softmax and logsumexp agree with plain loops") {
  for (const Shape& shape : {Shape{1}, Shape{17}, Shape{37, 37}, Shape{129, 65}, Shape{3, 5, 7}, Shape{2, 50000}}) {
    CAPTURE(shape);
    const Index cols = shape[-1], rows = shape.size() / cols;
    for (const double offset : {0.0, 1e4}) {
      const Tensor x = Rng(23).normal(shape, static_cast<real>(offset), 5);
      Doubles logs, sums;
      for (Index row = 0; row < rows; ++row) {
        const real* in = x.data() + row * cols;
        const double max = *std::max_element(in, in + cols);
        double total = 0;
        for (Index c = 0; c < cols; ++c) total += std::exp(in[c] - max);
        sums.push_back(max + std::log(total));
        for (Index c = 0; c < cols; ++c) logs.push_back(in[c] - max - std::log(total));
      }
      with_threads([&] {
        CHECK(log_softmax(x).shape() == shape);
        CHECK(error(log_softmax(x), logs) <= 4 * epsilon + 1e-14);  // the plain loop rounds, too
        CHECK(logsumexp(x, -1).shape() == shape.without(shape.rank() - 1));
        CHECK(error(logsumexp(x, -1), sums) <= 4 * epsilon + 1e-14);
      });
    }
  }
}

TEST_CASE("log_softmax and logsumexp of extreme numbers, as PyTorch") {
  // A share near 1 keeps the digits of its logarithm, one near 0 has one.
  CHECK(error(log_softmax(Tensor({3}, {20, 0, 0})), {-std::log1p(2 * std::exp(-20)), -20, -20}, 1e-9) <= 1e-6);
  CHECK(error(log_softmax(Tensor({3}, {10000, -10000, 100})), {0, -20000, -9900}) <= epsilon);
  CHECK(error(log_softmax(Tensor({2}, {Limits::max(), Limits::max()})), {-std::log(2), -std::log(2)}) <= epsilon);
  CHECK(log_softmax(Tensor({2}, {0, -infinity})).values() == std::vector<real>{0, -infinity});
  for (const real bad : {not_a_number, infinity}) CHECK(nans(log_softmax(Tensor({3}, {1, bad, 2}))) == 3);
  CHECK(nans(log_softmax(Tensor({2}, {-infinity, -infinity}))) == 2);

  CHECK(logsumexp(Tensor({2, 2}, {100, 100, -10000, -10000}), -1).values() ==
        std::vector<real>{static_cast<real>(100 + std::log(2)), static_cast<real>(-10000 + std::log(2))});
  CHECK(logsumexp(Tensor({3, 2}, {-infinity, -infinity, -infinity, 3, infinity, 1}), -1).values() ==
        std::vector<real>{-infinity, 3, infinity});
  CHECK(logsumexp(Tensor({2}, {infinity, infinity}), -1).item() == infinity);
  CHECK(std::isnan(logsumexp(Tensor({2}, {infinity, not_a_number}), -1).item()));
  CHECK(std::isnan(logsumexp(Tensor({2}, {not_a_number, 1}), -1).item()));
  CHECK(fails([] { log_softmax(Tensor::ones({3}), 1); }, {"[log_softmax]", "no axis 1", "(3)"}));
}

TEST_CASE("softmax refuses what does not fit") {
  const Tensor x = Tensor::ones({2, 3, 4});
  CHECK(fails([&] { softmax(x, 3); }, {"[softmax]", "no axis 3", "(2, 3, 4)"}));
  CHECK(fails([&] { masked_softmax(x, {1, 2, 3}); }, {"[softmax]", "6", "(2, 3, 4)", "got 3"}));
  CHECK(fails([&] { softmax_backward(x, {}, Tensor::ones({2, 3})); }, {"[softmax_backward]", "(2, 3, 4)", "(2, 3)"}));
  CHECK(fails([&] { softmax_backward(x, {1}, x); }, {"[softmax_backward]", "(2, 3, 4)", "got 1"}));
}

TEST_CASE("cross-entropy and its gradient agree with plain loops") {
  for (const Shape& shape : {Shape{1, 1}, Shape{1, 3}, Shape{3, 17}, Shape{37, 10}, Shape{129, 65}}) {
    CAPTURE(shape);
    const Tensor logits = Rng(19).normal(shape, 0, 5);
    const Labels labels = some_labels(shape[0], shape[1]);
    for (const double smoothing : {0.0, 0.1, 0.5, 1.0}) {
      CAPTURE(smoothing);
      const real s = static_cast<real>(smoothing);
      const PlainCrossEntropy want(logits, smoothed(labels, shape[1], s), 3);
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

TEST_CASE("cross-entropy of soft targets agrees with a plain loop, and with numbers of torch.nn.functional") {
  for (const Shape& shape : {Shape{1, 1}, Shape{1, 3}, Shape{3, 17}, Shape{37, 10}, Shape{129, 65}}) {
    CAPTURE(shape);
    const Tensor logits = Rng(19).normal(shape, 0, 5), q = softmax(Rng(20).normal(shape, 0, 3));
    const std::vector<real> targets = q.values();
    const PlainCrossEntropy want(logits, {targets.begin(), targets.end()}, 3);
    CHECK(cross_entropy(logits, q).shape() == Shape{});
    CHECK(error(cross_entropy(logits, q), {want.loss}) <= 16 * epsilon);
    CHECK(error(cross_entropy_backward(logits, q, Tensor::scalar(3)), want.dlogits) <= 16 * epsilon);
  }
  // log(e + e² + e³) = 3.40760596 less 0.2·1 + 0.3·2 + 0.5·3
  const Tensor x({1, 3}, {1, 2, 3}), q({1, 3}, {real(0.2), real(0.3), real(0.5)});
  CHECK(cross_entropy(x, q).item() == doctest::Approx(1.10760596));
  CHECK(error(cross_entropy_backward(x, q, Tensor::scalar(1)), {-0.10996943, -0.05527153, 0.16524096}) <= 1e-7);
  // Where nothing is asked for, the logit may be -inf; where something is, the loss is infinite.
  const Tensor ruled_out({1, 3}, {0, -infinity, 0});
  CHECK(cross_entropy(ruled_out, Tensor({1, 3}, {real(0.25), 0, real(0.75)})).item() == doctest::Approx(std::log(2)));
  CHECK(cross_entropy(ruled_out, q).item() == infinity);
  CHECK(std::isnan(cross_entropy(x, Tensor({1, 3}, {0, 1, not_a_number})).item()));
  const Tensor zeros = Tensor::zeros({2, 3});
  // A class that no label has may have any weight.
  const Tensor two = random({2, 2}, 5);
  const CrossEntropyOptions balanced{.weight = Tensor({2}, {1, infinity})};
  CHECK(cross_entropy(two, Labels{0, 0}, balanced).item() == cross_entropy(two, Labels{0, 0}, {}).item());
  CHECK(error(cross_entropy_backward(two, Labels{0, 0}, balanced, Tensor::scalar(1)), [&] {
          const std::vector<real> plain = cross_entropy_backward(two, Labels{0, 0}, {}, Tensor::scalar(1)).values();
          return Doubles(plain.begin(), plain.end());
        }()) <= epsilon);
  CHECK(fails([&] { cross_entropy(zeros, q); }, {"[cross_entropy]", "(2, 3)", "(1, 3)"}));
  CHECK(fails([&] { cross_entropy(zeros[0], zeros[0]); }, {"[cross_entropy]", "(3)"}));
  CHECK(fails([&] { cross_entropy_backward(zeros, q, Tensor::scalar(1)); }, {"[cross_entropy_backward]", "(1, 3)"}));
  CHECK(fails([&] { cross_entropy_backward(zeros, zeros, zeros); }, {"[cross_entropy_backward]", "one number"}));
}

TEST_CASE("cross-entropy of extreme logits") {
  const Tensor large({2, 3}, {1000, -1000, 500, 80, 81, 1000});
  const Labels labels{1, 2};
  for (const double smoothing : {0.0, 0.1}) {
    const PlainCrossEntropy want(large, smoothed(labels, 3, static_cast<real>(smoothing)), 1);
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
