// Mixup and CutMix against timm's with the same random numbers.
#include "data/sets/mix.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "data/sets/batches.h"
#include "nn/loss.h"
#include "tests/data/files.h"
#include "tests/golden/golden.h"

using namespace bobbin;
using namespace bobbin::test;

TEST_CASE("mix: pictures, targets and loss are those of timm's Mixup and SoftTargetCrossEntropy") {
  const Golden golden("augment");
  const Labels labels{2, 0, 1, 2};
  const Var logits(golden.tensor("mix/logits"));
  const std::vector<std::pair<std::string, Augmentation>> cases = {
      {"mixup", {.mixup = 0.3}},
      {"cutmix", {.cutmix = 1}},
      {"both", {.mixup = 0.2, .cutmix = 2, .mixup_prob = 0.8, .mixup_switch_prob = 0.4}}};
  for (const auto& [name, how] : cases) {
    std::vector<real> X, targets;
    const std::vector<double> losses = golden.doubles("mix/" + name + "/loss");
    for (Index i = 0; i < 8; ++i) {
      std::vector<real> pictures = golden.tensor("mix/X").values(), q(12);
      const BatchMix mix = draw_mix(how, {5, 6}, Draw{3, 5}, i);
      mix_pictures(pictures.data(), 4, 2, {5, 6}, mix);
      mix_targets(labels, 3, mix, q.data());
      X.insert(X.end(), pictures.begin(), pictures.end());
      targets.insert(targets.end(), q.begin(), q.end());
      const Loss loss = CrossEntropy{real(0.1)};
      CHECK(double{loss(logits, Tensor({4, 3}, q)).value().item()} ==
            doctest::Approx(losses[static_cast<std::size_t>(i)]).epsilon(1e-5));
    }
    check_golden(name, Tensor({8, 4, 2, 5, 6}, X), golden.tensor("mix/" + name + "/X"));
    check_golden(name, Tensor({8, 4, 3}, targets), golden.tensor("mix/" + name + "/targets"));
  }
}

TEST_CASE("mix: shares have the distribution Beta(alpha, alpha)") {
  for (const double alpha : {0.01, 0.2, 1.0, 5.0}) {
    double sum = 0, squares = 0, fourth = 0;
    constexpr int count = 20000;
    for (Index i = 0; i < count; ++i) {
      const double kept = draw_mix({.mixup = alpha}, 8, Draw{1, 1}, i).kept, x = kept - 0.5;
      CHECK((kept >= 0 && kept <= 1));
      sum += x, squares += x * x, fourth += x * x * x * x;
    }
    const double variance = 1 / (4 * (2 * alpha + 1));
    const double kurtosis = 3 - 6 / (2 * alpha + 3);  // of Beta(a, a)
    CHECK(std::abs(sum / count) < 5 * std::sqrt(variance / count));
    CHECK(squares / count == doctest::Approx(variance).epsilon(0.03).scale(0));
    CHECK(fourth / count == doctest::Approx(kurtosis * variance * variance).epsilon(0.05).scale(0));
  }
}

TEST_CASE("mix: batches mix the pictures that they would have had, and give probabilities") {
  ImageDataset data({7, 1, 4, 4}, noise(7 * 16), {0, 1, 2, 0, 1, 2, 0}, {"a", "b", "c"});
  for (const Augmentation& how : {Augmentation{.mixup = 1}, Augmentation{.hflip = 0.5, .cutmix = 1}}) {
    Augmentation unmixed = how;
    unmixed.mixup = unmixed.cutmix = 0;
    Rng a(3), b(3);
    const Batches mixed = batches(data, 4, a, how);
    const Batches plain = unmixed.on() ? batches(data, 4, b, unmixed) : batches(data, 4, b);
    for (Index i = 0; i < mixed.size(); ++i) {
      const Batch batch = mixed[i], before = plain[i];
      CHECK(batch.labels == before.labels);
      CHECK(!before.targets);
      REQUIRE(batch.targets);
      std::vector<real> X = before.images.values(), q(static_cast<std::size_t>(3 * batch.labels.size()));
      Rng again(3);
      again.draw();
      const BatchMix mix = draw_mix(how, 4, again.draw(), 4 * i);
      const auto count = static_cast<Index>(batch.labels.size());
      mix_pictures(X.data(), count, 1, 4, mix);
      mix_targets(batch.labels, 3, mix, q.data());
      CHECK(batch.images.values() == X);
      CHECK(batch.targets->values() == q);
      CHECK(batch.targets->shape() == Shape{count, 3});
      for (std::size_t row = 0; row < q.size(); row += 3)
        CHECK(double{q[row]} + q[row + 1] + q[row + 2] == doctest::Approx(1));
      const auto [rest, labels] = mixed.from(i)[0];
      CHECK(rest.values() == X);
      CHECK(labels == batch.labels);
    }
  }
  Rng rng(1);
  CHECK(fails([&] { batches(data, 1, rng, {.mixup = -1}); }, {"mixup is an alpha from 0 to 1000, got -1"}));
  CHECK(fails([&] { batches(data, 1, rng, {.mixup = 1, .mixup_prob = 2}); }, {"mixup_prob is a probability", "got 2"}));
}
