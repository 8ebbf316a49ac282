// Each CUDA kernel beside the processor's of the same name.
#include <array>
#include <functional>
#include <numeric>
#include <utility>

#include "tensor/cuda/conv2d.h"
#include "tensor/cuda/divisor.h"
#include "tensor/cuda/kernels.h"
#include "tensor/functions.h"
#include "tensor/rng.h"
#include "tests/cuda/on_device.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

constexpr real infinity = std::numeric_limits<real>::infinity();

Numbers random(Index n, std::uint64_t seed, real low = -2, real high = 2) {
  const Draw draw = Rng(seed).draw();
  Numbers numbers;
  for (Index i = 0; i < n; ++i)
    numbers.push_back(static_cast<real>(low + (high - low) * (draw.block(static_cast<std::uint64_t>(i))[0] * 0x1p-32)));
  return numbers;
}

std::vector<int> random_ints(Index n, std::uint64_t seed, int low, int high) {
  std::vector<int> numbers;
  for (const real x : random(n, seed, 0, 1))
    numbers.push_back(std::min(low + static_cast<int>(x * static_cast<real>(high - low + 1)), high));
  return numbers;
}

std::size_t count(Index n) { return static_cast<std::size_t>(n); }

std::vector<bfloat16> rounded(const Numbers& x) {
  std::vector<bfloat16> y(x.size());
  cpu::round_to_bfloat16(x.data(), y.data(), static_cast<Index>(x.size()));
  return y;
}
Numbers widened(const Numbers& x) { return x; }
Numbers widened(const std::vector<bfloat16>& x) {
  Numbers y;
  for (const bfloat16 v : x) y.push_back(to_float(v));
  return y;
}
std::vector<int> bits(const std::vector<bfloat16>& x) {
  std::vector<int> y;
  for (const bfloat16 v : x) y.push_back(v.bits);
  return y;
}

// Calls body with each formula of a list.
template <class... F, class Body>
void for_each(formula::List<F...>, const Body& body) {
  (body(F{}), ...);
}

// A shape of rows and columns, small enough that all of them take seconds.
constexpr std::array<Index, 2> some_shapes[] = {{1, 1},  {1, 1003}, {3, 31},  {33, 1},  {31, 32},
                                                {7, 33}, {65, 37},  {37, 65}, {131, 3}, {2, 2500}};

// How far an operand and a result begin behind an aligned address.
constexpr std::pair<Index, Index> offsets[] = {{0, 0}, {1, 0}, {0, 1}, {3, 2}};

}  // namespace

TEST_CASE("cuda: functions of one number") {
  for_each(formula::Unary{}, [](const auto& f) {
    for (const Index n : some_sizes_in_fours)
      for (const auto& pair : offsets) {
        const Index offset = pair.first, offset_y = pair.second;
        CAPTURE(std::string(f.name));
        CAPTURE(n);
        CAPTURE(offset);
        CAPTURE(offset_y);
        Numbers x = random(n, 1, -9, 9), y(count(n));
        x[count(n / 2)] = not_a_number;
        if (n > 4) x[0] = infinity, x[1] = -infinity, x[2] = -90, x[3] = 0;
        OnDevice X(x, offset), Y(n, offset_y);
        cpu::unary(f, x.data(), y.data(), n);
        cuda::unary(f, X, Y, n);
        check_each(Y.values(), y, 5 * epsilon);
        cuda::unary(f, X, X, n);  // in place
        check_each(X.values(), y, 5 * epsilon);
      }
  });
}

TEST_CASE("cuda: binary functions, broadcast") {
  const std::vector<Broadcast> walks{
      {1, {1}, {1}, {1}},
      {1, {37}, {1}, {1}},
      {1, {1003}, {1}, {0}},
      {1, {65}, {0}, {1}},
      {2, {31, 33}, {33, 1}, {0, 1}},
      {2, {33, 31}, {1, 0}, {31, 1}},
      {3, {5, 7, 3}, {21, 3, 1}, {3, 0, 1}},
      {4, {3, 2, 5, 4}, {0, 4, 0, 1}, {20, 0, 4, 1}},
      {6, {2, 3, 2, 2, 3, 2}, {72, 0, 12, 0, 2, 1}, {0, 24, 0, 6, 0, 1}},
      {2, {1003, 3}, {3, 1}, {0, 1}},
      {2, {301, 7}, {0, 1}, {7, 1}},
      // Four at once: of the same shape, beside a number or a row of them, a column, in several axes.
      {1, {1029}, {1}, {1}},
      {1, {1025}, {0}, {1}},
      {2, {33, 32}, {32, 1}, {0, 1}},
      {2, {3, 1028}, {0, 1}, {1028, 1}},
      {2, {37, 12}, {12, 1}, {1, 0}},
      {3, {5, 3, 8}, {24, 8, 1}, {8, 0, 1}},
      {3, {5, 4, 4}, {0, 4, 1}, {4, 1, 0}},
  };
  for_each(formula::Binary{}, [&](const auto& f) {
    const double tolerance = std::string(f.name) == "pow" ? 8 * epsilon : 0;
    for (const Broadcast& walk : walks)
      for (const auto& pair : offsets) {
        const Index offset = pair.first, offset_y = pair.second;
        CAPTURE(std::string(f.name));
        CAPTURE(offset);
        CAPTURE(offset_y);
        CAPTURE(walk.size[0]);
        Index n = 1, reach_a = 1, reach_b = 1;
        for (int axis = 0; axis < walk.rank; ++axis) {
          n *= walk.size[axis];
          reach_a += (walk.size[axis] - 1) * walk.stride_a[axis];
          reach_b += (walk.size[axis] - 1) * walk.stride_b[axis];
        }
        Numbers a = random(reach_a, 1), b = random(reach_b, 2), y(count(n));
        a[0] = not_a_number, b[count(reach_b / 2)] = 0, a[count(reach_a / 2)] = 0;
        OnDevice A(a), B(b, offset), Y(n, offset_y);
        cpu::binary(f, walk, a.data(), b.data(), y.data());
        cuda::binary(f, walk, A, B, Y);
        check_each(Y.values(), y, tolerance);
        if (reach_b == n) {  // in the place of an operand of the same size
          OnDevice in_place(b);
          cuda::binary(f, walk, A, in_place, in_place);
          check_each(in_place.values(), y, tolerance);
        }
        if (reach_a == n) {
          cuda::binary(f, walk, A, B, A);
          check_each(A.values(), y, tolerance);
        }
      }
  });
}

TEST_CASE("cuda: where, of operands that broadcast") {
  for (const Broadcast& walk :
       {Broadcast{1, {1003}, {1}, {1}}, Broadcast{1, {65}, {0}, {0}}, Broadcast{2, {31, 33}, {33, 1}, {0, 1}},
        Broadcast{3, {5, 7, 3}, {0, 1, 0}, {3, 0, 1}}, Broadcast{1, {1029}, {1}, {0}},
        Broadcast{2, {33, 32}, {0, 1}, {32, 1}}, Broadcast{2, {37, 12}, {1, 0}, {0, 1}}})
    for (const auto& pair : offsets) {
      const Index offset = pair.first, offset_y = pair.second;
      CAPTURE(walk.size[0]);
      CAPTURE(offset);
      CAPTURE(offset_y);
      Index n = 1;
      for (int axis = 0; axis < walk.rank; ++axis) n *= walk.size[axis];
      Numbers mask = random(n, 1), a = random(n, 2), b = random(n, 3), y(count(n));
      for (Index i = 0; i < n; i += 3) mask[count(i)] = 0, b[count(i)] = not_a_number;
      OnDevice M(mask, offset), A(a), B(b, offset_y), Y(n, offset_y);
      cpu::where(walk, mask.data(), a.data(), b.data(), y.data());
      cuda::where(walk, M, A, B, Y);
      check_each(Y.values(), y, 0);
    }
}

TEST_CASE("cuda: dropout keeps the same elements") {
  for (const Index n : some_sizes_in_fours)
    for (const real p : {real{0}, real(0.1), real(0.5), real(0.999)})
      for (const Draw draw : {Draw{7, 0}, Draw{0x123456789abcdef0, 0x1000000005}}) {
        CAPTURE(n);
        CAPTURE(p);
        const Numbers x = random(n, 1, 1, 2);
        Numbers y(count(n));
        cpu::dropout<real, real>(formula::Identity{}, x.data(), y.data(), nullptr, n, p, draw);
        for (const auto& pair : offsets) {
          const Index offset = pair.first, offset_y = pair.second;
          OnDevice X(x, offset), Y(n, offset_y);
          cuda::dropout<real, real>(formula::Identity{}, X, Y, nullptr, n, p, draw);
          CHECK(Y.values() == y);
          cuda::dropout<real, real>(formula::Identity{}, X, X, nullptr, n, p, draw);
          CHECK(X.values() == y);
        }
      }
}

TEST_CASE("cuda: GELU with dropout, and its derivative") {
  for_each(formula::Dropped{}, [](const auto& f) {
    // Down to where their digits are right; those of the derivatives are down to 1/8 (tensor/math.h).
    const double floor = std::string(f.name) == "gelu_tanh" ? 0.125 : std::numeric_limits<real>::min();
    for (const Index n : some_sizes_in_fours)
      for (const auto& pair : {std::pair<real, Index>{0, 0}, {0, 1}, {real(0.3), 0}, {real(0.3), 1}}) {
        const real p = pair.first;
        const Index offset = pair.second;
        CAPTURE(std::string(f.name));
        CAPTURE(n);
        CAPTURE(p);
        CAPTURE(offset);
        const Draw draw{3, 4};
        Numbers x = random(n, 1, -6, 6), y(count(n)), derivative(count(n));
        if (n > 2) x[1] = infinity, x[2] = not_a_number;
        OnDevice X(x, offset), Y(n, offset), D(n, offset);
        cpu::dropout<real, real>(f, x.data(), y.data(), derivative.data(), n, p, draw);
        cuda::dropout<real, real>(f, X, Y, D, n, p, draw);
        check_each(Y.values(), y, 16 * epsilon, floor);
        check_each(D.values(), derivative, 16 * epsilon, 0.125);
        OnDevice alone(n);
        cuda::dropout<real, real>(f, X, alone, nullptr, n, p, draw);
        check_each(alone.values(), y, 16 * epsilon, floor);
        cuda::dropout<real, real>(f, X, Y, X, n, p, draw);  // the derivative in the place of x
        check_each(X.values(), derivative, 16 * epsilon, 0.125);
        OnDevice in_place(x);
        cuda::dropout<real, real>(f, in_place, in_place, D, n, p, draw);
        check_each(in_place.values(), y, 16 * epsilon, floor);
        check_each(D.values(), derivative, 16 * epsilon, 0.125);
        // The derivative that this GPU kernel has just left in D, rounded.
        OnDevice again(x, offset);
        RoundedOnDevice R(n, offset);
        cuda::dropout<real, bfloat16>(f, again, again, R, n, p, draw);
        check_each(again.values(), y, 16 * epsilon, floor);
        check_each(widened(R.values()), widened(rounded(D.values())), 0);  // a NaN may have either sign
        RoundedOnDevice both(n, offset), R2(n, offset);
        OnDevice unchanged(x, offset);
        cuda::dropout<bfloat16, bfloat16>(f, unchanged, both, R2, n, p, draw);
        check_each(widened(both.values()), widened(rounded(again.values())), 0);
        check_each(widened(R2.values()), widened(R.values()), 0);
        // And its product with something else, either of them rounded or not.
        const auto multiply = [&]<class Other>(ArrayOnDevice<Other> other, const Numbers& numbers) {
          Numbers products = widened(R.values());
          for (Index i = 0; i < n; ++i) products[count(i)] *= numbers[count(i)];
          OnDevice Z(n, offset);
          RoundedOnDevice RZ(n, offset);
          cuda::multiply_rounded<Other, real>(other, R, Z, n);
          cuda::multiply_rounded<Other, bfloat16>(other, R, RZ, n);
          check_each(Z.values(), products, 0);
          check_each(widened(RZ.values()), widened(rounded(products)), 0);
        };
        multiply(OnDevice(y), y);
        multiply(RoundedOnDevice(rounded(y), offset), widened(rounded(y)));
      }
  });
}

