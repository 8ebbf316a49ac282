// Sums and the like against plain loops in double.
#include "tensor/backend.h"
#include "tests/tensor/numbers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// Of the normal distribution, whose numbers use every bit of a double: their sums do round.
Tensor random(const Shape& shape, std::uint64_t seed) { return Rng(seed).normal(shape); }

// x (outer, n, inner) summed over n.
Doubles plain_sum(const real* x, Index outer, Index n, Index inner) {
  Doubles y(static_cast<std::size_t>(outer * inner));
  for (Index o = 0; o < outer; ++o)
    for (Index i = 0; i < n; ++i)
      for (Index c = 0; c < inner; ++c) y[static_cast<std::size_t>(o * inner + c)] += x[(o * n + i) * inner + c];
  return y;
}

// x summed to `shape`: each element goes where broadcasting would take it from.
Doubles plain_sum_to(const Tensor& x, const Shape& shape) {
  Doubles y(static_cast<std::size_t>(shape.size()));
  for (Index i = 0; i < x.size(); ++i) {
    Index rest = i, at = 0, step = 1;
    for (int back = 1; back <= shape.rank(); ++back) {
      if (shape[-back] != 1) at += rest % x.shape()[-back] * step;
      rest /= x.shape()[-back];
      step *= shape[-back];
    }
    y[static_cast<std::size_t>(at)] += x.data()[i];
  }
  return y;
}

}  // namespace

TEST_CASE("sums agree with a plain loop, and are bit for bit the same for any number of threads") {
  const Index sizes[][3] = {{1, 1, 1},      {1, 17, 1},   {3, 37, 1},    {129, 3, 1},   {65, 1, 1},
                            {1, 1, 65},     {1, 37, 3},   {3, 17, 65},   {2, 65, 129},  {17, 129, 2},
                            {1, 511, 1},    {1, 513, 1},  {1, 50001, 1}, {3, 20001, 1}, {20001, 3, 1},
                            {1, 1000, 129}, {5, 700, 65}, {1, 30001, 2}, {257, 17, 64}, {1, 64, 63}};
  for (const auto& s : sizes) {
    const Index outer = s[0], n = s[1], inner = s[2];
    CAPTURE(outer);
    CAPTURE(n);
    CAPTURE(inner);
    const Tensor x = random({outer, n, inner}, 1);
    const Doubles want = plain_sum(x.data(), outer, n, inner);
    std::vector<real> first;
    with_threads([&] {
      Tensor y({outer, inner});
      backend::sum(x.data(), y.data(), outer, n, inner);
      CHECK(error(y, want, std::sqrt(n)) <= 128 * epsilon);
      if (first.empty()) first = y.values();
      CHECK(y.values() == first);
    });
  }
}

TEST_CASE("a sum of many equal numbers keeps its digits") {
  const Tensor x = Tensor::full({1000003}, real{0.1});
  CHECK(sum(x).item() == doctest::Approx(1000003 * double{real{0.1}}).epsilon(1e-6));  // else it is off by 1e-2
  CHECK(mean(x).item() == doctest::Approx(0.1).epsilon(1e-6));
  CHECK(sum(x.reshape({1000003, 1}).reshape({1, 1000003, 1}), 1).item() == sum(x).item());
  const Tensor wide = Tensor::full({300001, 3}, real{0.1});
  for (const real value : sum(wide, 0).values())
    CHECK(value == doctest::Approx(300001 * double{real{0.1}}).epsilon(1e-6));
}

