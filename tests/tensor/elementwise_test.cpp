// Elementwise functions against plain loops in double: broadcasting, special numbers, dropout, and
// the reuse of operands that were moved in.
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
constexpr double epsilon = Limits::epsilon();
constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

Tensor random(const Shape& shape, std::uint64_t seed) { return Rng(seed).uniform(shape, -2, 2); }

// f(x[0]), f(x[1]), ... in double.
template <class F>
std::vector<double> map(const Tensor& x, const F& f) {
  std::vector<double> result;
  for (const real value : x.values()) result.push_back(f(double{value}));
  return result;
}
template <class F>
std::vector<double> map(const Tensor& a, const Tensor& b, const F& f) {
  std::vector<double> result;
  for (Index i = 0; i < a.size(); ++i) result.push_back(f(double{a.data()[i]}, double{b.data()[i]}));
  return result;
}

// The element of `t` that stands at the coordinates of element i of `shape`, by NumPy's rule.
Index source(Index i, const Shape& shape, const Shape& t) {
  Index at = 0, step = 1;
  for (int back = 1; back <= shape.rank(); ++back) {
    const Index coordinate = i % shape[-back];
    i /= shape[-back];
    if (back > t.rank()) continue;
    if (t[-back] != 1) at += coordinate * step;
    step *= t[-back];
  }
  return at;
}

struct Binary {
  Tensor (*op)(Tensor, Tensor);
  double (*plain)(double, double);
};
const Binary binaries[] = {
    {operator+, [](double a, double b) { return a + b; }},
    {operator-, [](double a, double b) { return a - b; }},
    {operator*, [](double a, double b) { return a * b; }},
    {operator/, [](double a, double b) { return a / b; }},
};

// All four operations on a and b.
void check_binary(const Tensor& a, const Tensor& b, const Shape& shape) {
  CAPTURE(a.shape());
  CAPTURE(b.shape());
  std::vector<std::size_t> in_a, in_b;
  for (Index i = 0; i < shape.size(); ++i) {
    in_a.push_back(static_cast<std::size_t>(source(i, shape, a.shape())));
    in_b.push_back(static_cast<std::size_t>(source(i, shape, b.shape())));
  }
  for (const Binary& binary : binaries) {
    const Tensor y = binary.op(a, b);
    REQUIRE(y.shape() == shape);
    std::vector<double> want;
    for (std::size_t i = 0; i < in_a.size(); ++i) want.push_back(binary.plain(a.data()[in_a[i]], b.data()[in_b[i]]));
    CHECK(error(y, want) <= epsilon);
  }
}

// All pairs of shapes that broadcast to `shape`: each axis is whole in both, 1 in a, in b, or in both.
// In every other pair, axes of size 1 in front are left out.
template <class Body>
void for_all_broadcasts(const Shape& shape, const Body& body) {
  const int rank = shape.rank();
  for (int pattern = 0; pattern < 1 << 2 * rank; ++pattern) {
    Index a[Shape::max_rank], b[Shape::max_rank];
    for (int axis = 0; axis < rank; ++axis) {
      a[axis] = pattern >> 2 * axis & 1 ? 1 : shape[axis];
      b[axis] = pattern >> 2 * axis & 2 ? 1 : shape[axis];
    }
    int skip_a = 0, skip_b = 0;
    if (pattern % 3 == 0) {
      while (skip_a < rank && a[skip_a] == 1) ++skip_a;
    } else if (pattern % 3 == 1) {
      while (skip_b < rank && b[skip_b] == 1) ++skip_b;
    }
    const Shape shape_a(a + skip_a, rank - skip_a), shape_b(b + skip_b, rank - skip_b);
    body(shape_a, shape_b, broadcast("test", shape_a, shape_b));
  }
}

struct Unary {
  std::string name;
  Tensor (*op)(Tensor);
  double (*plain)(double);
  double ulps, floor;  // the error allowed, in ulp at the result or at the floor
};
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
const Unary unaries[] = {
    {"exp", exp, std::exp, 1, 0},
    {"log", log, std::log, 1, 0},
    {"sqrt", sqrt, std::sqrt, 1, 0},
    {"tanh", tanh, std::tanh, 2, 0},
    {"relu", relu, [](double x) { return x <= 0 ? 0 : x; }, 0, 0},
    {"gelu", [](Tensor x) { return gelu(std::move(x)); }, gelu_plain, 8, 0.125},
    {"gelu_tanh", [](Tensor x) { return gelu_tanh(std::move(x)); }, gelu_tanh_plain, 8, 0.125},
    {"negative", operator-, [](double x) { return -x; }, 0, 0},
};

