// Elementwise functions against plain loops in double: broadcasting, special numbers, and the reuse of operands that
// were moved in.
#include "tests/tensor/numbers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

Tensor random(const Shape& shape, std::uint64_t seed) { return Rng(seed).uniform(shape, -2, 2); }

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
    {maximum, [](double a, double b) { return std::isnan(a) || a > b ? a : b; }},
    {minimum, [](double a, double b) { return std::isnan(a) || a < b ? a : b; }},
    {operator<, [](double a, double b) { return double(a < b); }},
    {operator<=, [](double a, double b) { return double(a <= b); }},
    {operator>, [](double a, double b) { return double(a > b); }},
    {operator>=, [](double a, double b) { return double(a >= b); }},
    {[](Tensor a, Tensor b) { return eq(std::move(a), std::move(b)); },
     [](double a, double b) { return double(a == b); }},
    {ne, [](double a, double b) { return double(a != b); }},
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
const Unary unaries[] = {
    {"exp", exp, std::exp, 1, 0},
    {"log", log, std::log, 1, 0},
    {"sqrt", sqrt, std::sqrt, 1, 0},
    {"tanh", tanh, std::tanh, 2, 0},
    {"relu", relu, [](double x) { return x <= 0 ? 0 : x; }, 0, 0},
    {"sigmoid", sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, 4, 0},
    {"softplus", softplus,
     [](double x) { return std::isnan(x) ? x : std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }, 2, 0},
    {"silu", silu, [](double x) { return x / (1 + std::exp(-x)); }, 5, 0},
    {"negative", operator-, [](double x) { return -x; }, 0, 0},
    {"erf", erf, std::erf, 2, 0},
    {"rsqrt", rsqrt, [](double x) { return 1 / std::sqrt(x); }, 2, 0},
    {"abs", abs, [](double x) { return std::abs(x); }, 0, 0},
    {"sign", sign, [](double x) { return double(x > 0) - double(x < 0); }, 0, 0},
    {"clamp", [](Tensor x) { return clamp(std::move(x), real(-0.5), 3); },
     [](double x) { return x < -0.5 ? -0.5
                           : x > 3  ? 3
                                    : x; }, 0, 0},
};

struct UnaryBackward {
  std::string name;
  Tensor (*op)(const Tensor&, Tensor);
  double (*slope)(double);
};
const UnaryBackward backwards[] = {
    {"relu_backward", relu_backward, [](double x) { return double(!(x <= 0)); }},
};

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
  }
}

TEST_CASE("where takes from either operand, broadcast, and nothing of the other") {
  const Tensor mask({2, 3}, {1, 0, not_a_number, 0, 1, -1}), a = Tensor({3}, {1, not_a_number, 3}),
                                                             b = Tensor({2, 1}, {-0.0, infinity});
  const Tensor y = where(mask, a, b);
  CHECK(error(y, {1, 0, 3, inf, not_a_number, 3}) == 0);
  CHECK(std::signbit(y.data()[1]));
  with_threads([] {
    const Tensor x = random({65, 1, 129}, 1), z = random({17, 1}, 2), chosen = where(x > z, x, z);
    CHECK(chosen.shape() == Shape{65, 17, 129});
    CHECK(chosen.values() == maximum(x, z).values());
    CHECK(where(x > 0, x, Tensor::scalar(0)).values() == relu(x).values());
    CHECK(masked_fill(x, x <= 0, 0).values() == relu(x).values());
  });
  CHECK(fails([&] { where(mask, Tensor::ones({2}), b); }, {"[where]", "(2, 3)", "(2, 2)"}));
}

TEST_CASE("clamp and pow refuse what does not fit") {
  CHECK(fails([] { clamp(Tensor::ones({2}), {}); }, {"[clamp]", "one bound or two"}));
  CHECK(fails([] { clamp(Tensor::ones({2}), not_a_number); }, {"[clamp]", "NaN"}));
  CHECK(fails([] { pow(Tensor::ones({2}), Tensor::ones({3})); }, {"[pow]", "(2)", "(3)"}));
}
