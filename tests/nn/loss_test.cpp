#include "nn/loss.h"

#include <doctest/doctest.h>

#include "autograd/watch/gradcheck.h"
#include "tensor/rng.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

TEST_CASE("loss: cross entropy of labels is that of the probabilities that stand for them, smoothed or not") {
  const Tensor logits = Rng(1).normal({3, 4});
  const Labels y{2, 0, 3};
  for (const real smoothing : {real(0), real(0.25)}) {
    std::vector<real> q(12);
    for (std::size_t i = 0; i < y.size(); ++i) q[4 * i + static_cast<std::size_t>(y[i])] = 1;
    const Loss loss = CrossEntropy{smoothing};
    const double of_labels = loss(logits, y).value().item();
    CHECK(of_labels == doctest::Approx(double{cross_entropy(logits, y, smoothing).item()}));
    CHECK(double{loss(logits, Tensor({3, 4}, q)).value().item()} == doctest::Approx(of_labels).epsilon(1e-5));
  }
}

TEST_CASE("loss: the gradient of cross entropy with probabilities") {
  const Tensor q({2, 3}, {real(0.5), real(0.25), real(0.25), real(0.1), real(0.9), 0});
  gradcheck("cross_entropy", [&](const std::vector<Var>& in) { return CrossEntropy()(in[0], q); }, {{2, 3}});
}

TEST_CASE(
    "loss: class weights are scikit-learn's balanced ones, count in labels and probabilities, and fit the logits") {
  CHECK(balanced_class_weights({0, 0, 0, 1, 1, 2}, 3) == std::vector<real>{real(6) / 9, 1, 2});
  CHECK(fails([] { balanced_class_weights({0, 0, 2}, 3); }, {"class 1 has no image"}));
  const Tensor logits = Rng(1).normal({2, 3}), q({2, 3}, {real(0.5), real(0.25), real(0.25), real(0.1), real(0.9), 0});
  const CrossEntropy loss{.class_weights = {1, 2, 3}};
  const std::vector<real> log_p = log_softmax(logits).values(), p = q.values();
  double want = 0;
  for (std::size_t i = 0; i < 6; ++i) want -= double{log_p[i]} * p[i] * loss.class_weights[i % 3] / 2;
  CHECK(double{loss(logits, q).value().item()} == doctest::Approx(want).epsilon(1e-5));
  gradcheck("weighted", [&](const std::vector<Var>& in) { return loss(in[0], Labels{2, 0}); }, {{2, 3}});
  CHECK(fails([&] { loss(Rng(1).normal({2, 4}), Labels{0, 1}); }, {"a weight for each of the 4 classes", "(3)"}));
  CHECK(fails([&] { loss(logits, Labels{0, 3}); }, {"the label 3 of row 1", "3 classes"}));
}