TEST_CASE("cuda: sums") {
  const std::array<Index, 3> shapes[] = {{1, 1, 1},     {1, 1003, 1},  {37, 65, 1},   {1, 40000, 1}, {2, 1025, 1},
                                         {1, 31, 33},   {3, 33, 31},   {2, 7, 65},    {1, 600, 2},   {1, 257, 33},
                                         {3, 600, 33},  {131, 2, 2},   {5, 1, 37},    {9, 1, 1},     {1, 5, 4},
                                         {1, 128, 128}, {2, 129, 132}, {1, 300, 512}, {1, 16500, 4}};
  for (const auto& shape : shapes) {
    const Index outer = shape[0], n = shape[1], inner = shape[2];
    CAPTURE(outer);
    CAPTURE(n);
    CAPTURE(inner);
    Numbers x = random(outer * n * inner, 1), y(count(outer * inner));
    for (const auto& pair : offsets) {
      const Index offset = pair.first, offset_y = pair.second;
      OnDevice X(x, offset), Y(outer * inner, offset_y);
      cpu::sum(x.data(), y.data(), outer, n, inner);
      cuda::sum<real>(X, Y, outer, n, inner);
      check_same(Y.values(), y, 8 * epsilon, std::sqrt(static_cast<double>(n)));
      const Numbers first = Y.values();
      cuda::sum<real>(X, Y, outer, n, inner);
      CHECK(Y.values() == first);
      // Of rounded numbers the sum is that of the same ones as `real`.
      OnDevice W(widened(rounded(x)), offset), Z(outer * inner, offset_y);
      RoundedOnDevice R(rounded(x), offset);
      cuda::sum<real>(W, Y, outer, n, inner);
      cuda::sum<bfloat16>(R, Z, outer, n, inner);
      check_same(Z.values(), Y.values(), 8 * epsilon, std::sqrt(static_cast<double>(n)));
    }
  }
  // Very many equal numbers: a sum of floats one by one would be off by a percent.
  const Index many = 1 << 17;
  OnDevice X(Numbers(count(many), real(0.1))), Y(1);
  cuda::sum<real>(X, Y, 1, many, 1);
  CHECK(Y.values()[0] == doctest::Approx(0.1 * static_cast<double>(many)).epsilon(8 * epsilon));
}

TEST_CASE("cuda: norm") {
  const std::vector<Index> sizes{1, 31, 32, 33, 1003, 1025, 5000, 1025 * 1024};
  for (const real largest : {real(1), real(1e25)}) {  // whose square is more than a float can hold
    std::vector<Numbers> x;
    std::vector<std::unique_ptr<OnDevice>> X;
    std::vector<const real*> at, on_device;
    for (const Index n : sizes) {
      x.push_back(random(n, static_cast<std::uint64_t>(n), -largest, largest));
      X.push_back(std::make_unique<OnDevice>(x.back(), 1));
      at.push_back(x.back().data()), on_device.push_back(static_cast<real*>(*X.back()));
    }
    std::vector<double> want(sizes.size()), got(sizes.size());
    cpu::norms(at, sizes, want.data());
    cuda::norms(on_device, sizes, got.data());
    for (std::size_t i = 0; i < want.size(); ++i) CHECK(got[i] == doctest::Approx(want[i]).epsilon(1e-12));
  }
}

TEST_CASE("cuda: argmax finds the first of the largest, of NaN if there is one") {
  for (const auto& shape : some_shapes)
    for (int kind = 0; kind < 4; ++kind) {
      const Index rows = shape[0], cols = shape[1];
      CAPTURE(rows);
      CAPTURE(cols);
      CAPTURE(kind);
      Numbers x = random(rows * cols, 1);
      if (kind == 1)
        for (real& v : x) v = std::round(v);  // many are equal
      if (kind == 2)
        for (std::size_t i = 0; i < x.size(); i += 3) x[i] = not_a_number;
      if (kind == 3)
        for (real& v : x) v = -infinity;
      std::vector<int> want(count(rows)), got(count(rows));
      OnDevice X(x);
      cpu::argmax(x.data(), want.data(), rows, cols);
      cuda::argmax(X, got.data(), rows, cols);
      CHECK(got == want);
    }
}

TEST_CASE("cuda: range") {
  for (const Index n : {Index{1}, Index{33}, Index{1003}, Index{2100}})
    for (int kind = 0; kind < 3; ++kind) {
      Numbers x = random(n, 1);
      if (kind == 1) x[0] = not_a_number, x[count(n - 1)] = infinity;
      if (kind == 2)
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = i % 2 == 0 ? not_a_number : -infinity;
      OnDevice X(x, 1);
      const Range want = cpu::range(x.data(), n), got = cuda::range(X, n);
      CHECK(got.min == want.min);
      CHECK(got.max == want.max);
      CHECK(got.nan == want.nan);
      CHECK(got.inf == want.inf);
    }
}

TEST_CASE("cuda: softmax and its backward pass, with lengths") {
  for (const auto& shape : some_shapes)
    for (const bool with_lens : {false, true}) {
      const Index rows = shape[0], cols = shape[1];
      CAPTURE(rows);
      CAPTURE(cols);
      CAPTURE(with_lens);
      Numbers x = random(rows * cols, 1, -30, 30), y(x.size()), dX(x.size());
      if (rows > 3) x[count(cols)] = not_a_number, x[count(2 * cols)] = infinity, x[count(3 * cols)] = -infinity;
      for (Index i = (rows - 1) * cols; i < rows * cols; ++i) x[count(i)] -= 1000;  // exp of any of these is 0
      const Numbers dY = random(rows * cols, 2);
      std::vector<int> lens = random_ints(rows, 3, -1, static_cast<int>(cols) + 1);
      lens[0] = with_lens ? 0 : lens[0];
      const int* const l = with_lens ? lens.data() : nullptr;
      OnDevice X(x, 1), Y(rows * cols, 1), DY(dY), DX(rows * cols);
      cpu::softmax(x.data(), l, y.data(), rows, cols);
      cuda::softmax(X, l, Y, rows, cols);
      check_each(Y.values(), y, 32 * epsilon);
      cpu::softmax_backward(y.data(), l, dY.data(), dX.data(), rows, cols);
      cuda::softmax_backward(Y, l, DY, DX, rows, cols);
      check_same(DX.values(), dX, 32 * epsilon);
      cuda::softmax_backward(Y, l, DY, DY, rows, cols);  // in place
      check_same(DY.values(), dX, 32 * epsilon);
      cuda::softmax(X, l, X, rows, cols);
      check_each(X.values(), y, 32 * epsilon);
    }
}

namespace {

void check_layer_norm_backward(Index rows, Index cols, Index offset) {
  CAPTURE(rows);
  CAPTURE(cols);
  const Numbers x = random(rows * cols, 1, 0, 6), gamma = random(cols, 2), beta = random(cols, 3);
  const Numbers dY = random(rows * cols, 4);
  Numbers y(x.size()), mean(count(rows)), rstd(count(rows)), dX(x.size()), dgamma(count(cols)), dbeta(count(cols));
  cpu::layer_norm(x.data(), gamma.data(), beta.data(), real(1e-5), y.data(), mean.data(), rstd.data(), rows, cols);
  OnDevice X(x, offset), G(gamma, offset), DY(dY), DX(rows * cols), DG(cols), DB(cols), M(mean), R(rstd);
  cpu::layer_norm_backward(x.data(), gamma.data(), mean.data(), rstd.data(), dY.data(), dX.data(), dgamma.data(),
                           dbeta.data(), rows, cols);
  cuda::layer_norm_backward(X, G, M, R, DY, DX, DG, DB, rows, cols);
  // A column alone is its own mean and has no gradient: rstd times a difference of equal products, but for rounding.
  check_same(DX.values(), dX, 64 * epsilon, 4 * *std::max_element(rstd.begin(), rstd.end()));
  check_same(DG.values(), dgamma, 64 * epsilon);
  check_same(DB.values(), dbeta, 64 * epsilon);
}

}  // namespace

TEST_CASE("cuda: layer norm and its backward pass") {
  std::vector<std::array<Index, 2>> shapes(std::begin(some_shapes), std::end(some_shapes));
  // Four columns at once, and rows that fit into registers just so or not at all.
  for (const auto& shape : {std::array<Index, 2>{9, 8}, {200, 132}, {65, 512}, {3, 513}, {9, 1024}, {5, 1028}})
    shapes.push_back(shape);
  for (const auto& shape : shapes)
    for (const Index offset : {0, 1}) {
      const Index rows = shape[0], cols = shape[1];
      CAPTURE(rows);
      CAPTURE(cols);
      const Numbers x = random(rows * cols, 1, 0, 6), gamma = random(cols, 2), beta = random(cols, 3);
      Numbers y(x.size()), mean(count(rows)), rstd(count(rows));
      const real eps = real(1e-5);
      OnDevice X(x, offset), G(gamma, offset), B(beta), Y(rows * cols), M(rows), R(rows);
      cpu::layer_norm(x.data(), gamma.data(), beta.data(), eps, y.data(), mean.data(), rstd.data(), rows, cols);
      cuda::layer_norm<real>(X, G, B, eps, Y, M, R, rows, cols);
      check_each(M.values(), mean, 16 * epsilon);
      check_each(R.values(), rstd, 16 * epsilon);
      check_same(Y.values(), y, 64 * epsilon);
      RoundedOnDevice rounded_Y(rows * cols, 1);
      cuda::layer_norm<bfloat16>(X, G, B, eps, rounded_Y, M, R, rows, cols);
      CHECK(bits(rounded_Y.values()) == bits(rounded(Y.values())));
      check_layer_norm_backward(rows, cols, offset);
    }
}