struct UnaryBackward {
  std::string name;
  Tensor (*op)(const Tensor&, Tensor);
  double (*slope)(double);
};
const UnaryBackward backwards[] = {
    {"relu_backward", relu_backward, [](double x) { return double(!(x <= 0)); }},
};

// Numbers around which functions go wrong, repeated so that each meets vector loop and remainder.
Tensor special_numbers() {
  const std::vector<double> some = {0.0,
                                    -0.0,
                                    1,
                                    -1,
                                    not_a_number,
                                    inf,
                                    -inf,
                                    Limits::denorm_min(),
                                    -Limits::denorm_min(),
                                    Limits::min() / 3,
                                    Limits::min(),
                                    0.5,
                                    -0.75,
                                    30,
                                    -30,
                                    1e18,
                                    -1e18};
  Tensor x({37 * static_cast<Index>(some.size())});
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<real>(some[static_cast<std::size_t>(i) % some.size()]);
  return x;
}

constexpr Index odd_sizes[] = {1, 3, 17, 37, 65, 129, 8191, 8192, 30001};  // a thread has 8192 or more

}  // namespace

TEST_CASE("binary operations broadcast in every pattern, rank 0 to 4") {
  const Index sizes[] = {3, 2, 17, 5};
  for (int rank = 0; rank <= 4; ++rank)
    for_all_broadcasts(Shape(sizes, rank), [](const Shape& a, const Shape& b, const Shape& y) {
      check_binary(random(a, 1), random(b, 2), y);
    });
}

TEST_CASE("binary operations broadcast in every pattern, rank 6") {
  // Every pair is added only: 4096 of them.
  double worst = 0;
  for_all_broadcasts({2, 3, 2, 1, 3, 2}, [&](const Shape& a, const Shape& b, const Shape& shape) {
    const Tensor x = random(a, 1), z = random(b, 2), y = x + z;
    if (!(y.shape() == shape)) worst = inf;
    std::vector<double> want;
    for (Index i = 0; i < shape.size(); ++i)
      want.push_back(double{x.data()[source(i, shape, a)]} + z.data()[source(i, shape, b)]);
    worst = std::max(worst, error(y, want));
  });
  CHECK(worst <= epsilon);
}

TEST_CASE("large broadcasts are shared out among threads") {
  with_threads([] {
    for_all_broadcasts({3, 65, 129}, [](const Shape& a, const Shape& b, const Shape& y) {
      check_binary(random(a, 1), random(b, 2), y);
    });
    check_binary(random({30001}, 1), random({30001}, 2), {30001});
    check_binary(random({30001}, 1), random({}, 2), {30001});
    check_binary(random({1}, 1), random({3, 10001}, 2), {3, 10001});
    check_binary(random({65, 1, 37}, 1), random({1, 17, 1}, 2), {65, 17, 37});  // (B, 1, C) x (1, T, 1)
    check_binary(random({20000, 1}, 1), random({3}, 2), {20000, 3});
  });
}

TEST_CASE("operations with a number on either side") {
  const Tensor x = random({3, 17}, 3);
  CHECK(error(x + real{3}, map(x, [](double v) { return v + 3; })) <= epsilon);
  CHECK(error(x - real{3}, map(x, [](double v) { return v - 3; })) <= epsilon);
  CHECK(error(x * real{3}, map(x, [](double v) { return v * 3; })) <= epsilon);
  CHECK(error(x / real{3}, map(x, [](double v) { return v / 3; })) <= epsilon);
  CHECK(error(real{3} + x, map(x, [](double v) { return 3 + v; })) <= epsilon);
  CHECK(error(real{3} - x, map(x, [](double v) { return 3 - v; })) <= epsilon);
  CHECK(error(real{3} * x, map(x, [](double v) { return 3 * v; })) <= epsilon);
  CHECK(error(real{3} / x, map(x, [](double v) { return 3 / v; })) <= epsilon);
  CHECK((real{3} - x).shape() == x.shape());
  CHECK((Tensor::scalar(2) * real{4}).item() == 8);
}

