// Dropout, and GELU with it, against plain loops in double.
#include <functional>

#include "tests/tensor/numbers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

Tensor random(const Shape& shape, std::uint64_t seed) { return Rng(seed).uniform(shape, -2, 2); }

double cdf(double x) { return std::erfc(-x / std::sqrt(2)) / 2; }
double pdf(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * M_PI); }
double logistic(double x) { return 1 / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }
double gelu_plain(double x) { return x * cdf(x); }
double gelu_tanh_plain(double x) { return x * logistic(x); }
double gelu_slope(double x) { return std::isinf(x) ? x > 0 : cdf(x) + x * pdf(x); }
double gelu_tanh_slope(double x) {
  if (std::abs(x) > 40) return x > 0;
  const double s = logistic(x);
  return s + x * s * (1 - s) * 2 * std::sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
}

}  // namespace

TEST_CASE("dropout keeps exactly the elements whose word is large enough") {
  const Draw draw{0x123456789abcdef0, 77};
  const double near_one = 1 - std::ldexp(1, -20);
  with_threads([&] {
    for (const double wanted : {0.0, 0.1, 0.5, 0.9, near_one}) {
      const real p = static_cast<real>(wanted);
      CAPTURE(p);
      for (const Index n : {1, 3, 17, 37, 65, 129, 255, 256, 257, 1000, 8193, 30001}) {
        const Tensor x = random({n}, 15), y = dropout(x, p, draw);
        std::vector<double> want;
        for (Index i = 0; i < n; ++i) {
          const std::uint32_t word = draw.block(static_cast<std::uint64_t>(i / 4))[static_cast<std::size_t>(i % 4)];
          want.push_back(word >= std::floor(std::ldexp(double{p}, 32)) ? double{x.data()[i]} / (1 - double{p}) : 0);
        }
        CHECK(error(y, want) <= 2 * epsilon);
      }
    }
  });
  const Tensor x = random({129}, 16);
  CHECK(dropout(x, 0, draw).values() == x.values());
  CHECK(dropout(x.reshape({3, 43}), real{0.5}, draw).values() == dropout(x, real{0.5}, draw).values());
}

TEST_CASE("dropout drops a share p and keeps the mean") {
  constexpr Index n = 400000;
  for (const double p : {0.1, 0.5, 0.9}) {
    const Tensor y = dropout(Tensor::ones({n}), static_cast<real>(p), Rng(17).draw());
    double zeros = 0, total = 0;
    for (const real value : y.values()) {
      zeros += value == 0;
      total += value;
    }
    const double sigma = std::sqrt(n * p * (1 - p));
    CHECK(std::abs(zeros - n * p) < 5 * sigma);
    CHECK(std::abs(total - n) < 5 * sigma / (1 - p));
  }
  // As close to 1 as a number gets: nearly all are gone, and nothing overflows.
  const Tensor y = dropout(Tensor::ones({100000}), 1 - Limits::epsilon() / 2, Rng(18).draw());
  CHECK(sum(y * real{0}).item() == 0);
}

TEST_CASE("dropout does not hide a number that is none, as PyTorch does not") {
  for (const real bad : {not_a_number, infinity, -infinity}) {
    const Tensor y = dropout(Tensor::full({1000}, bad), real{0.5}, Rng(19).draw());
    for (const real value : y.values()) CHECK(!std::isfinite(value));
    CHECK(nans(y) > 400);  // inf · 0
  }
}

TEST_CASE("dropout at 1 leaves nothing, as PyTorch's, and refuses what is no probability") {
  CHECK(dropout(random({1000}, 5), 1, Rng(19).draw()).values() == std::vector<real>(1000, 0));
  for (const double p : {-0.1, 1.5, double{not_a_number}})
    CHECK(fails([=] { dropout(Tensor::ones({3}), static_cast<real>(p), Draw{}); }, {"[dropout]", "[0, 1]"}));
}