TEST_CASE("cuda: layer norm's backward pass, of so many rows that gamma's gradient takes larger pieces of them") {
  check_layer_norm_backward(8300, 4, 0);
}

TEST_CASE("cuda: layer norm of a constant row is 0, whatever its number and its width") {
  for (const double number : {1000.1, 12345.678, 3e36, 1e-45})
    for (const Index cols : {3, 768, 4099}) {
      CAPTURE(number);
      CAPTURE(cols);
      OnDevice X(Numbers(count(cols), static_cast<real>(number))), G(Numbers(count(cols), 1)), DY(random(cols, 1));
      OnDevice B(Numbers(count(cols), 0)), Y(cols), M(1), R(1), DX(cols), DG(cols), DB(cols);
      cuda::layer_norm<real>(X, G, B, real(1e-5), Y, M, R, 1, cols);
      CHECK(Y.values() == Numbers(count(cols), 0));
      CHECK(M.values()[0] == static_cast<real>(number));
      cuda::layer_norm_backward(X, G, M, R, DY, DX, DG, DB, 1, cols);
      CHECK(DG.values() == Numbers(count(cols), 0));
    }
}

TEST_CASE("cuda: norms of numbers whose squares are infinite give beta, as the processor's do") {
  const Numbers x{0, std::sqrt(std::numeric_limits<real>::max()) * 8}, gamma{1, 1}, beta{real(0.5), real(0.25)};
  Numbers y(2), mean(1), rstd(1), variance(1);
  OnDevice X(x), G(gamma), B(beta), Y(2), M(1), R(1), V(1);
  cpu::layer_norm(x.data(), gamma.data(), beta.data(), real(1e-5), y.data(), mean.data(), rstd.data(), 1, 2);
  cuda::layer_norm<real>(X, G, B, real(1e-5), Y, M, R, 1, 2);
  CHECK(y == beta);
  CHECK(Y.values() == y);
  const BatchNormSizes s{2, 1, 1};
  cuda::batch_norm<real>(X, G, B, real(1e-5), Y, M, V, R, s);
  CHECK(V.values() == Numbers{infinity});
  CHECK(Y.values() == Numbers{real(0.5), real(0.5)});
}

TEST_CASE("cuda: batch norm with given statistics takes one infinite gradient to one") {
  const BatchNormSizes s{2, 1, 3};
  const Numbers x = random(6, 1), one{1}, zero{0};
  Numbers dY = random(6, 2);
  dY[4] = infinity;
  OnDevice X(x), DY(dY), G(one), B(zero), M(zero), R(one), DX(6), DG(1), DB(1);
  cuda::batch_norm_backward(X, G, B, M, R, DY, false, DX, DG, DB, s);
  CHECK(DX.values() == dY);
}

TEST_CASE("cuda: layer norm of numbers far from zero, wide, and its backward pass") {
  const Index cols = 32768;
  const Numbers x = random(cols, 1, 98, 102), dY = random(cols, 2, 98, 102), ones(count(cols), 1),
                zeros(count(cols), 0);
  double mean = 0, variance = 0, g = 0, gx = 0;
  for (const real v : x) mean += v / static_cast<double>(cols);
  for (const real v : x) variance += (v - mean) * (v - mean) / static_cast<double>(cols);
  const double rstd = 1 / std::sqrt(variance + 1e-5);
  for (std::size_t i = 0; i < x.size(); ++i) g += dY[i] / static_cast<double>(cols);
  for (std::size_t i = 0; i < x.size(); ++i) gx += dY[i] * (x[i] - mean) * rstd / static_cast<double>(cols);
  OnDevice X(x), G(ones), B(zeros), Y(cols), M(1), R(1), DY(dY), DX(cols), DG(cols), DB(cols);
  cuda::layer_norm<real>(X, G, B, real(1e-5), Y, M, R, 1, cols);
  cuda::layer_norm_backward(X, G, M, R, DY, DX, DG, DB, 1, cols);
  const Numbers y = Y.values(), dX = DX.values(), dgamma = DG.values();
  double y_off = 0, dX_off = 0, dgamma_off = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double x_hat = (x[i] - mean) * rstd;
    y_off = std::max(y_off, std::abs(y[i] - x_hat));
    dX_off = std::max(dX_off, std::abs(dX[i] - rstd * (dY[i] - g - x_hat * gx)));
    dgamma_off = std::max(dgamma_off, std::abs(dgamma[i] - dY[i] * x_hat));
  }
  CHECK(y_off <= 1e-5);  // half the last digit of the mean, and of the result
  CHECK(dX_off <= 1e-3);
  CHECK(dgamma_off <= 1e-3);
}

TEST_CASE("cuda: layer norm of numbers far from zero") {
  // The mean of the squares less the square of the mean would have no digit left.
  const Index rows = 5, cols = 65;
  const Numbers x = random(rows * cols, 1, 9999, 10001), gamma(count(cols), 1), beta(count(cols), 0);
  Numbers y(x.size()), mean(count(rows)), rstd(count(rows));
  OnDevice X(x), G(gamma), B(beta), Y(rows * cols), M(rows), R(rows);
  cpu::layer_norm(x.data(), gamma.data(), beta.data(), real(1e-5), y.data(), mean.data(), rstd.data(), rows, cols);
  cuda::layer_norm<real>(X, G, B, real(1e-5), Y, M, R, rows, cols);
  check_each(R.values(), rstd, 16 * epsilon);
  check_same(Y.values(), y, 1e-3);  // the mean of such floats has three digits behind the point
}

TEST_CASE("cuda: the logarithm of a softmax, and of a sum of exponentials") {
  for (const auto& shape : some_shapes) {
    const Index rows = shape[0], cols = shape[1];
    CAPTURE(rows);
    CAPTURE(cols);
    Numbers x = random(rows * cols, 1, -100, 100), y(x.size()), sums(count(rows));
    if (rows > 4) {
      x[count(cols)] = not_a_number, x[count(2 * cols)] = infinity;
      std::fill_n(x.begin() + 3 * cols, cols, -infinity);
      x[count(4 * cols)] = -infinity;
    }
    OnDevice X(x, 1), Y(rows * cols, 1), S(rows);
    cpu::log_softmax(x.data(), y.data(), rows, cols);
    cuda::log_softmax(X, Y, rows, cols);
    check_same(Y.values(), y, 2 * epsilon);
    cpu::logsumexp(x.data(), sums.data(), rows, cols);
    cuda::logsumexp(X, S, rows, cols);
    check_same(S.values(), sums, 2 * epsilon);
  }
  OnDevice X(Numbers{20, 0, 0, 0}), Y(4);  // a share near 1 keeps the digits of its logarithm
  cuda::log_softmax(X, Y, 1, 4);
  check_each(Numbers{Y.values()[0]}, {static_cast<real>(-std::log1p(3 * std::exp(-20.0)))}, 1e-5);
}

TEST_CASE("cuda: cross entropy and its backward pass") {
  for (const auto& shape : some_shapes)
    for (const bool soft : {false, true}) {
      const Index rows = shape[0], cols = shape[1];
      CAPTURE(rows);
      CAPTURE(cols);
      CAPTURE(soft);
      Numbers x = random(rows * cols, 1, -20, 20), loss(count(rows)), dX(x.size());
      const std::vector<int> labels = random_ints(rows, 2, 0, static_cast<int>(cols) - 1);
      Numbers q = random(rows * cols, 3, 0, soft ? 2 / static_cast<real>(cols) : real{0});
      for (Index row = 0; row < rows; ++row) q[count(row * cols + labels[count(row)])] += soft ? real(0.1) : real{1};
      // A class of -inf that is not asked for costs nothing; 0 · -inf would be NaN.
      if (cols > 2) x[count(labels[0] == 0 ? 1 : 0)] = -infinity, q[count(labels[0] == 0 ? 1 : 0)] = 0;
      if (rows > 1) x[count(cols)] = not_a_number;
      if (rows > 2) x[count(2 * cols + labels[2])] = -infinity;  // an infinite loss
      for (Index i = (rows - 1) * cols; i < rows * cols; ++i) x[count(i)] -= 1000;
      Numbers dloss(count(rows), 3 / static_cast<real>(rows));
      dloss[count(rows / 2)] *= 2;
      OnDevice X(x, 1), Q(q), L(rows), D(dloss), DX(rows * cols, 1);
      cpu::cross_entropy(x.data(), q.data(), loss.data(), rows, cols);
      cuda::cross_entropy(X, Q, L, rows, cols);
      check_each(L.values(), loss, 16 * epsilon, 20);
      cpu::cross_entropy_backward(x.data(), q.data(), dloss.data(), dX.data(), rows, cols);
      cuda::cross_entropy_backward(X, Q, D, DX, rows, cols);
      check_same(DX.values(), dX, 16 * epsilon, 6 / static_cast<double>(rows));  // times Σq·p - q
    }
}

TEST_CASE("cuda: cross entropy of labels, weighted, smoothed and ignored, and its backward pass") {
  for (const auto& shape : some_shapes)
    for (const bool weighted : {false, true})
      for (const real smoothing : {real{0}, real(0.3)}) {
        const Index rows = shape[0], cols = shape[1];
        CAPTURE(rows);
        CAPTURE(cols);
        CAPTURE(weighted);
        CAPTURE(smoothing);
        Numbers x = random(rows * cols, 1, -20, 20), loss(count(rows)), dX(x.size());
        const Numbers weights = random(cols, 2, 0, 3), dloss = random(rows, 3);
        const std::vector<int> labels = random_ints(rows, 2, -1, static_cast<int>(cols) - 1);
        if (rows > 1) x[count(cols)] = not_a_number;
        OnDevice X(x, 1), W(weights), L(rows), D(dloss), DX(rows * cols, 1);
        const real* const w = weighted ? weights.data() : nullptr;
        const real* const W_or_null = weighted ? static_cast<const real*>(W) : nullptr;
        cpu::cross_entropy_of_labels(x.data(), labels.data(), w, smoothing, loss.data(), rows, cols);
        cuda::cross_entropy_of_labels(X, labels.data(), W_or_null, smoothing, L, rows, cols);
        check_each(L.values(), loss, 16 * epsilon, 60);
        cpu::cross_entropy_of_labels_backward(x.data(), labels.data(), w, smoothing, dloss.data(), dX.data(), rows,
                                              cols);
        cuda::cross_entropy_of_labels_backward(X, labels.data(), W_or_null, smoothing, D, DX, rows, cols);
        check_same(DX.values(), dX, 16 * epsilon, 6);
      }
}