TEST_CASE("sums of many numbers far from zero are right to 3e-7, along rows, columns and planes") {
  for (const double offset : {100.0, 1000.1, -12345.678})
    for (const real spread : {real{0}, real{1}})
      for (const Shape& shape : {Shape{3, 50000, 1}, Shape{1, 50000, 65}, Shape{50, 1000, 7}, Shape{1, 127, 1}}) {
        CAPTURE(offset);
        CAPTURE(shape);
        const Tensor x = Rng(8).normal(shape, static_cast<real>(offset), spread);
        Doubles want = plain_sum(x.data(), shape[0], shape[1], shape[2]);
        const double scale = std::abs(want[0]);
        CHECK(error(sum(x, 1), want, scale) <= 3e-7 * in_a_row);
        for (double& w : want) w /= static_cast<double>(shape[1]);
        CHECK(error(mean(x, 1), want) <= 4e-7 * in_a_row);
        const Tensor bias = sum_to(x, {shape[2]});  // a bias's gradient
        CHECK(error(bias, plain_sum_to(x, {shape[2]}), scale) <= 6e-7 * in_a_row);
      }
}

TEST_CASE("NaN and infinity stay where they belong in a sum, denormals add up") {
  for (const Shape& shape : {Shape{3, 129, 1}, Shape{3, 129, 17}, Shape{3, 2000, 1}}) {
    Tensor x = Tensor::ones(shape);
    const Index inner = shape[2], at = (shape[1] + 100) * inner;  // in the second of three
    x.data()[at] = not_a_number;
    Tensor y = sum(x, 1);
    CHECK(nans(y) == 1);
    CHECK(std::isnan(y.data()[inner]));
    x.data()[at] = infinity;
    y = sum(x, 1);
    CHECK(nans(y) == 0);
    CHECK(y.data()[inner] == infinity);
    x.data()[at + inner] = -infinity;
    CHECK(std::isnan(sum(x, 1).data()[inner]));
    CHECK(std::isnan(sum(x).item()));
    CHECK(std::isnan(mean(x).item()));
    CHECK(sum(Tensor::full(shape, Limits::denorm_min()), 1).data()[0] ==
          static_cast<real>(shape[1]) * Limits::denorm_min());
  }
}

TEST_CASE("sum and mean along each axis and over all") {
  const Tensor x = random({3, 17, 5, 2}, 2);
  for (int axis = 0; axis < 4; ++axis) {
    CAPTURE(axis);
    const Index n = x.shape()[axis];
    Doubles want = plain_sum(x.data(), x.shape().product(0, axis), n, x.shape().product(axis + 1, 4));
    CHECK(sum(x, axis).shape() == x.shape().without(axis));
    CHECK(error(sum(x, axis), want) <= 32 * epsilon);
    CHECK(sum(x, axis - 4).values() == sum(x, axis).values());
    for (double& w : want) w /= static_cast<double>(n);
    CHECK(error(mean(x, axis), want) <= 32 * epsilon);
    CHECK(mean(x, axis - 4).values() == mean(x, axis).values());
  }
  const Doubles total = plain_sum(x.data(), 1, x.size(), 1);
  CHECK(sum(x).shape() == Shape{});
  CHECK(error(sum(x), total) <= 32 * epsilon);
  CHECK(error(mean(x), {total[0] / 510}) <= 32 * epsilon);
  CHECK(sum(Tensor::scalar(3)).item() == 3);
  CHECK(sum(Tensor({3}, {1, 2, 3}), 0).item() == 6);
  CHECK(mean(Tensor({2}, {1, 2}), -1).item() == real{1.5});
  for (const int axis : {4, -5}) {
    CHECK(fails([&] { sum(x, axis); }, {"[sum]", "no axis " + std::to_string(axis), "(3, 17, 5, 2)"}));
    CHECK(fails([&] { mean(x, axis); }, {"[mean]", "no axis " + std::to_string(axis), "(3, 17, 5, 2)"}));
  }
}