TEST_CASE("NaN, infinities and denormals pass through arithmetic") {
  const Tensor x = special_numbers();
  check_binary(x.reshape({37, 17}), x.reshape({37, 17})[1].clone(), {37, 17});
  check_binary(x, x, x.shape());
  Tensor pairs({17, 17}), others({17, 17});  // each with each
  for (Index i = 0; i < 17 * 17; ++i) {
    pairs.data()[i] = x.data()[i / 17];
    others.data()[i] = x.data()[i % 17];
  }
  if (sizeof(real) == 8)
    check_binary(pairs, others, {17, 17});
  else  // the sum alone: the others' results can leave a float's range, where double goes on
    CHECK(error(pairs + others, map(pairs, others, [](double a, double b) { return a + b; })) <= epsilon);
  const Tensor denormal = Tensor::scalar(Limits::denorm_min());
  CHECK((denormal + Tensor::zeros({3})).values() == std::vector<real>(3, Limits::denorm_min()));
  CHECK((denormal * Tensor::full({3}, 5)).values() == std::vector<real>(3, 5 * Limits::denorm_min()));
}

TEST_CASE("unary functions agree with libm in double") {
  for (const Unary& f : unaries) {
    CAPTURE(f.name);
    for (const Index n : odd_sizes) {
      const Tensor x = Rng(4).normal({n}, 0, 4), y = f.op(x);
      CHECK(y.shape() == x.shape());
      CHECK(error(y, map(x, f.plain), f.floor) <= f.ulps * epsilon);
    }
    with_threads([&] {
      const Tensor x = Rng(5).uniform({3, 65, 129}, -8, 8);
      CHECK(error(f.op(x), map(x, f.plain), f.floor) <= f.ulps * epsilon);
    });
    CHECK(f.op(Tensor::scalar(1)).shape() == Shape{});
  }
}

TEST_CASE("unary functions of special numbers") {
  for (const Unary& f : unaries) {
    CAPTURE(f.name);
    const Tensor x = special_numbers();
    std::vector<double> want = map(x, f.plain);
    // Beyond a float's range a float overflows; e^-30 and its like may end in a denormal.
    for (double& w : want) w = static_cast<real>(w);
    CHECK(error(f.op(x), want, f.floor) <= f.ulps * epsilon);
  }
  CHECK(std::isnan(gelu(Tensor::scalar(-Limits::infinity())).item()));  // as in PyTorch
  CHECK(std::isnan(gelu_tanh(Tensor::scalar(-Limits::infinity())).item()));
  CHECK(relu(Tensor::scalar(Limits::denorm_min())).item() == Limits::denorm_min());
}

TEST_CASE("derivatives of unary functions") {
  for (const UnaryBackward& f : backwards) {
    CAPTURE(f.name);
    const auto want = [&](const Tensor& x, const Tensor& dY) {
      return map(x, dY, [&](double v, double d) { return f.slope(v) * d; });
    };
    for (const Index n : odd_sizes) {
      const Tensor x = Rng(4).normal({n}, 0, 4), dY = random({n}, 5);
      CHECK(error(f.op(x, dY), want(x, dY)) <= 64 * epsilon);
    }
    with_threads([&] {
      const Tensor x = Rng(6).normal({3, 65, 129}), dY = random(x.shape(), 7);
      const Tensor dX = f.op(x, dY);
      CHECK(dX.shape() == x.shape());
      CHECK(error(dX, want(x, dY)) <= 64 * epsilon);
    });
    const Tensor x = special_numbers(), ones = Tensor::ones(x.shape());
    CHECK(error(f.op(x, ones), want(x, ones)) <= 16 * epsilon);
    CHECK(std::isnan(f.op(Tensor::ones({3}), Tensor::full({3}, static_cast<real>(not_a_number))).data()[2]));
    CHECK(fails([&] { f.op(Tensor::ones({2, 3}), Tensor::ones({3, 2})); }, {f.name, "(2, 3)", "(3, 2)"}));
    CHECK(fails([&] { f.op(Tensor::ones({2, 3}), Tensor::ones({3})); }, {f.name, "(2, 3)", "(3)"}));
  }
  // relu's slope at 0 is 0, and a masked NaN is no NaN: as in PyTorch.
  const Tensor dX = relu_backward(Tensor({3}, {0, -1, 1}), Tensor({3}, {5, static_cast<real>(not_a_number), 7}));
  CHECK(dX.values() == std::vector<real>{0, 0, 7});
}