TEST_CASE("cuda: cross entropy with an infinite weight of a class that no label has") {
  const Numbers x = random(4, 1), weights{1, infinity}, dloss{1, 1};
  const std::vector<int> labels{0, 0};
  Numbers loss(2), dX(4);
  OnDevice X(x), W(weights), L(2), D(dloss), DX(4);
  cpu::cross_entropy_of_labels(x.data(), labels.data(), nullptr, 0, loss.data(), 2, 2);
  cuda::cross_entropy_of_labels(X, labels.data(), W, 0, L, 2, 2);
  check_each(L.values(), loss, 16 * epsilon, 60);
  cpu::cross_entropy_of_labels_backward(x.data(), labels.data(), nullptr, 0, dloss.data(), dX.data(), 2, 2);
  cuda::cross_entropy_of_labels_backward(X, labels.data(), W, 0, D, DX, 2, 2);
  check_same(DX.values(), dX, 16 * epsilon, 6);
}

TEST_CASE("cuda: a row of 50,000") {
  const Index cols = 50000;
  const Numbers x = random(cols, 1, -20, 20), dY = random(cols, 2), dloss{3};
  const int len = 40001;
  Numbers q(count(cols), real(0.1) / static_cast<real>(cols));
  q[49999] += real(0.9);
  Numbers y(count(cols)), dX(count(cols)), loss(1);
  OnDevice X(x, 1), Y(cols), DY(dY), DX(cols), L(1), D(dloss), Q(q);
  cpu::softmax(x.data(), &len, y.data(), 1, cols);
  cuda::softmax(X, &len, Y, 1, cols);
  check_each(Y.values(), y, 8 * epsilon);
  cpu::softmax_backward(y.data(), &len, dY.data(), dX.data(), 1, cols);
  cuda::softmax_backward(Y, &len, DY, DX, 1, cols);
  check_same(DX.values(), dX, 128 * epsilon);
  cpu::cross_entropy(x.data(), q.data(), loss.data(), 1, cols);
  cuda::cross_entropy(X, Q, L, 1, cols);
  check_same(L.values(), loss, 64 * epsilon);
  cpu::cross_entropy_backward(x.data(), q.data(), dloss.data(), dX.data(), 1, cols);
  cuda::cross_entropy_backward(X, Q, D, DX, 1, cols);
  check_same(DX.values(), dX, 16 * epsilon);
  int want = 0, got = 0;
  cpu::argmax(x.data(), &want, 1, cols);
  cuda::argmax(X, &got, 1, cols);
  CHECK(got == want);
}

TEST_CASE("cuda: a loss near zero keeps its digits") {
  OnDevice X(Numbers{20, 0, 0, 0}), Q(Numbers{1, 0, 0, 0}), L(1);
  cuda::cross_entropy(X, Q, L, 1, 4);
  check_each(L.values(), {static_cast<real>(std::log1p(3 * std::exp(-20.0)))}, 1e-5);
}

TEST_CASE("cuda: moved numbers keep their bits") {
  const struct {
    int rank;
    Index sizes[4], strides[4];
  } walks[] = {{1, {37}, {1}}, {2, {31, 33}, {1, 31}}, {3, {5, 33, 7}, {7, 35, 1}}, {4, {3, 4, 5, 2}, {2, 30, 6, 1}}};
  for (const auto& walk : walks) {
    const Index n = std::accumulate(walk.sizes, walk.sizes + walk.rank, Index{1}, std::multiplies{});
    const Numbers x = random(n, 1);
    Numbers y(x.size());
    OnDevice X(x, 1), Y(n, 1);
    cpu::permute(x.data(), y.data(), walk.rank, walk.sizes, walk.strides);
    cuda::permute(X, Y, walk.rank, walk.sizes, walk.strides);
    CHECK(Y.values() == y);
  }
  for (const auto& shape : some_shapes) {
    const Index rows = shape[0], cols = shape[1];
    CAPTURE(rows);
    CAPTURE(cols);
    const Numbers x = random(rows * (cols + 3), 1);
    Numbers y(count(rows * (cols + 5)), 7);
    OnDevice X(x), Y(y, 1);
    cpu::copy_rows(x.data(), cols + 3, y.data() + 2, cols + 5, rows, cols);
    cuda::copy_rows(X, cols + 3, Y + 2, cols + 5, rows, cols);
    CHECK(Y.values() == y);
    cpu::copy_rows(x.data(), 0, y.data(), cols, rows, cols);  // the same row again and again
    cuda::copy_rows(X, 0, Y, cols, rows, cols);
    CHECK(Y.values() == y);
    OnDevice aligned(Numbers(y.size(), 7));  // rows and columns behind which four numbers are free
    cuda::copy_rows(X, cols, aligned, cols + 4, rows, cols);
    Numbers spread(y.size(), 7);
    cpu::copy_rows(x.data(), cols, spread.data(), cols + 4, rows, cols);
    CHECK(aligned.values() == spread);

    const std::vector<int> index = random_ints(rows, 2, 0, static_cast<int>(cols) - 1);
    Numbers taken(count(rows)), dX(count(rows * cols));
    OnDevice T(rows), DX(rows * cols, 1);
    cpu::gather(x.data(), index.data(), taken.data(), rows, cols);
    cuda::gather(X, index.data(), T, rows, cols);
    CHECK(T.values() == taken);
    cpu::gather_backward(taken.data(), index.data(), dX.data(), rows, cols);
    cuda::gather_backward(T, index.data(), DX, rows, cols);
    CHECK(DX.values() == dX);

    // Rows, and columns, in any order, some of them again and again, and one that gives nothing back.
    for (const Selection& s :
         {Selection{1, cols, rows, 70}, Selection{rows, cols, 1, 3}, Selection{3, rows, cols, 5}}) {
      std::vector<int> indices = random_ints(s.count, 3, 0, static_cast<int>(s.n) - 1);
      const Numbers from = random(s.outer * s.n * s.inner, 1), dY = random(s.outer * s.count * s.inner, 4);
      Numbers selected(dY.size()), back(from.size());
      OnDevice F(from, 1), S(s.outer * s.count * s.inner, 1), DY(dY), B(s.outer * s.n * s.inner, 1);
      cpu::index_select(from.data(), indices.data(), selected.data(), s);
      cuda::index_select(F, indices.data(), S, s);
      CHECK(S.values() == selected);
      indices[1] = -1;
      cpu::index_select_backward(dY.data(), indices.data(), back.data(), s);
      cuda::index_select_backward(DY, indices.data(), B, s);
      CHECK(B.values() == back);
    }
  }
  for (const Index n : some_sizes_in_fours)
    for (const Index offset : {0, 1}) {
      OnDevice Y(n, offset);
      cuda::fill(Y, 3, n);
      CHECK(Y.values() == Numbers(count(n), 3));
    }
}

TEST_CASE("cuda: a product and a shift divide") {
  const Index top = Index{1} << 31;
  std::vector<Index> divisors{top - 1, top, top + 1, Index{1} << 40};
  for (Index d = 1; d < 300; ++d) divisors.push_back(d);
  for (Index d = 512; d < top; d *= 2) divisors.insert(divisors.end(), {d - 1, d, d + 1, d + d / 3});
  for (const Index d : divisors) {
    const cuda::Divisor by(d);
    // Around multiples of d, near 0, near 2^31 and beyond, and around 2^31 itself.
    for (const Index multiple : {Index{0}, d, 7 * d, top / d * d, (top / d - 1) * d, 5 * top / d * d, top})
      for (const Index n : {multiple - 1, multiple, multiple + 1}) {
        if (n < 0) continue;
        const auto [quotient, remainder] = by.divide(n);
        REQUIRE(quotient == n / d);
        REQUIRE(remainder == n % d);
        if (n >= top || d >= top) continue;
        const auto [q, r] = by.divide(static_cast<int>(n));
        REQUIRE(q == n / d);
        REQUIRE(r == n % d);
      }
  }
}

TEST_CASE("cuda: images as columns, and back") {
  //                              C  H  W  kernel stride padding dilation
  const Conv2dGeometry some[] = {{1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1},
                                 {3, 8, 8, 4, 4, 4, 4, 0, 0, 1, 1},
                                 {2, 7, 5, 3, 2, 2, 1, 1, 0, 1, 2},
                                 {1, 9, 33, 3, 3, 1, 1, 2, 2, 2, 1},
                                 {3, 5, 4, 2, 3, 3, 2, 1, 2, 1, 1}};
  for (const Conv2dGeometry& g : some)
    for (const Index batch : {1, 3}) {
      const Index pixels = batch * g.channels * g.height * g.width;
      const Index columns = batch * g.channels * g.kernel_h * g.kernel_w * g.out_h() * g.out_w();
      const Numbers x = random(pixels, 1), dcolumns = random(columns, 2);
      Numbers y(count(columns)), dX(count(pixels));
      OnDevice X(x, 1), Y(columns, 1), DC(dcolumns), DX(pixels);
      cpu::im2col(x.data(), y.data(), batch, g);
      cuda::im2col(X, Y, batch, g);
      CHECK(Y.values() == y);
      cpu::col2im(dcolumns.data(), dX.data(), batch, g);
      cuda::col2im(DC, DX, batch, g);
      CHECK(DX.values() == dX);
    }
  const Conv2dGeometry cut[] = {{1, 4, 4, 4, 4, 4, 4, 0, 0, 1, 1}, {3, 6, 8, 3, 2, 3, 2, 0, 0, 1, 1}};
  for (const Conv2dGeometry& g : cut) {
    const Index n = 3 * g.channels * g.height * g.width;
    const Numbers x = random(n, 1);
    Numbers y(count(n)), back(count(n));
    OnDevice X(x), Y(n, 1), Z(n);
    cpu::patches(x.data(), y.data(), 3, g);
    cuda::patches(X, Y, 3, g);
    CHECK(Y.values() == y);
    cuda::patches_backward(Y, Z, 3, g);
    CHECK(Z.values() == x);
  }
}

TEST_CASE("cuda: images beyond 32 bits are refused") {
  const Conv2dGeometry many{1, 1 << 16, 1 << 16, 1, 1, 1, 1, 0, 0, 1, 1},
      long_one{1, 1, 1, 1, 1, 1, 1, 0, 1 << 30, 1, 1};
  CHECK(fails([&] { cuda::max_pool2d(nullptr, nullptr, 1, many); }, {"65536 x 65536 pixels"}));
  CHECK(fails([&] { cuda::im2col(nullptr, nullptr, 1, many); }, {"65536 x 65536 pixels"}));
  CHECK(fails([&] { cuda::col2im(nullptr, nullptr, 1, long_one); }, {"1073741824"}));
}

