// The steps of optimizers against plain loops in double.
#include "tests/tensor/numbers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

Tensor random(const Shape& shape, std::uint64_t seed) { return Rng(seed).uniform(shape, -2, 2); }

std::vector<double> doubles(const Tensor& x) {
  const std::vector<real> values = x.values();
  return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("SGD does what torch.optim.SGD says") {
  struct Options {
    double momentum, weight_decay;
    bool nesterov;
  };
  const double lr = 0.1;
  with_threads([&] {
    for (const Options& o : {Options{0, 0, false},
                             {0, 0.01, false},
                             {0.9, 0, false},
                             {0.9, 0.01, false},
                             {0.9, 0, true},
                             {0.9, 0.01, true}}) {
      const double momentum = o.momentum, decay = o.weight_decay;
      const bool nesterov = o.nesterov;
      CAPTURE(momentum);
      CAPTURE(decay);
      CAPTURE(nesterov);
      for (const Index n : odd_sizes) {
        Tensor w = random({n}, 19), velocity;
        std::vector<double> want = doubles(w), v(want.size());
        for (std::uint64_t step = 0; step < 3; ++step) {
          const Tensor dW = random({n}, 20 + step);
          sgd(w, dW, velocity,
              {static_cast<real>(lr), static_cast<real>(momentum), static_cast<real>(decay), nesterov});
          for (std::size_t i = 0; i < want.size(); ++i) {
            const double g = dW.data()[i] + decay * want[i];
            v[i] = momentum * v[i] + g;
            want[i] -= lr * (momentum == 0 ? g : nesterov ? g + momentum * v[i] : v[i]);
          }
        }
        CHECK(error(w, want) <= 16 * epsilon);
        CHECK(velocity.defined() == (momentum != 0));
        if (velocity.defined()) CHECK(error(velocity, v) <= 16 * epsilon);
      }
    }
  });
}

TEST_CASE("AdamW does what torch.optim.AdamW says") {
  const double lr = 0.01, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  with_threads([&] {
    for (const double decay : {0.0, 0.05})
      for (const Index n : odd_sizes) {
        CAPTURE(decay);
        CAPTURE(n);
        Tensor w = random({n}, 19), m, v;
        std::vector<double> want = doubles(w), want_m(want.size()), want_v(want.size());
        for (Index t = 1; t <= 4; ++t) {
          const Tensor dW = random({n}, 20 + static_cast<std::uint64_t>(t));
          adamw(w, dW, m, v, {lr, beta1, beta2, eps, decay, t});
          for (std::size_t i = 0; i < want.size(); ++i) {
            const double g = dW.data()[i];
            want_m[i] = beta1 * want_m[i] + (1 - beta1) * g;
            want_v[i] = beta2 * want_v[i] + (1 - beta2) * g * g;
            const double m_hat = want_m[i] / (1 - std::pow(beta1, t)), v_hat = want_v[i] / (1 - std::pow(beta2, t));
            want[i] -= lr * (m_hat / (std::sqrt(v_hat) + eps) + decay * want[i]);
          }
        }
        CHECK(error(w, want) <= 16 * epsilon);
        CHECK(error(m, want_m) <= 16 * epsilon);
        CHECK(error(v, want_v) <= 16 * epsilon);
      }
  });
}

TEST_CASE("AdamW: a gradient of 0 moves nothing, and one that is not a number only its own weight") {
  Tensor w({3}, {1, 2, 3}), m, v;
  const formula::AdamW step{0.1, 0.9, 0.999, 1e-8, 0, 1};
  adamw(w, Tensor::zeros({3}), m, v, step);
  CHECK(w.values() == std::vector<real>{1, 2, 3});
  adamw(w, Tensor({3}, {0, std::numeric_limits<real>::quiet_NaN(), 1}), m, v, step);
  CHECK(w.values()[0] == 1);
  CHECK(std::isnan(w.values()[1]));
  CHECK(w.values()[2] == doctest::Approx(3 - 0.1));  // the first step is lr, however large the gradient
}

TEST_CASE("the steps of optimizers refuse shapes that do not fit") {
  Tensor w = Tensor::ones({3, 4}), kept = Tensor::ones({4, 3}), none;
  const formula::AdamW step{0.1, 0.9, 0.999, 1e-8, 0, 1};
  CHECK(fails([&] { sgd(w, Tensor::ones({12}), none, {.lr = 1}); }, {"[sgd]", "(3, 4)", "(12)"}));
  CHECK(fails([&] { sgd(w, w, kept, {.lr = 1, .momentum = 1}); }, {"[sgd]", "(4, 3)", "(3, 4)"}));
  CHECK(fails([&] { adamw(w, Tensor::ones({12}), none, none, step); }, {"[adamw]", "(3, 4)", "(12)"}));
  CHECK(fails([&] { adamw(w, w, none, kept, step); }, {"[adamw]", "(4, 3)", "(3, 4)"}));
}

TEST_CASE("steps by gradients at the limits of a float, against torch.optim's in float32") {
  if (sizeof(real) == 8) return;  // other limits
  const auto w_after = [](auto&& step) {
    const Tensor g({11}, {0, real(1e-45), real(1e-30), real(1e-20), real(1e-10), real(1e18), real(1e20), real(3e38),
                          real(-3e38), infinity, not_a_number});
    Tensor w = Tensor::ones({11});
    step(w, g, 1);
    step(w, -g, 2);
    return w;
  };
  Tensor m, v, velocity;
  const Tensor adamw_w = w_after([&](Tensor& w, const Tensor& g, Index t) {
    adamw(w, g, m, v, {0.1, 0.9, 0.999, 1e-8, 0.01, t});
  });
  CHECK(error(adamw_w, {0.998001039, 0.998001039, 0.998001039, 0.998001039, 0.997063994, 0.903364182, 0.903364182,
                        0.998001039, 0.998001039, not_a_number, not_a_number}) <= 2e-7);
  CHECK(v.values()[3] ==
        doctest::Approx(1.98984382e-43).epsilon(0.01).scale(0));  // no square on the way: 1e-40 and 1e40
  CHECK(v.values()[6] == doctest::Approx(1.99900019e+37));
  CHECK(v.values()[7] == infinity);
  const Tensor sgd_w = w_after([&](Tensor& w, const Tensor& g, Index) {
    sgd(w, g, velocity, {real(0.1), real(0.9), real(0.01), true});
  });
  CHECK(error(sgd_w, {0.995393574, 0.995393574, 0.995393574, 0.995393574, 0.995393574, -8.06389816e+16, -8.06390074e+18,
                      not_a_number, not_a_number, not_a_number, not_a_number}) <= 1e-6);
}