TEST_CASE("GELU and its derivative go through one dropout together") {
  struct Activation {
    Tensor (*value)(Tensor, real, Draw);
    Activated (*both)(Tensor, real, Draw);
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
          const auto [y, derivative] = f.both(x, p, draw);
          CHECK(error(y, masked(f.plain), 0.125) <= 8 * epsilon);
          CHECK(error(derivative, masked(f.slope)) <= 64 * epsilon);
          CHECK(error(f.value(x, p, draw), masked(f.plain), 0.125) <= 8 * epsilon);
          CHECK(x.values() == before);
        }
      const Tensor x = special_numbers();
      CHECK(error(f.both(x, 0, {}).derivative, map(x, f.slope)) <= 16 * epsilon);
    });
  Tensor moved = random({37}, 5);
  const real* const block = moved.data();
  CHECK(gelu_with_derivative(std::move(moved), real{0.5}, draw).derivative.data() == block);
  CHECK(fails([] { gelu(Tensor::ones({3}), 1); }, {"[gelu]", "[0, 1)"}));
  CHECK(fails([] { gelu_tanh_with_derivative(Tensor::ones({3}), -1); }, {"[gelu_tanh]", "[0, 1)"}));
}

TEST_CASE("operands that do not broadcast are refused") {
  const char* const names[] = {"[add]", "[sub]", "[mul]", "[div]"};
  for (int i = 0; i < 4; ++i) {
    const auto op = binaries[i].op;
    CHECK(fails([=] { op(Tensor::ones({2, 3}), Tensor::ones({2})); }, {names[i], "(2, 3)", "(2)"}));
    CHECK(fails([=] { op(Tensor::ones({4, 1, 5}), Tensor::ones({3, 4})); }, {names[i], "(4, 1, 5)", "(3, 4)"}));
  }
}

TEST_CASE("an operand that is moved in and held by nobody else is overwritten, with the same result") {
  for (const Shape& shape : {Shape{17, 37}, Shape{129, 129}}) {
    const Tensor other = random(shape, 8), row = random({shape[1]}, 9);
    for (const Binary& f : binaries) {
      for (const Tensor& b : {other, row}) {
        const Tensor kept = random(shape, 10);
        const std::vector<real> before = kept.values(), want = f.op(kept, b).values();
        CHECK(kept.values() == before);
        Tensor moved = kept.clone();
        const real* const block = moved.data();
        const Tensor y = f.op(std::move(moved), b);
        CHECK(y.data() == block);
        CHECK(y.unique());
        CHECK(y.values() == want);

        const std::vector<real> swapped = f.op(b, kept).values();
        Tensor second = kept.clone();
        const real* const second_block = second.data();
        const Tensor z = f.op(b, std::move(second));
        CHECK(z.data() == second_block);
        CHECK(z.values() == swapped);
      }
      // A moved operand that is too small stays as it is, and so does one that someone else sees.
      Tensor small = row.clone();
      CHECK(f.op(std::move(small), other).shape() == shape);
      Tensor shared = other.clone();
      const Tensor view = shared[0];
      const std::vector<real> seen = view.values();
      const Tensor y = f.op(std::move(shared), other);
      CHECK(view.values() == seen);
    }
    for (const Unary& f : unaries) {
      CAPTURE(f.name);
      const Tensor kept = Rng(11).uniform(shape, 0, 2);
      const std::vector<real> before = kept.values(), want = f.op(kept).values();
      CHECK(kept.values() == before);
      Tensor moved = kept.clone();
      const real* const block = moved.data();
      const Tensor y = f.op(std::move(moved));
      CHECK(y.data() == block);
      CHECK(y.values() == want);
    }
    for (const UnaryBackward& f : backwards) {
      CAPTURE(f.name);
      const Tensor x = random(shape, 12), kept = random(shape, 13);
      const std::vector<real> before = kept.values(), want = f.op(x, kept).values();
      CHECK(kept.values() == before);
      Tensor moved = kept.clone();
      const real* const block = moved.data();
      const Tensor dX = f.op(x, std::move(moved));
      CHECK(dX.data() == block);
      CHECK(dX.values() == want);
    }
    const Draw draw{1, 2};
    const Tensor kept = random(shape, 14);
    const std::vector<real> before = kept.values(), want = dropout(kept, real{0.3}, draw).values();
    CHECK(kept.values() == before);
    Tensor moved = kept.clone();
    const real* const block = moved.data();
    const Tensor y = dropout(std::move(moved), real{0.3}, draw);
    CHECK(y.data() == block);
    CHECK(y.values() == want);
  }
}

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

TEST_CASE("dropout refuses what is no probability below 1") {
  for (const double p : {-0.1, 1.0, 1.5, not_a_number})
    CHECK(fails([=] { dropout(Tensor::ones({3}), static_cast<real>(p), Draw{}); }, {"[dropout]", "[0, 1)"}));
}