TEST_CASE("cuda: average pooling and its backward pass") {
  //                              C  H  W  kernel stride
  const Conv2dGeometry some[] = {{1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1},
                                 {3, 8, 6, 2, 2, 2, 2, 0, 0, 1, 1},
                                 {2, 9, 33, 3, 4, 1, 2, 0, 0, 1, 1},
                                 {5, 7, 5, 2, 2, 3, 4, 0, 0, 1, 1}};
  for (const Conv2dGeometry& g : some)
    for (const Index batch : {1, 3}) {
      const Index pixels = batch * g.channels * g.height * g.width;
      const Index places = batch * g.channels * g.out_h() * g.out_w();
      const Numbers x = random(pixels, 1), dY = random(places, 2);
      Numbers y(count(places)), dX(count(pixels));
      OnDevice X(x, 1), Y(places, 1), DY(dY), DX(pixels);
      cpu::avg_pool2d(x.data(), y.data(), batch, g);
      cuda::avg_pool2d(X, Y, batch, g);
      check_same(Y.values(), y, 4 * epsilon);
      cpu::avg_pool2d_backward(dY.data(), dX.data(), batch, g);
      cuda::avg_pool2d_backward(DY, DX, batch, g);
      check_same(DX.values(), dX, 4 * epsilon);
    }
}

TEST_CASE("cuda: the mean of a whole image far from zero") {
  const Conv2dGeometry g{1, 224, 223, 224, 223, 1, 1, 0, 0, 1, 1};
  const Numbers x = random(224 * 223, 1, 98, 102);
  OnDevice X(x), Y(1);
  cuda::avg_pool2d(X, Y, 1, g);
  CHECK(Y.values()[0] == doctest::Approx(std::accumulate(x.begin(), x.end(), 0.0) / (224 * 223)).epsilon(epsilon));
}

TEST_CASE("cuda: padding by reflection and its backward pass") {
  for (const Reflection& r : {Reflection{1, 1, 1, 0, 0}, Reflection{3, 7, 5, 6, 2}, Reflection{33, 4, 1, 0, 3},
                              Reflection{2, 2, 37, 1, 1}, Reflection{1, 300, 2, 299, 0}}) {
    const Index n = r.outer * r.n * r.inner, padded = r.outer * r.padded() * r.inner;
    const Numbers x = random(n, 1), dY = random(padded, 2);
    Numbers y(count(padded)), dX(count(n));
    OnDevice X(x, 1), Y(padded), DY(dY), DX(n, 1);
    cpu::pad_reflect(x.data(), y.data(), r);
    cuda::pad_reflect(X, Y, r);
    check_each(Y.values(), y, 0);
    cpu::pad_reflect_backward(dY.data(), dX.data(), r);
    cuda::pad_reflect_backward(DY, DX, r);
    check_same(DX.values(), dX, 4 * epsilon);
  }
}

TEST_CASE("cuda: batch norm and its backward pass") {
  const BatchNormSizes some[] = {{2, 1, 1},        {1, 3, 2},          {33, 5, 1},        {7, 33, 9},
                                 {3, 4, 37},       {2, 3, 1025},       {130, 2, 9},       {1, 1, 1024},
                                 {7, 33, 9, true}, {2, 3, 1025, true}, {7, 2, 5000, true}};
  for (const BatchNormSizes& s : some) {
    CAPTURE(s.batch);
    CAPTURE(s.channels);
    CAPTURE(s.places);
    const Index n = s.batch * s.channels * s.places, C = s.channels;
    const Numbers x = random(n, 1, 98, 104), gamma = random(C, 2), beta = random(C, 3), dY = random(n, 4);
    Numbers y(count(n)), mean(count(C)), variance(count(C)), rstd(count(C)), dX(count(n)), dgamma(count(C)),
        dbeta(count(C));
    const real eps = real(1e-3);
    OnDevice X(x, 1), G(gamma, 1), B(beta), Y(n), M(C), V(C), R(C, 1);
    cpu::batch_norm(x.data(), gamma.data(), beta.data(), eps, y.data(), mean.data(), variance.data(), rstd.data(), s);
    cuda::batch_norm<real>(X, G, B, eps, Y, M, V, R, s);
    check_each(M.values(), mean, 4 * epsilon);
    check_same(V.values(), variance, 64 * epsilon);  // of pieces whose means are rounded
    check_same(R.values(), rstd, 64 * epsilon);
    OnDevice M1(C, 1), V1(C), R1(C);
    cuda::batch_norm<real>(X, nullptr, nullptr, eps, nullptr, M1, V1, R1, s);
    CHECK((M1.values() == M.values() && V1.values() == V.values() && R1.values() == R.values()));
    // From here on by the same mean and rstd.
    OnDevice M2(mean), R2(rstd), given(n, 1);
    cuda::batch_norm_by<real>(X, G, B, M2, R2, given, s);
    check_same(given.values(), y, 8 * epsilon);
    RoundedOnDevice rounded_Y(n, 1);
    cuda::batch_norm_by<bfloat16>(X, G, B, M2, R2, rounded_Y, s);
    CHECK(bits(rounded_Y.values()) == bits(rounded(given.values())));
    for (const bool of_batch : {false, true}) {
      CAPTURE(of_batch);
      OnDevice DY(dY), DX(n, 1), DG(C), DB(C, 1);
      cpu::batch_norm_backward(x.data(), gamma.data(), beta.data(), mean.data(), rstd.data(), dY.data(), of_batch,
                               dX.data(), dgamma.data(), dbeta.data(), s);
      cuda::batch_norm_backward(X, G, B, M2, R2, DY, of_batch, DX, DG, DB, s);
      const double terms = std::sqrt(static_cast<double>(s.batch * s.places));
      check_same(DG.values(), dgamma, 16 * epsilon, terms);
      check_same(DB.values(), dbeta, 16 * epsilon, terms);
      check_same(DX.values(), dX, 64 * epsilon, 1);
      cuda::batch_norm_backward(X, G, B, M2, R2, DY, of_batch, DY, DG, DB, s);  // in place
      check_same(DY.values(), dX, 64 * epsilon, 1);
    }
  }
}

TEST_CASE("cuda: maximum pooling and its backward pass, with ties, NaN and infinities") {
  //                              C  H  W  kernel stride padding
  const Conv2dGeometry some[] = {{1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1},
                                 {3, 8, 6, 2, 2, 2, 2, 0, 0, 1, 1},
                                 {2, 9, 33, 3, 3, 2, 2, 1, 1, 1, 1},
                                 {5, 7, 5, 4, 3, 1, 3, 2, 1, 1, 1},
                                 {1, 3, 4, 2, 2, 3, 4, 0, 1, 1, 1}};
  for (const Conv2dGeometry& g : some)
    for (const int kind : {0, 1, 2, 3}) {
      CAPTURE(g.height);
      CAPTURE(kind);
      const Index batch = 2, pixels = batch * g.channels * g.height * g.width;
      const Index places = batch * g.channels * g.out_h() * g.out_w();
      Numbers x = random(pixels, 1), y(count(places)), dX(count(pixels));
      for (std::size_t i = 0; i < x.size(); ++i) {
        if (kind == 1) x[i] = std::max(std::round(x[i]), real{0});
        if (kind == 2 && i % 5 == 0) x[i] = not_a_number;
        if (kind == 3) x[i] = i % 7 == 0 ? infinity : -infinity;
      }
      const Numbers dY = random(places, 2);
      OnDevice X(x, 1), Y(places, 1), DY(dY), DX(pixels);
      cpu::max_pool2d(x.data(), y.data(), batch, g);
      cuda::max_pool2d(X, Y, batch, g);
      check_each(Y.values(), y, 0);
      cpu::max_pool2d_backward(x.data(), dY.data(), dX.data(), batch, g);
      cuda::max_pool2d_backward(X, DY, DX, batch, g);
      check_same(DX.values(), dX, 4 * epsilon);
    }
}

TEST_CASE("cuda: adaptive average pooling and its backward pass") {
  const AdaptivePool some[] = {{1, 1, 1, 1, 1}, {3, 7, 7, 1, 1}, {6, 7, 10, 3, 4}, {2, 3, 2, 7, 5}, {33, 5, 6, 5, 6}};
  for (const AdaptivePool& p : some) {
    const Index pixels = p.planes * p.height * p.width, cells = p.planes * p.out_h * p.out_w;
    const Numbers x = random(pixels, 1), dY = random(cells, 2);
    Numbers y(count(cells)), dX(count(pixels));
    OnDevice X(x, 1), Y(cells, 1), DY(dY), DX(pixels);
    cpu::adaptive_avg_pool2d(x.data(), y.data(), p);
    cuda::adaptive_avg_pool2d(X, Y, p);
    check_same(Y.values(), y, 4 * epsilon);
    cpu::adaptive_avg_pool2d_backward(dY.data(), dX.data(), p);
    cuda::adaptive_avg_pool2d_backward(DY, DX, p);
    check_same(DX.values(), dX, 4 * epsilon);
  }
}

TEST_CASE("cuda: a step of SGD") {
  for (const Index n : some_sizes)
    for (const real momentum : {real{0}, real(0.9)})
      for (const bool nesterov : {false, true}) {
        const Numbers dW = random(n, 2);
        Numbers w = random(n, 1), velocity = random(n, 3);
        OnDevice W(w, 1), DW(dW), V(velocity, 1);
        const formula::Sgd step{real(0.1), momentum, real(0.01), nesterov};
        cpu::sgd(step, w.data(), nullptr, dW.data(), momentum > 0 ? velocity.data() : nullptr, n);
        cuda::sgd(step, W, nullptr, DW, momentum > 0 ? V : static_cast<real*>(nullptr), n);
        check_same(W.values(), w, 4 * epsilon);
        check_same(V.values(), velocity, 4 * epsilon);
      }
}

TEST_CASE("cuda: a step of AdamW") {
  for (const Index n : some_sizes)
    for (const Index t : {1, 100}) {
      const Numbers dW = random(n, 2);
      Numbers w = random(n, 1), m = random(n, 3), v = random(n, 4, 0, 1);
      OnDevice W(w, 1), DW(dW), M(m, 1), V(v);
      const formula::AdamW step{0.01, 0.9, 0.999, 1e-8, 0.05, t};
      cpu::adamw(step, w.data(), nullptr, dW.data(), m.data(), v.data(), n);
      cuda::adamw(step, W, nullptr, DW, M, V, n);
      check_same(W.values(), w, 8 * epsilon);
      check_same(M.values(), m, 4 * epsilon);
      check_same(V.values(), v, 4 * epsilon);
    }
}