TEST_CASE("GELU of special numbers, and in place of what is moved in") {
  const Tensor x = special_numbers();
  Doubles want = map(x, gelu_plain), want_tanh = map(x, gelu_tanh_plain);
  for (double& w : want) w = static_cast<real>(w);  // beyond a float's range a float overflows
  for (double& w : want_tanh) w = static_cast<real>(w);
  CHECK(error(gelu(x), want, 0.125) <= 8 * epsilon);
  CHECK(error(gelu_tanh(x), want_tanh, 0.125) <= 8 * epsilon);
  CHECK(std::isnan(gelu(Tensor::scalar(-infinity)).item()));  // as in PyTorch
  CHECK(std::isnan(gelu_tanh(Tensor::scalar(-infinity)).item()));
  for (const auto& f : {std::function<Tensor(Tensor)>([](Tensor z) { return gelu(std::move(z)); }),
                        std::function<Tensor(Tensor)>([](Tensor z) { return gelu_tanh(std::move(z)); }),
                        std::function<Tensor(Tensor)>([](Tensor z) {
                          return dropout(std::move(z), real(0.3), {1, 2});
                        })}) {
    const Tensor kept = random({129, 129}, 14);
    const std::vector<real> before = kept.values(), values = f(kept).values();
    CHECK(kept.values() == before);
    Tensor moved = kept.clone();
    const real* const block = moved.data();
    const Tensor y = f(std::move(moved));
    CHECK(y.data() == block);
    CHECK(y.values() == values);
  }
}

TEST_CASE("GELU and its derivative go through one dropout together") {
  struct Activation {
    Tensor (*value)(Tensor, real, Draw, ReadBy);
    Activated (*both)(Tensor, real, Draw, ReadBy);
    double (*plain)(double), (*slope)(double);
  };
  const Draw draw{0x123456789abcdef0, 78};
  for (const Activation& f : {Activation{gelu, gelu_with_derivative, gelu_plain, gelu_slope},
                              Activation{gelu_tanh, gelu_tanh_with_derivative, gelu_tanh_plain, gelu_tanh_slope}})
    with_threads([&] {
      for (const real p : {real{0}, real{0.1}, real{0.5}})
        for (const Index n : odd_sizes) {
          const Tensor x = Rng(4).normal({n}, 0, 4), ones = dropout(Tensor::ones({n}), p, draw);
          const auto masked = [&](double (*g)(double)) {
            return map(x, ones, [=](double v, double m) { return g(v) * m; });
          };
          const std::vector<real> before = x.values();
          const auto [y, derivative] = f.both(x, p, draw, ReadBy::anyone);
          CHECK(error(y, masked(f.plain), 0.125) <= 8 * epsilon);
          CHECK(error(derivative.exact(), masked(f.slope)) <= 64 * epsilon);
          CHECK(error(f.value(x, p, draw, ReadBy::anyone), masked(f.plain), 0.125) <= 8 * epsilon);
          const Tensor dY = Rng(5).normal({n});
          CHECK(mul(dY, derivative, ReadBy::anyone).values() == (dY * derivative.exact()).values());

          const ProductsIn precision(Precision::bfloat16);
          const auto [same_y, rounded] = f.both(x, p, draw, ReadBy::anyone);
          CHECK(same_y.values() == y.values());
          Tensor wanted(x.shape(), derivative.exact().values());
          for (Index i = 0; i < n; ++i) wanted.data()[i] = to_float(to_bfloat16(wanted.data()[i]));
          CHECK(mul(dY, rounded, ReadBy::anyone).values() == (dY * wanted).values());
          CHECK(x.values() == before);
        }
      const Tensor x = special_numbers();
      CHECK(error(f.both(x, 0, {}, ReadBy::anyone).derivative.exact(), map(x, f.slope)) <= 16 * epsilon);
    });
  Tensor moved = random({37}, 5);
  const real* const block = moved.data();
  CHECK(gelu_with_derivative(std::move(moved), real{0.5}, draw).derivative.exact().data() == block);
  CHECK(fails([] { gelu(Tensor::ones({3}), 2); }, {"[gelu]", "[0, 1]"}));
  CHECK(fails([] { gelu_tanh_with_derivative(Tensor::ones({3}), -1); }, {"[gelu_tanh]", "[0, 1]"}));
}