TEST_CASE("sum_to undoes every broadcast") {
  double worst = 0;
  for (const Shape& shape :
       {Shape{}, Shape{3}, Shape{3, 2}, Shape{3, 1, 2}, Shape{2, 3, 17, 5}, Shape{2, 3, 2, 1, 3, 2}}) {
    const Tensor x = random(shape, 3);
    const int rank = shape.rank();
    for (int pattern = 0; pattern < 1 << rank; ++pattern) {
      Index sizes[Shape::max_rank];
      for (int axis = 0; axis < rank; ++axis) sizes[axis] = pattern >> axis & 1 ? 1 : shape[axis];
      for (int skip = 0; skip == 0 || (skip <= rank && sizes[skip - 1] == 1); ++skip) {
        const Shape target(sizes + skip, rank - skip);
        CAPTURE(shape);
        CAPTURE(target);
        const Tensor y = sum_to(x, target);
        REQUIRE(y.shape() == target);
        worst = std::max(worst, error(y, plain_sum_to(x, target)));
      }
    }
  }
  CHECK(worst <= 64 * epsilon);
  with_threads([] {
    const Tensor x = random({65, 17, 129}, 4);
    for (const Shape& target :
         {Shape{129}, Shape{17, 1}, Shape{65, 1, 1}, Shape{1, 17, 129}, Shape{65, 1, 129}, Shape{}})
      CHECK(error(sum_to(x, target), plain_sum_to(x, target), 100) <= 64 * epsilon);
  });
  const Tensor x = Tensor::ones({2, 3});
  CHECK(fails([&] { sum_to(x, {2}); }, {"[sum_to]", "(2, 3)", "(2)"}));
  CHECK(fails([&] { sum_to(x, {4, 3}); }, {"[sum_to]", "(2, 3)", "(4, 3)"}));
  CHECK(fails([&] { sum_to(x, {1, 2, 3}); }, {"[sum_to]", "(2, 3)", "(1, 2, 3)"}));
  CHECK(fails([&] { sum_to(Tensor::ones({2, 1}), {2, 3}); }, {"[sum_to]", "(2, 1)", "(2, 3)"}));
}

TEST_CASE("the norm is computed in double: it neither overflows nor vanishes") {
  for (const Index n : {1, 3, 17, 129, 513, 30001}) {
    const Tensor x = random({n}, 5);
    double squares = 0;
    for (const real value : x.values()) squares += double{value} * value;
    CHECK(norm(x) == doctest::Approx(std::sqrt(squares)).epsilon(1e-6));
  }
  CHECK(norm(Tensor::full({4}, real{1e25})) == doctest::Approx(2e25));
  CHECK(norm(Tensor::full({4}, real{1e-30})) == doctest::Approx(2e-30).scale(0));
  CHECK(norm(Tensor::zeros({3})) == 0);
  CHECK(norms({}).empty());
  CHECK(norms({Tensor::zeros({0}), Tensor({2}, {3, 4}), Tensor::zeros({2, 0}), Tensor({1}, {-2}),
               Tensor::zeros({0})}) == std::vector<double>{0, 5, 0, 2, 0});
  CHECK(std::isnan(norm(Tensor({3}, {1, not_a_number, 1}))));
  CHECK(norm(Tensor({3}, {1, -infinity, 1})) == inf);
}

TEST_CASE("argmax finds the first of the largest") {
  CHECK(argmax(Tensor({4, 3}, {1, 2, 3, 5, 5, 4, -3, -1, -2, 0, 0, 0}), 1) == Labels{2, 0, 1, 0});
  CHECK(argmax(Tensor({3, 2}, {-infinity, -infinity, -infinity, -5, 5, infinity}), 1) == Labels{0, 1, 1});
  // NaN is the largest, as in PyTorch: what is none is not passed over.
  CHECK(argmax(Tensor({3, 3}, {1, not_a_number, 2, infinity, not_a_number, not_a_number, not_a_number, 1, 2}), 1) ==
        Labels{1, 1, 0});
  CHECK(argmax(Tensor({1, 1}, {7}), 1) == Labels{0});
  CHECK(argmax(Tensor::full({1, 129}, -infinity), 1) == Labels{0});
  const Tensor x = random({37, 129}, 6);
  const Labels got = argmax(x, 1);
  for (Index row = 0; row < 37; ++row) {
    Index best = 0;
    for (Index c = 1; c < 129; ++c)
      if (x.data()[row * 129 + c] > x.data()[row * 129 + best]) best = c;
    CHECK(got[static_cast<std::size_t>(row)] == best);
  }
  CHECK(fails([] { argmax(Tensor::ones({3}), 1); }, {"[argmax]", "no axis 1", "(3)"}));
  CHECK(fails([] { argmax(Tensor::ones({2, 0}), 1); }, {"[argmax]", "of 0 numbers", "axis 1", "(2, 0)"}));
  CHECK(fails([] { amax(Tensor::ones({0})); }, {"of 0 numbers"}));
}