TEST_CASE("cuda: steps of many parameters, in few launches, and their rounded numbers") {
  std::vector<Numbers> w, dW, m, v;
  std::vector<std::unique_ptr<OnDevice>> W, DW, M, V;
  std::vector<std::unique_ptr<RoundedOnDevice>> R;
  const auto on_device = [](auto& list, const Numbers& numbers) {
    list.push_back(std::make_unique<OnDevice>(numbers));
  };
  for (int k = 0; k < 70; ++k) {
    const Index n = k == 40 ? 5000 : 1 + k * 37 % 1100;
    const auto seed = static_cast<std::uint64_t>(4 * k);
    w.push_back(random(n, seed)), dW.push_back(random(n, seed + 1));
    m.push_back(random(n, seed + 2)), v.push_back(random(n, seed + 3, 0, 1));
    on_device(W, w.back()), on_device(DW, dW.back()), on_device(M, m.back()), on_device(V, v.back());
    R.push_back(std::make_unique<RoundedOnDevice>(n));
  }
  for (std::size_t k = 0; k < w.size(); ++k) {
    const auto n = static_cast<Index>(w[k].size());
    bfloat16* const rounded = k % 3 == 0 ? nullptr : static_cast<bfloat16*>(*R[k]);
    if (k >= 66) {  // another rule
      const formula::Sgd step{real(0.01) * static_cast<real>(k), real(0.9)};
      cpu::sgd(step, w[k].data(), nullptr, dW[k].data(), m[k].data(), n);
      cuda::sgd(step, *W[k], rounded, *DW[k], *M[k], n);
    } else {
      const formula::AdamW step{0.001 * static_cast<double>(k), 0.9, 0.999, 1e-8, 0.05, 1};
      cpu::adamw(step, w[k].data(), nullptr, dW[k].data(), m[k].data(), v[k].data(), n);
      cuda::adamw(step, *W[k], rounded, *DW[k], *M[k], *V[k], n);
    }
  }
  for (std::size_t k = 0; k < w.size(); ++k) {
    CAPTURE(k);
    check_same(W[k]->values(), w[k], 8 * epsilon);
    check_same(M[k]->values(), m[k], 4 * epsilon);
    if (k % 3 == 0) continue;
    const std::vector<bfloat16> rounded = R[k]->values();
    const Numbers exact = W[k]->values();
    for (std::size_t i = 0; i < exact.size(); ++i) CHECK(rounded[i].bits == to_bfloat16(exact[i]).bits);
  }
}

namespace {

// What of_cpu and of_cuda make of the same operands, which `as` may round.
void compare_products(const auto& as, const auto& of_cpu, const auto& of_cuda) {
  using Array = ArrayOnDevice<typename decltype(as(Numbers{}))::value_type>;
  for (const Index m : {1, 31, 33})
    for (const Index n : {1, 37, 65})
      for (const Index k : {1, 32, 65})
        for (const bool trans_a : {false, true})
          for (const bool trans_b : {false, true})
            for (const bool with_bias : {false, true})
              for (const int unaligned : {0, 1, 2, 3, 4}) {  // A, B, C, the bias, none: a bias is added in another way
                CAPTURE(m);
                CAPTURE(n);
                CAPTURE(k);
                CAPTURE(trans_a);
                CAPTURE(trans_b);
                CAPTURE(with_bias);
                CAPTURE(unaligned);
                const auto offset = [&](int which, std::size_t bytes) {
                  return static_cast<Index>(16 / bytes) + (which == unaligned);
                };
                const Index lda = (trans_a ? m : k) + 1, ldb = (trans_b ? k : n) + 2, ldc = n + 3;
                const auto a = as(random((trans_a ? k : m) * lda, 1)), b = as(random((trans_b ? n : k) * ldb, 2));
                const Numbers bias = random(n, 3);
                Numbers c(count(m * ldc), not_a_number);  // it is not read, and between the rows it stays
                Array A(a, offset(0, sizeof(a[0]))), B(b, offset(1, sizeof(b[0])));
                OnDevice C(c, offset(2, sizeof(real))), Bias(bias, offset(3, sizeof(real)));
                const Product p{.m = m, .n = n, .k = k, .alpha = 2};
                Product of_host = p, of_device = p;
                if (with_bias) of_host.bias = bias.data(), of_device.bias = Bias;
                of_cpu(of_host, {a.data(), lda, trans_a}, {b.data(), ldb, trans_b}, {c.data(), ldc});
                of_cuda(of_device, {A, lda, trans_a}, {B, ldb, trans_b}, {C, ldc});
                check_same(C.values(), c, 64 * epsilon);  // cuBLAS adds up in an order of its own
              }
}

void compare_batched_products(const auto& as, const auto& of_cpu, const auto& of_cuda) {
  using Array = ArrayOnDevice<typename decltype(as(Numbers{}))::value_type>;
  const Index batch = 5, m = 7, n = 33, k = 4;
  for (const Index stride_b : {Index{0}, k * n + 1})
    for (const bool with_bias : {false, true}) {
      CAPTURE(stride_b);
      CAPTURE(with_bias);
      // B ends where the last of its matrices ends.
      const auto a = as(random(batch * (m * k + 2), 1)), b = as(random((batch - 1) * stride_b + k * n, 2));
      const Numbers bias = random(n, 3);
      Numbers c(count(batch * (m * n + 3)), not_a_number);
      Array A(a), B(b);
      OnDevice C(c), Bias(bias);
      const Product p{.m = m, .n = n, .k = k, .batch = batch};
      Product of_host = p, of_device = p;
      if (with_bias) of_host.bias = bias.data(), of_device.bias = Bias;
      of_cpu(of_host, {a.data(), k, false, m * k + 2}, {b.data(), n, false, stride_b}, {c.data(), n, m * n + 3});
      of_cuda(of_device, {A, k, false, m * k + 2}, {B, n, false, stride_b}, {C, n, m * n + 3});
      check_same(C.values(), c, 16 * epsilon);
    }
}

const auto as_they_are = [](const Numbers& x) { return x; };
// Numbers of a few binary digits, which no precision rounds: sums of their products are exact in any order.
Numbers of_few_digits(Numbers x, real step = 1) {
  for (real& number : x) number = std::round(8 * number) * step;
  return x;
}
const auto rounded_product_of_cpu = [](const Product& p, const RoundedMatrix& a, const RoundedMatrix& b,
                                       const ResultMatrix& c) { cpu::gemm_rounded(p, a, b, c); };
const auto rounded_product_of_cuda = [](const Product& p, const RoundedMatrix& a, const RoundedMatrix& b,
                                        const ResultMatrix& c) { cuda::gemm_rounded(p, a, b, c); };

}  // namespace

TEST_CASE("cuda: products") { compare_products(as_they_are, cpu::gemm, cuda::gemm); }
TEST_CASE("cuda: batched products") { compare_batched_products(as_they_are, cpu::gemm, cuda::gemm); }
TEST_CASE("cuda: rounded products") { compare_products(rounded, rounded_product_of_cpu, rounded_product_of_cuda); }
TEST_CASE("cuda: rounded batched products") {
  compare_batched_products(rounded, rounded_product_of_cpu, rounded_product_of_cuda);
}

TEST_CASE("cuda: products in TF32") {
  const ProductsIn tf32(Precision::tf32);
  compare_products([](const Numbers& x) { return of_few_digits(x); }, cpu::gemm, cuda::gemm);
}

// Of exact sums, so that there is but one right result.
TEST_CASE("cuda: rounded results of products are rounded once, after the bias, and nothing between the rows") {
  for (const Index batch : {1, 5})
    for (const Index m : {1, 7})
      for (const Index n : {1, 33})
        for (const bool with_bias : {false, true})
          for (const Index offset : {0, 1}) {
            CAPTURE(batch);
            CAPTURE(m);
            CAPTURE(n);
            CAPTURE(with_bias);
            CAPTURE(offset);
            const Index k = 65, ldc = n + 2, stride = m * ldc + 3, size = batch * stride;
            const auto a = rounded(of_few_digits(random(batch * m * k, 1)));
            const auto b = rounded(of_few_digits(random(batch * k * n, 2)));
            const Numbers bias = widened(rounded(of_few_digits(random(n, 3), real(0.25))));  // or a GPU rounds it
            Numbers exact(count(size), not_a_number);
            RoundedOnDevice A(a), B(b, offset), C(size, offset);
            OnDevice Bias(bias, offset);
            Product p{.m = m, .n = n, .k = k, .batch = batch, .bias = with_bias ? bias.data() : nullptr};
            cpu::gemm_rounded(p, {a.data(), k, false, m * k}, {b.data(), n, false, k * n},
                              ResultMatrix{exact.data(), ldc, stride});
            if (with_bias) p.bias = Bias;
            OnDevice same_sizes(size, offset);  // which is not to be taken for the rounded result
            cuda::gemm_rounded(p, {A, k, false, m * k}, {B, n, false, k * n}, ResultMatrix{same_sizes, ldc, stride});
            cuda::gemm_rounded(p, {A, k, false, m * k}, {B, n, false, k * n}, RoundedResultMatrix{C, ldc, stride});
            CHECK(bits(C.values()) == bits(rounded(exact)));
          }
}

namespace {

// While it lives, the columns of a convolution are made a piece of `images` at a time.
struct InPieces {
  Index before = cuda::bytes_of_columns;

