#include "tensor/math.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

using namespace bobbin;

namespace {

const float inf = std::numeric_limits<float>::infinity();
const float not_a_number = std::numeric_limits<float>::quiet_NaN();
const float smallest_denormal = std::numeric_limits<float>::denorm_min();

/// Some two million of the 2^32 floats: every 2048th pattern of bits, the edges of each power of two, and the specials.
/// The offset is odd, so that the low bits of the patterns are not all zeros.
const std::vector<float>& sample() {
  static const std::vector<float> all = [] {
    std::vector<float> xs = {0.0f, -0.0f, inf, -inf, not_a_number, -not_a_number};
    for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += 2048) {
      xs.push_back(math::detail::from_bits(static_cast<std::uint32_t>(bits + bits / 2048 % 2048)));
    }
    for (std::uint32_t exponent = 0; exponent < 512; ++exponent) {  // bit 8 is the sign
      for (std::uint32_t d = 0; d < 9; ++d) xs.push_back(math::detail::from_bits((exponent << 23) + d - 4));
    }
    return xs;
  }();
  return all;
}

/// The distance between neighbouring floats at y, or at `floor` if that is larger.
double ulp(double y, double floor) {
  const double smallest_normal = std::numeric_limits<float>::min();
  int exponent;
  std::frexp(std::max({std::fabs(y), floor, smallest_normal}), &exponent);
  return std::ldexp(1.0, exponent - 24);
}

struct Result {
  double worst = 0;   // error in ulp
  float at = 0;       // where
  int wrong_nan = 0;  // NaN where there should be none, or the reverse
};

/// Compares f of float with f of double, for all x >= low of the sample. (A plain loop: that vector code gives
/// the same is for the kernels' tests to show.)
template <class F>
Result compare(F f, double floor = 0, float low = -inf) {
  Result result;
  const double largest = std::numeric_limits<float>::max();
  for (float x : sample()) {
    if (x < low) continue;
    const float y = f(x);
    const double want = f(static_cast<double>(x));
    if (std::isnan(want) || std::isnan(y)) {
      result.wrong_nan += std::isnan(want) != std::isnan(y);
      continue;
    }
    if (y == static_cast<float>(want)) continue;  // also inf = inf
    // An infinity counts as 2^128, the next power of two, so that overflowing early is an error.
    const double clamped = std::fmin(std::fmax(want, -largest), largest);
    const double got = std::isinf(y) ? std::copysign(0x1p128, y) : y;
    const double error = std::fabs(got - clamped) / ulp(clamped, floor);
    if (error > result.worst) result.worst = error, result.at = x;
  }
  return result;
}

#define CHECK_ULP(bound, ...)                            \
  do {                                                   \
    const Result r = compare(__VA_ARGS__);               \
    INFO("worst error ", r.worst, " ulp at x = ", r.at); \
    CHECK(r.worst <= (bound));                           \
    CHECK(r.wrong_nan == 0);                             \
  } while (false)

// The function `name` for any argument, as something that can be passed on.
#define FUNCTION(name) [](auto x) { return math::name(x); }
#define DERIVATIVE(name) [](auto x) { return math::name##_with_derivative(x).derivative; }

bool is_zero(float x, bool negative) { return x == 0.0f && std::signbit(x) == negative; }

}  // namespace

TEST_CASE("math: exp, log, tanh and erf keep their bounds") {
  CHECK_ULP(1.10, FUNCTION(exp));
  CHECK_ULP(0.95, FUNCTION(log));
  CHECK_ULP(2.50, FUNCTION(tanh));
  CHECK_ULP(1.95, FUNCTION(erf));
}

TEST_CASE("math: the normal distribution keeps its bounds") {
  CHECK_ULP(2.25, [](auto x) { return math::normal(x).pdf; });
  CHECK_ULP(7.00, [](auto x) { return math::normal(x).cdf; });
  CHECK_ULP(
      5.00, [](auto x) { return math::normal(x).cdf; }, 0, -5.0f);
}

TEST_CASE("math: GELU and its derivative keep their bounds") {
  CHECK_ULP(5.50, FUNCTION(gelu), 0, -5.0f);
  CHECK_ULP(8.10, FUNCTION(gelu), 0, -12.9f);
  CHECK_ULP(13.00, FUNCTION(gelu));
  CHECK_ULP(6.50, DERIVATIVE(gelu), 0.125);
  CHECK_ULP(3.70, FUNCTION(gelu_tanh), 0.125);
  CHECK_ULP(6.30, DERIVATIVE(gelu_tanh), 0.125);
}

TEST_CASE("math: exp at its ends") {
  CHECK(math::exp(0.0f) == 1.0f);
  CHECK(math::exp(-0.0f) == 1.0f);
  CHECK(math::exp(inf) == inf);
  CHECK(is_zero(math::exp(-inf), false));
  CHECK(std::isnan(math::exp(not_a_number)));
  // ln of the largest float is 88.7228394, ln of half the smallest denormal -103.972084.
  CHECK(math::exp(88.7228317f) < inf);
  CHECK(math::exp(88.7228394f) == inf);
  CHECK(math::exp(-103.972076f) == smallest_denormal);
  CHECK(is_zero(math::exp(-103.972092f), false));
  CHECK(is_zero(math::exp(-1e6f), false));  // what masks put into a softmax
}