TEST_CASE("argmax and argmin along any axis, and among all") {
  const Tensor x({2, 3, 2}, {1, 9, 5, 2, 5, 2, 0, 7, 0, 7, -1, 9});
  CHECK(argmax(x, 1) == Labels{1, 0, 0, 2});
  CHECK(argmax(x, -3) == Labels{0, 0, 0, 1, 0, 1});
  CHECK(argmin(x, 1) == Labels{0, 1, 2, 0});
  CHECK(argmax(x) == 1);
  CHECK(argmin(x) == 10);
  CHECK(argmax(Tensor::scalar(3)) == 0);
  CHECK(argmax(Tensor::ones({0, 3}), 1).empty());
  CHECK(argmin(Tensor({3}, {1, not_a_number, 0})) == 1);
}

TEST_CASE("the variance is right however large the mean is, and NaN where it is none") {
  const Index n = 10007;
  for (const double mean : {0., 1e3, 1e6}) {
    const Tensor x = Rng(8).normal({n}, static_cast<real>(mean));
    double m = 0, want = 0;
    for (const real v : x.values()) m += v / static_cast<double>(n);
    for (const real v : x.values()) want += (v - m) * (v - m) / static_cast<double>(n - 1);
    CHECK(error(var(x), {want}, 0) <= 1e-6);
    CHECK(error(var(x.reshape({1, n, 1}), {0, 1}, 0), {want * (n - 1) / n}, 0) <= 1e-6);
  }
  CHECK(std::isnan(var(Tensor::ones({1})).item()));
  CHECK(nans(var(Tensor::ones({0, 3}), 0)) == 3);
  CHECK(std::isnan(mean(Tensor::ones({0})).item()));
  CHECK(var(Tensor({2}, {1, 2}), 0, 5).item() == infinity);  // as PyTorch's
  CHECK(fails([] { var(Tensor::ones({2}), 1); }, {"[var]", "no axis 1"}));
}

TEST_CASE("range: smallest and largest finite number, and how many are none") {
  with_threads([] {
    for (const Index n : {1, 2, 15, 16, 17, 100, 16384, 16385, 100000}) {
      CAPTURE(n);
      Tensor x = random({n}, 7);
      const auto [low, high] = std::minmax_element(x.data(), x.data() + n);
      const real min = *low, max = *high;
      const Range all = range(x);
      CHECK(all.finite());
      CHECK(all.min == min);
      CHECK(all.max == max);
      if (n < 15) continue;
      *std::min_element(x.data(), x.data() + n) = not_a_number;
      *std::max_element(x.data(), x.data() + n) = -infinity;
      x.data()[n / 2] = infinity;
      real want_min = infinity, want_max = -infinity;
      for (const real value : x.values())
        if (std::isfinite(value)) want_min = std::min(want_min, value), want_max = std::max(want_max, value);
      const Range rest = range(x);
      CHECK(!rest.finite());
      CHECK(rest.nan + rest.inf == n - std::count_if(x.data(), x.data() + n, [](real v) { return std::isfinite(v); }));
      CHECK(rest.nan == nans(x));
      CHECK(rest.min == want_min);
      CHECK(rest.max == want_max);
    }
  });
  const Range none = range(Tensor({3}, {not_a_number, infinity, -infinity}));
  CHECK(none.nan == 1);
  CHECK(none.inf == 2);
  CHECK(none.min == infinity);
  CHECK(none.max == -infinity);
  CHECK(range(Tensor({2}, {Limits::max(), Limits::lowest()})).finite());
  CHECK(range(Tensor::scalar(Limits::denorm_min())).max == Limits::denorm_min());
}
