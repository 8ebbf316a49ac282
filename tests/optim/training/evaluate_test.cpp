#include "optim/training/evaluate.h"

#include <doctest/doctest.h>

#include "nn/layers.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// Says of an image of one pixel that it is of class 1 as firmly as it is bright, and counts in which mode it was asked.
struct Bright {
  Training training;
  int asked_in_training = 0;

  Var operator()(const Var& X) {
    asked_in_training += training.on;
    const Var x = flatten(X, 1);
    return concat({x * real(0), x * real(4) - real(2)}, 1);
  }
  void visit(auto&& v) { v("training", training); }
};

struct NotANumberForDark {
  Var operator()(const Var& X) {
    const Var x = flatten(X, 1);
    return concat({x, log(x - real(0.5))}, 1);
  }
  void visit(auto&&) {}
};

// A visit() that forgets the dropout, which eval() then cannot switch off.
struct Forgetful {
  Rng rng{0};
  Linear layer{1, 2, rng};
  Dropout dropout{real(0.5), rng};
  Var operator()(const Var& X) { return layer(dropout(flatten(X, 1))); }
  void visit(auto&& v) { v("layer", layer); }
};

struct Seeing {
  std::function<Var(const Var&)> f;
  Var operator()(const Var& X) { return f(X); }
  void visit(auto&&) {}
};

const ImageDataset data({5, 1, 1, 1}, {255, 0, 255, 255, 0}, {1, 0, 0, 1, 0}, {"dark", "bright"});

}  // namespace

TEST_CASE("evaluate: mean loss and accuracy, whatever the size of the batches; each batch is told of") {
  const double right = std::log(1 + std::exp(-2)), wrong = std::log(1 + std::exp(2));
  for (const Index batch_size : {1, 2, 3, 5, 100}) {
    Bright model;
    Labels labels;
    Index rows = 0;
    const Evaluation e = evaluate(model, data, batch_size, [&](const Tensor& logits, const Batch& batch) {
      const Labels& y = batch.labels;
      CHECK(batch.which.front() == static_cast<Index>(labels.size()));
      CHECK(logits.shape() == Shape{static_cast<Index>(y.size()), 2});
      labels.insert(labels.end(), y.begin(), y.end());
      ++rows;
    });
    CHECK(e.accuracy == doctest::Approx(0.8));
    CHECK(e.loss == doctest::Approx((4 * right + wrong) / 5).epsilon(1e-5));
    CHECK(labels == data.labels);
    CHECK(rows == (5 - 1) / batch_size + 1);
    CHECK(model.asked_in_training == 0);
    CHECK(!model.training.on);
  }
}

TEST_CASE("evaluate: ends early, with what it has") {
  Bright model;
  int batches = 0;
  const Evaluation e = evaluate(
      model, data, 1, [&](const Tensor&, const Batch&) { ++batches; }, [&] { return batches == 3; });
  CHECK(batches == 3);
  CHECK(e.accuracy == doctest::Approx(2.0 / 3));
}

TEST_CASE("evaluate: one image of which the model makes NaN shows in the loss") {
  NotANumberForDark model;
  for (const Index batch_size : {1, 2, 5}) CHECK(std::isnan(evaluate(model, data, batch_size).loss));
}

TEST_CASE("evaluate: a dropout that is still on, because visit() forgot it, is an error") {
  Forgetful model;
  CHECK(fails([&] { evaluate(model, data, 2); }, {"Dropout", "0.5", "visit()"}));
  eval(model);
  CHECK(error_of([&] { model(Tensor::ones({2, 1, 1, 1})); }) == "");  // many samples of a prediction may be wanted
  CHECK(!Evaluating::now());
}

TEST_CASE("evaluate: with Tta::flip the logits are the mean of a picture's and its mirror image's") {
  // A picture of two pixels; the model sees only the left one.
  const auto left = [](const Var& X) {
    const Var x = slice(flatten(X, 1), 1, 0, 1);
    return concat({x * real(0), x * real(4) - real(2)}, 1);
  };
  Seeing model{left};
  const ImageDataset pairs({5, 1, 1, 2}, {255, 0, 0, 255, 255, 255, 0, 0, 0, 204}, {1, 1, 1, 0, 0}, {"dark", "bright"});
  for (const Index batch_size : {1, 2, 100}) {
    std::vector<real> logits;
    const auto keep = [&](const Tensor& l, const Batch&) {
      for (Index i = 0; i < l.shape()[0]; ++i) logits.push_back(l[i].values()[1]);
    };
    CHECK(evaluate(model, pairs, batch_size, keep, {}, Tta::flip).accuracy >= 0.4);
    REQUIRE(logits.size() == 5);
    const double want[] = {0, 0, 2, -2, -0.4};  // 4·(l + r)/2 - 2
    for (std::size_t i = 0; i < 5; ++i) CHECK(double{logits[i]} == doctest::Approx(want[i]).epsilon(1e-5));
  }
}