  InPieces(Index images, const Conv2dGeometry& g, std::size_t bytes) {
    cuda::bytes_of_columns =
        images * g.channels * g.kernel_h * g.kernel_w * g.out_h() * g.out_w() * static_cast<Index>(bytes);
  }
  ~InPieces() { cuda::bytes_of_columns = before; }
};

// A convolution of operands that `as` may round, and its gradients, beside the processor's of the same numbers as
// `real`. The columns are those of all images at once, or of a piece of them.
void compare_convolutions(const auto& as, const auto& forward, const auto& backward_x, const auto& backward_w) {
  using Array = ArrayOnDevice<typename decltype(as(Numbers{}))::value_type>;
  //                        batch, out, groups, {C  H  W  kernel stride padding dilation}
  const Conv2dSizes some[] = {{1, 1, 1, {1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1}},
                              {3, 37, 1, {5, 7, 5, 1, 1, 1, 1, 0, 0, 1, 1}},    // one product
                              {2, 19, 1, {17, 7, 6, 1, 1, 2, 2, 0, 0, 1, 1}},   // not quite
                              {2, 3, 1, {2, 3, 3, 1, 1, 1, 1, 1, 0, 1, 1}},     // nor this
                              {2, 70, 1, {9, 6, 7, 3, 3, 1, 1, 1, 1, 1, 1}},    //
                              {3, 17, 1, {33, 9, 8, 3, 3, 2, 2, 1, 1, 1, 1}},   //
                              {2, 6, 1, {3, 11, 13, 2, 5, 3, 2, 1, 4, 2, 1}},   //
                              {7, 5, 1, {2, 5, 4, 3, 3, 1, 1, 1, 1, 1, 1}},     //
                              {1, 5, 1, {2, 12, 9, 3, 2, 2, 3, 3, 1, 2, 3}},    // elements that some pixels never meet
                              {2, 4, 1, {3, 3, 4, 2, 2, 5, 7, 2, 2, 1, 1}},     // strides longer than an image
                              {2, 3, 1, {2, 20, 33, 2, 2, 1, 1, 0, 1, 1, 1}},   //
                              {1, 3, 1, {2, 700, 1, 2, 1, 1, 1, 0, 0, 1, 1}},   // places one below the other
                              {2, 6, 3, {6, 5, 7, 3, 3, 1, 1, 1, 1, 1, 1}},     // groups
                              {1, 40, 2, {34, 4, 5, 2, 3, 1, 2, 1, 0, 1, 1}},   //
                              {3, 7, 7, {7, 9, 8, 5, 7, 1, 1, 2, 3, 1, 1}},     // depthwise
                              {2, 10, 5, {5, 6, 9, 3, 2, 2, 1, 1, 1, 1, 2}},    // two kernels for each channel
                              {2, 20, 1, {1, 9, 11, 7, 5, 2, 2, 3, 2, 1, 1}}};  // grey images
  for (const Conv2dSizes& s : some) {
    const Conv2dGeometry& g = s.geometry;
    CAPTURE(s.batch);
    CAPTURE(s.out);
    CAPTURE(s.groups);
    CAPTURE(g.channels);
    CAPTURE(g.height);
    CAPTURE(g.kernel_w);
    const Index of_x = s.batch * g.channels * g.height * g.width, of_y = s.batch * s.out * g.out_h() * g.out_w();
    const Index of_w = s.out * (g.channels / s.groups) * g.kernel_h * g.kernel_w;
    const auto x = as(random(of_x, 1)), W = as(random(of_w, 2)), dY = as(random(of_y, 4));
    const Numbers wide_x = widened(x), wide_W = widened(W), wide_dY = widened(dY);
    const Numbers bias = random(s.out, 3);
    Numbers y(count(of_y)), dX(count(of_x)), dW(count(of_w));
    for (const Index images : {s.batch, Index{1}, Index{3}}) {
      CAPTURE(images);
      const InPieces pieces(images, g, sizeof(x[0]));
      const Index offset = images % 2;
      // Operands end where their last numbers end.
      Array X(x, offset), K(W, offset), DY(dY, offset);
      OnDevice Y(of_y, offset), DX(of_x, offset), DW(of_w, offset), Bias(bias, offset);
      for (const bool with_bias : {false, true}) {
        CAPTURE(with_bias);
        cpu::conv2d(wide_x.data(), wide_W.data(), with_bias ? bias.data() : nullptr, y.data(), s);
        forward(X, K, with_bias ? Bias : static_cast<real*>(nullptr), Y, s);
        check_same(Y.values(), y, 32 * epsilon);
      }
      cpu::conv2d_backward_x(wide_W.data(), wide_dY.data(), dX.data(), s);
      backward_x(K, DY, DX, s);
      check_same(DX.values(), dX, 32 * epsilon);
      cpu::conv2d_backward_w(wide_x.data(), wide_dY.data(), dW.data(), s);
      backward_w(X, DY, DW, s);
      check_same(DW.values(), dW, 32 * epsilon, std::sqrt(static_cast<double>(of_y / s.out)));
      const Numbers first = DW.values();
      backward_w(X, DY, DW, s);
      CHECK(DW.values() == first);
    }
  }
}

}  // namespace

TEST_CASE("cuda: convolutions and their backward pass") {
  compare_convolutions(as_they_are, cuda::conv2d, cuda::conv2d_backward_x, cuda::conv2d_backward_w);
}
TEST_CASE("cuda: convolutions of rounded operands and their backward pass") {
  compare_convolutions(rounded, cuda::conv2d_rounded, cuda::conv2d_rounded_backward_x, cuda::conv2d_rounded_backward_w);
}

TEST_CASE("cuda: rounding to bfloat16") {
  const struct {
    std::uint32_t x;  // the bits of a float
    int want;
  } some[] = {{0x00000000, 0x0000}, {0x80000000, 0x8000}, {0x3f800000, 0x3f80}, {0xc0490fdb, 0xc049},
              {0x3f807fff, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f808001, 0x3f81},                        // a tie: to even
              {0x3f817fff, 0x3f81}, {0x3f818000, 0x3f82}, {0xbf818000, 0xbf82}, {0x3fffffff, 0x4000},  //
              {0x7f800000, 0x7f80}, {0xff800000, 0xff80},                                              // infinite
              {0x7f7fffff, 0x7f80}, {0x7f7f8000, 0x7f80}, {0xff7f8000, 0xff80}, {0x7f7f7fff, 0x7f7f},  // or becomes it
              {0x00000001, 0x0000}, {0x00008000, 0x0000}, {0x80008000, 0x8000}, {0x00008001, 0x0001},  // denormal
              {0x00018000, 0x0002}, {0x007f7fff, 0x007f}, {0x007fffff, 0x0080}};
  Numbers x;
  std::vector<int> want;
  for (const auto& one : some) {
    x.push_back(math::detail::from_bits(one.x));
    want.push_back(one.want);
  }
  RoundedOnDevice Y(static_cast<Index>(x.size()));
  OnDevice X(x);
  cuda::round_to_bfloat16(X, Y, static_cast<Index>(x.size()));
  CHECK(bits(Y.values()) == want);

  // Those of which only bits that are cut off say that they are NaN.
  const Numbers nan{not_a_number, -not_a_number, math::detail::from_bits(0x7f800001),
                    math::detail::from_bits(0xff80ffff), math::detail::from_bits(0x7fffffff)};
  RoundedOnDevice N(5);
  OnDevice from_nan(nan);
  cuda::round_to_bfloat16(from_nan, N, 5);
  for (const bfloat16 v : N.values()) CHECK(std::isnan(to_float(v)));

  for (const Index n : some_sizes_in_fours)
    for (const auto& pair : offsets) {
      const Index offset = pair.first, offset_y = pair.second;
      CAPTURE(n);
      CAPTURE(offset);
      const Numbers numbers = random(n, 1);
      OnDevice from(numbers, offset), back(n, offset);
      RoundedOnDevice to(n, offset_y);
      cuda::round_to_bfloat16(from, to, n);
      CHECK(bits(to.values()) == bits(rounded(numbers)));
      cuda::widen(to, back, n);
      CHECK(back.values() == widened(rounded(numbers)));
    }

  for (const Index n : some_sizes)
    for (const Index offset : {0, 1}) {
      CAPTURE(n);
      CAPTURE(offset);
      const Numbers numbers = random(n, 1, -9, 9);
      OnDevice from(numbers, offset);
      RoundedOnDevice to(n, offset);
      cuda::round_to_bfloat16(from, to, n);
      CHECK(bits(to.values()) == bits(rounded(numbers)));
      OnDevice back(n, offset);
      cuda::widen(to, back, n);
      check_each(back.values(), widened(to.values()), 0);
    }
}

namespace {

// What a query sees: everything; some keys, or none; those up to its own place; the first few, as in a short sentence.
enum class Sees { all, some, causal, few };

// Operands of attention, of which no exponential is extreme.
struct AttentionCase {
  AttentionSizes sizes;  // batch, heads, queries, keys, head size
  Sees sees;
  double p;

  Numbers queries(std::uint64_t seed) const { return random(sizes.batch * sizes.queries * columns(), seed); }
  Numbers keys(std::uint64_t seed) const { return random(sizes.batch * sizes.keys * columns(), seed); }
  std::vector<int> lens() const {
    const Index all = sizes.batch * sizes.queries;
    if (sees == Sees::all) return {};
    if (sees == Sees::causal) return causal_lens(sizes.batch, sizes.queries);
    if (sees == Sees::few) return std::vector<int>(count(all), static_cast<int>(sizes.keys) / 4);
    std::vector<int> lens = random_ints(all, 5, 0, static_cast<int>(sizes.keys) + 1);
    lens[0] = 0;
    return lens;
  }

 private:
  Index columns() const { return sizes.heads * sizes.head_size; }
};

void for_each_attention(const auto& body) {
  using enum Sees;
  const AttentionCase cases[] = {
      {{1, 1, 1, 1, 1}, all, 0},         {{2, 3, 5, 7, 4}, all, 0},          {{1, 2, 33, 31, 31}, all, 0.3},
      {{2, 1, 37, 65, 33}, some, 0},     {{1, 1, 65, 33, 64}, some, 0.2},    {{3, 2, 1, 37, 8}, some, 0.5},
      {{1, 1, 3, 40, 65}, all, 0},       {{2, 2, 15, 16, 16}, all, 0.1},     {{1, 1, 17, 15, 128}, some, 0.1},
      {{1, 2, 16, 17, 64}, all, 0.1},    {{1, 1, 37, 37, 64}, all, 0.1},     {{1, 1, 64, 64, 24}, all, 0},
      {{1, 1, 65, 66, 8}, some, 0.1},    {{1, 1, 3, 197, 64}, some, 0.3},    {{1, 1, 197, 3, 40}, all, 0.3},
      {{1, 1, 34, 65, 128}, all, 0.1},   {{1, 1, 133, 130, 20}, some, 0.1},  {{2, 2, 150, 150, 24}, causal, 0.1},
      {{1, 1, 150, 140, 64}, causal, 0}, {{1, 2, 70, 70, 128}, causal, 0.2}, {{2, 1, 140, 300, 8}, few, 0.1},
      {{1, 1, 70, 150, 128}, few, 0}};
  for (const AttentionCase& c : cases) {
    CAPTURE(c.sizes.queries);
    CAPTURE(c.sizes.keys);
    CAPTURE(c.sizes.head_size);
    body(c);
  }
}

}  // namespace

TEST_CASE("cuda: attention and its backward pass") {
  for_each_attention([](const AttentionCase& c) {
    const AttentionSizes& s = c.sizes;
    const Numbers q = c.queries(1), k = c.keys(2), v = c.keys(3), dY = c.queries(4);
    const Index of_queries = static_cast<Index>(q.size()), of_keys = static_cast<Index>(k.size());
    const std::vector<int> lens = c.lens();
    const int* const l = lens.empty() ? nullptr : lens.data();
    const Draw draw{5, 6};
    const real drop = static_cast<real>(c.p);
    Numbers weights(count(cpu::attention_keeps(s).size())), y(q.size()), dQ(q.size()), dK(k.size()), dV(v.size());
    cpu::attention(q.data(), k.data(), v.data(), l, drop, draw, weights.data(), y.data(), s);
    cpu::attention_backward(q.data(), k.data(), v.data(), l, drop, draw, weights.data(), y.data(), dY.data(), dQ.data(),
                            dK.data(), dV.data(), s);

    OnDevice Q(q, 1), K(k), V(v, 1), DY(dY, 1), Y(of_queries, 1), DQ(of_queries), DK(of_keys, 1), DV(of_keys);
    OnDevice kept(cuda::attention_keeps(s).size());
    cuda::attention(Q, K, V, l, drop, draw, kept, Y, s);
    check_same(Y.values(), y, 32 * epsilon);
    cuda::attention_backward(Q, K, V, l, drop, draw, kept, Y, DY, DQ, DK, DV, s);
    check_same(DQ.values(), dQ, 64 * epsilon);
    check_same(DK.values(), dK, 64 * epsilon);
    check_same(DV.values(), dV, 64 * epsilon);
    const Numbers first = DK.values();
    cuda::attention_backward(Q, K, V, l, drop, draw, kept, Y, DY, DQ, DK, DV, s);
    CHECK(DK.values() == first);
  });
}