TEST_CASE("math: log at its ends") {
  CHECK(is_zero(math::log(1.0f), false));
  CHECK(math::log(0.0f) == -inf);
  CHECK(math::log(-0.0f) == -inf);
  CHECK(math::log(inf) == inf);
  for (const float x : {-smallest_denormal, -1.0f, -inf, not_a_number}) CHECK(std::isnan(math::log(x)));
  CHECK(math::log(smallest_denormal) == doctest::Approx(-103.27892990343185).epsilon(1e-7));
}

TEST_CASE("math: tanh and erf are odd, keep small numbers and end at 1") {
  const auto check_odd = [](auto f) {
    for (float x : {0.0f, smallest_denormal, 1e-40f, 1e-30f, 1e-5f, 0.3f, 0.5f, 1.0f, 2.5f, 7.0f, 1e30f, inf}) {
      CHECK(f(-x) == -f(x));
      CHECK(std::signbit(f(-x)));
      CHECK_FALSE(std::signbit(f(x)));
    }
    CHECK(f(inf) == 1.0f);
    CHECK(f(1e30f) == 1.0f);
    CHECK(std::isnan(f(not_a_number)));
    for (float x : sample()) {
      if (std::fabs(f(x)) > 1.0f) FAIL_CHECK("beyond 1 at x = ", x);
    }
  };
  check_odd(FUNCTION(tanh));
  check_odd(FUNCTION(erf));
  CHECK(math::tanh(smallest_denormal) == smallest_denormal);
  CHECK(math::tanh(1e-30f) == 1e-30f);
  CHECK(math::erf(1e-30f) == doctest::Approx(1.12837917e-30).epsilon(1e-7).scale(0));
}

TEST_CASE_TEMPLATE("math: GELU has PyTorch's limits, and its derivative the true ones", T, float, double) {
  const T infinity = std::numeric_limits<T>::infinity(), not_a_number = std::numeric_limits<T>::quiet_NaN();
  const T largest = std::numeric_limits<T>::max();
  const auto check_limits = [&](auto gelu, auto derivative) {
    CHECK(gelu(T(0)) == T(0));
    CHECK(gelu(T(-0.0)) == T(0));
    CHECK(gelu(infinity) == infinity);
    CHECK(std::isnan(gelu(-infinity)));  // as PyTorch
    CHECK(std::isnan(gelu(not_a_number)));
    CHECK(std::isnan(derivative(not_a_number)));
    CHECK(derivative(T(0)) == T(0.5));
    for (T x : {T(50), T(1e3), T(1e10), T(1e19), T(1e30), largest}) {
      CHECK(gelu(x) == x);
      CHECK(gelu(-x) == T(0));
      CHECK(derivative(x) == T(1));
      CHECK(derivative(-x) == T(0));
    }
    CHECK(derivative(infinity) == T(1));
    CHECK(derivative(-infinity) == T(0));
  };
  check_limits(FUNCTION(gelu), DERIVATIVE(gelu));
  check_limits(FUNCTION(gelu_tanh), DERIVATIVE(gelu_tanh));
}

TEST_CASE("math: GELU is the same alone and with its derivative") {
  const auto same = [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); };
  for (float x : sample()) {
    if (!same(math::gelu_with_derivative(x).value, math::gelu(x))) FAIL_CHECK("another GELU at x = ", x);
    if (!same(math::gelu_tanh_with_derivative(x).value, math::gelu_tanh(x))) FAIL_CHECK("another GELU at x = ", x);
  }
}

// What the floats were compared with is math.h's own double functions. Here those meet the textbook.
TEST_CASE("math: in double, GELU is its definition and the derivatives are slopes") {
  for (double x = -6; x <= 6; x += 0.37) {
    CAPTURE(x);
    const double by_erf = x * 0.5 * (1 + std::erf(x / std::sqrt(2.0)));
    const double u = std::sqrt(2 / 3.14159265358979324) * (x + 0.044715 * x * x * x);
    CHECK(std::fabs(math::gelu(x) - by_erf) < 1e-15);
    CHECK(std::fabs(math::gelu_tanh(x) - 0.5 * x * (1 + std::tanh(u))) < 1e-14);
    const double h = 1e-5;
    CHECK(std::fabs((math::gelu(x + h) - math::gelu(x - h)) / (2 * h) - math::gelu_with_derivative(x).derivative) <
          1e-9);
    CHECK(std::fabs((math::gelu_tanh(x + h) - math::gelu_tanh(x - h)) / (2 * h) -
                    math::gelu_tanh_with_derivative(x).derivative) < 1e-9);
    const double phi = std::exp(-x * x / 2) / std::sqrt(2 * 3.14159265358979324);
    CHECK(std::fabs(math::normal(x).pdf - phi) < 1e-15);
  }
  CHECK(math::gelu(1.0) == doctest::Approx(0.841344746068543).epsilon(1e-14));  // Φ(1), from a table
}
