#include "nn/distillation.h"

#include <doctest/doctest.h>

#include "autograd/watch/gradcheck.h"
#include "nn/models/mlp.h"
#include "nn/models/vit.h"
#include "tensor/rng.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

Tensor two_by_three(std::uint64_t seed) { return Rng(seed).normal({2, 3}) * real(2); }

}  // namespace

TEST_CASE("distillation: by hand, soft and hard") {
  const Tensor logits = two_by_three(1), teacher = two_by_three(2);
  const std::vector<real> z = logits.values(), t = teacher.values();
  const auto log_softmax_of = [](const std::vector<real>& x, std::size_t row, std::size_t i, double tau) {
    double sum = 0;
    for (std::size_t k = 0; k < 3; ++k) sum += std::exp(x[3 * row + k] / tau);
    return x[3 * row + i] / tau - std::log(sum);
  };
  for (const double tau : {1.0, 2.5}) {
    double kl = 0;
    for (std::size_t row = 0; row < 2; ++row)
      for (std::size_t i = 0; i < 3; ++i) {
        const double log_p = log_softmax_of(t, row, i, tau);
        kl += std::exp(log_p) * (log_p - log_softmax_of(z, row, i, tau));
      }
    Distillation soft{.type = DistillationType::soft, .tau = static_cast<real>(tau)};
    CHECK(double{soft(logits, teacher).value().item()} == doctest::Approx(kl * tau * tau / 6).epsilon(1e-5));
    soft.scale = DistillationScale::timm;
    CHECK(double{soft(logits, teacher).value().item()} == doctest::Approx(kl * tau * tau / 2).epsilon(1e-5));
    soft.alpha = real(0.25);
    CHECK(double{soft(Var(Tensor::scalar(8)), logits, teacher).value().item()} ==
          doctest::Approx(8 * 0.75 + kl * tau * tau / 8).epsilon(1e-5));
  }
  const Labels likeliest = argmax(teacher, 1);
  CHECK(Distillation{.type = DistillationType::hard}(logits, teacher).value().item() ==
        cross_entropy(logits, likeliest).value().item());
  // Of logits that agree nothing is to be learned, and where probabilities vanish nothing is NaN.
  const Tensor sure({1, 3}, {2000, 0, -2000});
  CHECK(Distillation{.type = DistillationType::soft}(sure, sure).value().item() == 0);
}

TEST_CASE("distillation: gradients, and what does not fit") {
  const Tensor teacher = two_by_three(3);
  for (const Distillation& loss : {Distillation{.type = DistillationType::soft, .tau = 2},
                                   Distillation{.type = DistillationType::soft, .scale = DistillationScale::timm},
                                   Distillation{.type = DistillationType::hard}})
    gradcheck("distillation", [&](const std::vector<Var>& in) { return loss(sum(in[0]), in[0], teacher); }, {{2, 3}});
  CHECK(fails([&] { Distillation()(teacher, teacher); }, {"type none"}));
  CHECK(fails(
      [&] {
        Distillation{.type = DistillationType::soft}(Rng(1).normal({2, 4}), teacher);
      },
      {"(2, 4)", "(2, 3)"}));
}

TEST_CASE("both_heads: of a distilled ViT two, whose mean is its logits; of any other model the same twice") {
  Rng rng(1);
  ViTConfig c{
      .img_size = 8, .patch_size = 4, .num_hiddens = 8, .mlp_num_hiddens = 12, .num_heads = 2, .num_classes = 3};
  const Tensor X = rng.normal({2, 1, 8, 8});
  const auto check_both = [&](auto& model, bool differ) {
    eval(model);
    const auto [of_labels, of_teacher] = both_heads(model, X);
    CHECK((of_labels.value().values() == of_teacher.value().values()) != differ);
    CHECK(model(X).value().values() == ((of_labels.value() + of_teacher.value()) / 2).values());
  };
  ViT plain(c, rng);
  check_both(plain, false);
  MLP mlp({.img_size = 8, .num_classes = 3}, rng);
  check_both(mlp, false);
  c.distilled = true;
  for (const bool whole : {false, true}) {
    c.whole_last_block = whole;
    ViT distilled(c, rng);
    check_both(distilled, true);
    CHECK(distilled.dist_token.value().values() != distilled.cls_token.value().values());
  }
}