namespace {

// A step of bfloat16, relative to a number, at most.
constexpr double step_of_bfloat16 = 1.0 / 128;

// Whether the numbers agree but for the rounding of sums; a few, however, may differ by a step of bfloat16: what goes
// into them is rounded, and where it lies halfway between two its own last digit decides.
void check_rounded(const Numbers& got, const Numbers& want) {
  check_same(got, want, step_of_bfloat16);
  double largest = 0;
  for (const real w : want) largest = std::max(largest, std::abs(double{w}));
  Index off = 0;
  constexpr double in_float =
      64 * std::numeric_limits<float>::epsilon();  // what tensor cores add up in, also for double
  for (std::size_t i = 0; i < want.size(); ++i) off += !(std::abs(double{got[i]} - want[i]) <= in_float * largest);
  CAPTURE(want.size());
  CHECK(10 * off <= static_cast<Index>(want.size()));
}

}  // namespace

TEST_CASE("cuda: attention of rounded operands and its backward pass") {
  for_each_attention([](const AttentionCase& c) {
    const AttentionSizes& s = c.sizes;
    const Index offset = s.queries % 2;  // 1: rows begin anywhere, and are not read 16 bytes at a time
    const auto q = rounded(c.queries(1)), k = rounded(c.keys(2)), v = rounded(c.keys(3)), dY = rounded(c.queries(4));
    const Index of_queries = static_cast<Index>(q.size()), of_keys = static_cast<Index>(k.size());
    const std::vector<int> lens = c.lens();
    const int* const l = lens.empty() ? nullptr : lens.data();
    const Draw draw{5, 6};
    const real drop = static_cast<real>(c.p);
    Numbers weights(count(cpu::attention_keeps(s).size())), y(q.size()), dQ(q.size()), dK(k.size()), dV(v.size());
    cpu::attention_rounded(q.data(), k.data(), v.data(), l, drop, draw, weights.data(), {y.data(), nullptr}, s);
    cpu::attention_rounded_backward(q.data(), k.data(), v.data(), l, drop, draw, weights.data(), y.data(), dY.data(),
                                    {dQ.data(), nullptr}, {dK.data(), nullptr}, {dV.data(), nullptr}, s);

    RoundedOnDevice Q(q, offset), K(k), V(v, offset), DY(dY, offset);
    OnDevice Y(of_queries, offset), DQ(of_queries), DK(of_keys, offset), DV(of_keys);
    OnDevice kept(cuda::attention_keeps(s).size());
    cuda::attention_rounded(Q, K, V, l, drop, draw, kept, {Y, nullptr}, s);
    check_rounded(Y.values(), y);
    // Also rounded, or only that.
    RoundedOnDevice only_rounded_Y(of_queries, offset), rounded_Y(of_queries, offset);
    OnDevice same_Y(of_queries, 1);
    cuda::attention_rounded(Q, K, V, l, drop, draw, kept, {nullptr, only_rounded_Y}, s);
    cuda::attention_rounded(Q, K, V, l, drop, draw, kept, {same_Y, rounded_Y}, s);
    CHECK(same_Y.values() == Y.values());
    CHECK(bits(rounded_Y.values()) == bits(rounded(Y.values())));
    CHECK(bits(only_rounded_Y.values()) == bits(rounded(Y.values())));

    // With the y that weights as they are would have made, dY·y is the processor's Σ P ⊙ dP.
    Numbers exact_y(q.size());
    cpu::attention(widened(q).data(), widened(k).data(), widened(v).data(), l, drop, draw, weights.data(),
                   exact_y.data(), s);
    OnDevice exact_Y(exact_y);
    RoundedOnDevice rounded_DQ(of_queries, offset), rounded_DK(of_keys), rounded_DV(of_keys, offset);
    cuda::attention_rounded_backward(Q, K, V, l, drop, draw, kept, exact_Y, DY, {DQ, rounded_DQ}, {DK, rounded_DK},
                                     {DV, rounded_DV}, s);
    CHECK(bits(rounded_DQ.values()) == bits(rounded(DQ.values())));
    CHECK(bits(rounded_DK.values()) == bits(rounded(DK.values())));
    CHECK(bits(rounded_DV.values()) == bits(rounded(DV.values())));
    RoundedOnDevice only_rounded_DQ(of_queries, offset), only_rounded_DK(of_keys), only_rounded_DV(of_keys, offset);
    cuda::attention_rounded_backward(Q, K, V, l, drop, draw, kept, exact_Y, DY, {nullptr, only_rounded_DQ},
                                     {nullptr, only_rounded_DK}, {nullptr, only_rounded_DV}, s);
    CHECK(bits(only_rounded_DQ.values()) == bits(rounded_DQ.values()));
    CHECK(bits(only_rounded_DK.values()) == bits(rounded_DK.values()));
    CHECK(bits(only_rounded_DV.values()) == bits(rounded_DV.values()));
    check_rounded(DQ.values(), dQ);
    check_rounded(DK.values(), dK);
    check_rounded(DV.values(), dV);

    // With the y that there is, it is off by the rounding of weights, and so many dS are rounded another way.
    const auto backward = [&] {
      cuda::attention_rounded_backward(Q, K, V, l, drop, draw, kept, Y, DY, {DQ, nullptr}, {DK, nullptr}, {DV, nullptr},
                                       s);
    };
    backward();
    check_same(DQ.values(), dQ, step_of_bfloat16);
    check_same(DK.values(), dK, step_of_bfloat16);
    check_rounded(DV.values(), dV);
    const Numbers first = DK.values();
    backward();
    CHECK(DK.values() == first);
  });
}

TEST_CASE("cuda: attention in TF32 and its backward pass have the bits of float32") {
  const AttentionSizes s{2, 2, 17, 37, 64};
  const Index of_queries = 2 * 17 * 2 * 64, of_keys = 2 * 37 * 2 * 64;
  OnDevice Q(random(of_queries, 1)), K(random(of_keys, 2)), V(random(of_keys, 3)), DY(random(of_queries, 4));
  const auto all = [&](Precision precision) {
    const ProductsIn products(precision);
    OnDevice kept(cuda::attention_keeps(s).size()), Y(of_queries), DQ(of_queries), DK(of_keys), DV(of_keys);
    cuda::attention(Q, K, V, nullptr, real(0.1), {5, 6}, kept, Y, s);
    cuda::attention_backward(Q, K, V, nullptr, real(0.1), {5, 6}, kept, Y, DY, DQ, DK, DV, s);
    return std::vector{kept.values(), Y.values(), DQ.values(), DK.values(), DV.values()};
  };
  CHECK(all(Precision::tf32) == all(Precision::float32));
}

TEST_CASE("cuda: attention refuses heads that do not fit into shared memory") {
  const AttentionSizes s{1, 1, 1, 1, 129};
  OnDevice x(129), kept(1);
  CHECK(fails([&] { cuda::attention(x, x, x, nullptr, 0, {}, kept, x, s); }, {"[attention]", "columns, got 129"}));
}

TEST_CASE("cuda: attention of large scores, and of one that is not a number") {
  const AttentionSizes s{1, 1, 2, 40, 4};
  const Numbers k = random(160, 2, -100, 100), v = random(160, 3);
  for (const bool bad : {false, true}) {
    Numbers q = random(8, 1, 50, 100);
    if (bad) q[0] = not_a_number;
    Numbers weights(80), y(8);
    OnDevice Q(q), K(k), V(v), Y(8), kept(2);
    cpu::attention(q.data(), k.data(), v.data(), nullptr, 0, {}, weights.data(), y.data(), s);
    cuda::attention(Q, K, V, nullptr, 0, {}, kept, Y, s);
    CHECK(std::isnan(y[0]) == bad);
    check_same(Y.values(), y, 1e-2);  // scores of ten thousand have rounding errors of a thousandth
  }
}

TEST_CASE("cuda: attention whose sum is not a number gives nothing to values that are not seen") {
  const AttentionSizes s{1, 1, 40, 40, 4};
  Numbers q = random(160, 1), k = random(160, 2), v = random(160, 3), dY(160, 0);
  k[12] = not_a_number;  // of key 3
  const std::vector<int> lens(40, 20);
  OnDevice Q(q), K(k), V(v), Y(160), DY(dY), DQ(160), DK(160), DV(160), kept(cuda::attention_keeps(s).size());
  cuda::attention(Q, K, V, lens.data(), 0, {}, kept, Y, s);
  cuda::attention_backward(Q, K, V, lens.data(), 0, {}, kept, Y, DY, DQ, DK, DV, s);
  const Numbers dV = DV.values();
  CHECK(std::all_of(dV.begin() + 80, dV.end(), [](real x) { return x == 0; }));
}

TEST_CASE("cuda: attention of rounded operands with large scores, and with one that is not a number") {
  const AttentionSizes s{1, 1, 2, 40, 4};
  Numbers q = random(8, 1, 50, 100);
  const auto k = rounded(random(160, 2, -100, 100)), v = rounded(random(160, 3));
  for (const bool bad : {false, true}) {
    if (bad) q[0] = not_a_number;
    Numbers weights(80), y(8);
    RoundedOnDevice Q(rounded(q)), K(k), V(v);
    OnDevice Y(8), kept(2);
    cpu::attention_rounded(rounded(q).data(), k.data(), v.data(), nullptr, 0, {}, weights.data(), {y.data(), nullptr},
                           s);
    cuda::attention_rounded(Q, K, V, nullptr, 0, {}, kept, {Y, nullptr}, s);
    CHECK(std::isnan(y[0]) == bad);
    check_same(Y.values(), y, 1e-2);
  }
}

TEST_CASE("cuda: attention of scores whose exponentials are no floats, and its backward pass") {
  const AttentionSizes s{1, 1, 3, 40, 4};
  const Numbers q = random(12, 1, 10, 11), k = random(160, 2, 5, real(5.5));  // of a hundred and more
  const Numbers v = random(160, 3), dY = random(12, 4);
  Numbers weights(120), y(12), dQ(12), dK(160), dV(160);
  OnDevice Q(q), K(k), V(v), DY(dY), Y(12), kept(3), DQ(12), DK(160), DV(160);
  cpu::attention(q.data(), k.data(), v.data(), nullptr, 0, {}, weights.data(), y.data(), s);
  cpu::attention_backward(q.data(), k.data(), v.data(), nullptr, 0, {}, weights.data(), y.data(), dY.data(), dQ.data(),
                          dK.data(), dV.data(), s);
  cuda::attention(Q, K, V, nullptr, 0, {}, kept, Y, s);
  cuda::attention_backward(Q, K, V, nullptr, 0, {}, kept, Y, DY, DQ, DK, DV, s);
  // A rounding of a score of a hundred.
  check_same(Y.values(), y, 1000 * epsilon);
  check_same(DQ.values(), dQ, 1000 * epsilon);
  check_same(DK.values(), dK, 1000 * epsilon);
  check_same(DV.values(), dV, 1000 * epsilon);
}
