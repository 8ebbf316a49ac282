#include "nn/loss.h"

#include <doctest/doctest.h>

#include "autograd/watch/gradcheck.h"
#include "tensor/rng.h"

using namespace bobbin;

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
