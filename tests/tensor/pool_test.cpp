// Pooling against plain loops in double.
#include "tests/tensor/numbers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

struct Case {
  Shape shape;
  Size2 kernel, stride;
};
const Case cases[] = {{{1, 1, 1, 1}, 1, 1},           {{2, 3, 4, 6}, 2, 2},
                      {{3, 2, 5, 7}, {3, 2}, {1, 2}},  // windows that overlap
                      {{1, 5, 17, 9}, 3, {2, 3}},      // and what is left over behind the last
                      {{2, 2, 9, 8}, {2, 3}, {4, 5}},  // pixels that no window sees
                      {{65, 3, 37, 33}, 4, 3},        {{2, 7, 6, 5}, {6, 5}, 1}};

// Calls visit(place in y, number in x) for all that each place sees.
template <class Visit>
void for_each_seen(const Case& c, const Visit& visit) {
  const Index H = c.shape[2], W = c.shape[3];
  const Index out_h = (H - c.kernel.height) / c.stride.height + 1, out_w = (W - c.kernel.width) / c.stride.width + 1;
  for (Index plane = 0; plane < c.shape[0] * c.shape[1]; ++plane)
    for (Index y = 0; y < out_h; ++y)
      for (Index x = 0; x < out_w; ++x)
        for (Index i = 0; i < c.kernel.height; ++i)
          for (Index j = 0; j < c.kernel.width; ++j)
            visit(static_cast<std::size_t>((plane * out_h + y) * out_w + x),
                  static_cast<std::size_t>((plane * H + y * c.stride.height + i) * W + x * c.stride.width + j));
}

}  // namespace

TEST_CASE("avg_pool2d and its gradient agree with a plain loop") {
  for (const Case& c : cases) {
    CAPTURE(c.shape);
    const Tensor x = Rng(1).normal(c.shape);
    const double area = static_cast<double>(c.kernel.height * c.kernel.width);
    with_threads([&] {
      const Tensor y = avg_pool2d(x, c.kernel, c.stride);
      const Tensor dY = Rng(2).normal(y.shape());
      Doubles want(static_cast<std::size_t>(y.size())), dX(static_cast<std::size_t>(x.size()));
      for_each_seen(c, [&](std::size_t place, std::size_t at) {
        want[place] += x.data()[at] / area;
        dX[at] += dY.data()[place] / area;
      });
      CHECK(y.shape()[2] == (c.shape[2] - c.kernel.height) / c.stride.height + 1);
      CHECK(y.shape()[3] == (c.shape[3] - c.kernel.width) / c.stride.width + 1);
      CHECK(error(y, want) <= 16 * epsilon);
      CHECK(error(avg_pool2d_backward(dY, c.shape, c.kernel, c.stride), dX) <= 16 * epsilon);
    });
  }
}

TEST_CASE("avg_pool2d of a whole image far from zero is right to its last digit") {
  const Tensor x = Rng(3).normal({1, 2, 224, 223}, 100);
  const Tensor y = avg_pool2d(x, {224, 223}, 1);
  for (Index plane = 0; plane < 2; ++plane) {
    double total = 0;
    for (Index i = 0; i < 224 * 223; ++i) total += x.data()[plane * 224 * 223 + i];
    CHECK(y.data()[plane] == doctest::Approx(total / (224 * 223)).epsilon(epsilon));
  }
}

TEST_CASE("avg_pool2d: a number that is none spoils only the windows that see it") {
  Tensor x = Tensor::ones({1, 2, 4, 4});
  x.data()[5] = not_a_number;
  const Tensor y = avg_pool2d(x, 2, 2);
  CHECK(std::isnan(y.data()[0]));
  CHECK(nans(y) == 1);
}

TEST_CASE("avg_pool2d refuses what does not fit") {
  const Tensor x = Tensor::ones({2, 3, 4, 5});
  CHECK(fails([&] { avg_pool2d(x[0], 2, 2); }, {"[avg_pool2d]", "(B, C, H, W)", "(3, 4, 5)"}));
  CHECK(fails([&] { avg_pool2d(x, {5, 2}, 1); }, {"[avg_pool2d]", "5 x 2", "4 x 5"}));
  CHECK(fails([&] { avg_pool2d(x, 2, {1, 0}); }, {"[avg_pool2d]", "1 or more"}));
  CHECK(fails([&] { avg_pool2d(x, 0, 1); }, {"[avg_pool2d]", "1 or more"}));
  const std::string back = "[avg_pool2d_backward]";
  CHECK(fails([&] { avg_pool2d_backward(x, x.shape(), 2, 2); }, {back, "(2, 3, 2, 2)", "(2, 3, 4, 5)"}));
  CHECK(fails([&] { avg_pool2d_backward(x, x[0].shape(), 2, 2); }, {back, "(3, 4, 5)"}));
}

namespace {

struct MaxCase {
  Shape shape;
  Size2 kernel, stride, padding;
};
const MaxCase max_cases[] = {{{1, 1, 1, 1}, 1, 1, 0},
                             {{1, 1, 1, 1}, 3, 1, 1},
                             {{2, 3, 4, 6}, 2, 2, 0},
                             {{20, 9, 17, 35}, 2, 2, 0},
                             {{1, 1, 2, 2}, 2, 2, 0},
                             {{2, 3, 5, 3}, 2, 2, 0},
                             {{2, 3, 3, 5}, 2, 2, 0},
                             {{2, 2, 3, 9}, 2, 2, 0},
                             {{2, 9, 28, 50}, 2, 2, 0},
                             {{3, 2, 5, 7}, {3, 2}, {1, 2}, {1, 0}},
                             {{2, 3, 17, 33}, 3, 2, 1},
                             {{1, 5, 17, 9}, {5, 4}, {2, 3}, 2},
                             {{2, 2, 9, 8}, {2, 3}, {4, 5}, {0, 1}},
                             {{33, 3, 24, 37}, 3, 1, 1},
                             {{2, 7, 6, 5}, {6, 5}, 1, 0},
                             {{1, 1, 2, 3}, {1 << 20, 1 << 21}, 1, {1 << 19, 1 << 20}}};  // wider than the image

// For each place the number in x that PyTorch takes: of equal ones the first, of NaN the last.
std::vector<std::size_t> places_of_largest(const Tensor& x, const MaxCase& c) {
  const Index H = c.shape[2], W = c.shape[3];
  const Index out_h = (H + 2 * c.padding.height - c.kernel.height) / c.stride.height + 1;
  const Index out_w = (W + 2 * c.padding.width - c.kernel.width) / c.stride.width + 1;
  std::vector<std::size_t> found;
  for (Index plane = 0; plane < c.shape[0] * c.shape[1]; ++plane)
    for (Index y = 0; y < out_h; ++y)
      for (Index x0 = 0; x0 < out_w; ++x0) {
        Index best = -1;
        const Index top = y * c.stride.height - c.padding.height, left = x0 * c.stride.width - c.padding.width;
        for (Index row = std::max<Index>(top, 0); row < std::min(top + c.kernel.height, H); ++row)
          for (Index column = std::max<Index>(left, 0); column < std::min(left + c.kernel.width, W); ++column) {
            const Index at = (plane * H + row) * W + column;
            if (best < 0 || x.data()[at] > x.data()[best] || std::isnan(x.data()[at])) best = at;
          }
        found.push_back(static_cast<std::size_t>(best));
      }
  return found;
}

}  // namespace

TEST_CASE("max_pool2d and its gradient agree with a plain loop, with ties, NaN and infinities") {
  for (const MaxCase& c : max_cases)
    for (const int kind : {0, 1, 2, 3, 4}) {
      CAPTURE(c.shape);
      CAPTURE(kind);
      Tensor x = Rng(1).normal(c.shape);
      real* const numbers = x.data();
      for (Index i = 0; i < x.size(); ++i) {
        if (kind == 1) numbers[i] = std::max(std::round(numbers[i]), real{0});  // as behind a ReLU
        if (kind == 2 && i % 5 == 0) numbers[i] = not_a_number;
        if (kind == 3) numbers[i] = i % 3 == 0 ? infinity : -infinity;
        if (kind == 4) numbers[i] = -infinity;
      }
      const std::vector<std::size_t> places = places_of_largest(x, c);
      with_threads([&] {
        const Tensor y = max_pool2d(x, c.kernel, c.stride, c.padding);
        const Tensor dY = Rng(2).normal(y.shape());
        REQUIRE(y.size() == static_cast<Index>(places.size()));
        Doubles want, dX(static_cast<std::size_t>(x.size()));
        for (std::size_t i = 0; i < places.size(); ++i) {
          want.push_back(x.data()[places[i]]);
          dX[places[i]] += dY.data()[i];
        }
        CHECK(error(y, want) == 0);
        CHECK(error(max_pool2d_backward(x, dY, c.kernel, c.stride, c.padding), dX) <= 16 * epsilon);
      });
    }
}

TEST_CASE("max_pool2d refuses what does not fit") {
  const Tensor x = Tensor::ones({2, 3, 4, 5});
  CHECK(fails([&] { max_pool2d(x[0], 2, 2); }, {"[max_pool2d]", "(B, C, H, W)", "(3, 4, 5)"}));
  CHECK(fails([&] { max_pool2d(x, {5, 2}, 1); }, {"[max_pool2d]", "5 x 2", "4 x 5"}));
  CHECK(fails([&] { max_pool2d(x, 2, {1, 0}); }, {"[max_pool2d]", "1 or more"}));
  CHECK(fails([&] { max_pool2d(x, 3, 1, 2); }, {"[max_pool2d]", "padding 2, 2", "half a kernel of 3 x 3"}));
  CHECK(fails([&] { max_pool2d(x, 1, 1, {0, 1}); }, {"[max_pool2d]", "padding 0, 1", "1 x 1"}));
  const std::string back = "[max_pool2d_backward]";
  CHECK(fails([&] { max_pool2d_backward(x, x, 2, 2); }, {back, "(2, 3, 2, 2)", "(2, 3, 4, 5)"}));
}

TEST_CASE("adaptive_avg_pool2d and its gradient agree with a plain loop") {
  const std::pair<Shape, Size2> cases[] = {
      {{1, 1, 1, 1}, 1},      {{2, 3, 7, 7}, 1},         {{2, 3, 7, 10}, {3, 4}},    {{3, 2, 5, 4}, {5, 4}},
      {{1, 2, 3, 2}, {7, 5}}, {{65, 3, 17, 33}, {4, 9}}, {{1, 2, 130, 300}, {2, 1}}, {{1, 1, 1, 1}, {3, 2}}};
  for (const auto& c : cases) {
    const Shape& shape = c.first;
    const Size2 size = c.second;
    CAPTURE(shape);
    const Index H = shape[2], W = shape[3], m = size.height, n = size.width;
    const Tensor x = Rng(1).normal(shape), dY = Rng(2).normal({shape[0], shape[1], m, n});
    Doubles want, dX(static_cast<std::size_t>(x.size()));
    for (Index plane = 0; plane < shape[0] * shape[1]; ++plane)
      for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < n; ++j) {
          const auto bounds = [](Index cell, Index all, Index cells) {
            const double each = static_cast<double>(all) / static_cast<double>(cells);
            return std::pair(static_cast<Index>(std::floor(static_cast<double>(cell) * each + 1e-9)),
                             static_cast<Index>(std::ceil(static_cast<double>(cell + 1) * each - 1e-9)));
          };
          const auto [top, bottom] = bounds(i, H, m);
          const auto [left, right] = bounds(j, W, n);
          const double count = static_cast<double>((bottom - top) * (right - left));
          const double share = dY.data()[want.size()] / count;
          double sum = 0;
          for (Index row = top; row < bottom; ++row)
            for (Index column = left; column < right; ++column) {
              const Index at = (plane * H + row) * W + column;
              sum += x.data()[at];
              dX[static_cast<std::size_t>(at)] += share;
            }
          want.push_back(sum / count);
        }
    with_threads([&] {
      const Tensor y = adaptive_avg_pool2d(x, size);
      CHECK(y.shape() == dY.shape());
      CHECK(error(y, want) <= 4 * epsilon);
      CHECK(error(adaptive_avg_pool2d_backward(dY, shape), dX) <= 8 * epsilon);
    });
  }
}

TEST_CASE("adaptive_avg_pool2d refuses what does not fit") {
  const Tensor x = Tensor::ones({2, 3, 4, 5});
  const std::string op = "[adaptive_avg_pool2d]", back = "[adaptive_avg_pool2d_backward]";
  CHECK(fails([&] { adaptive_avg_pool2d(x[0], 1); }, {op, "(B, C, H, W)", "(3, 4, 5)"}));
  CHECK(fails([&] { adaptive_avg_pool2d(x, {0, 1}); }, {op, "1 x 1 or more", "0 x 1"}));
  CHECK(fails([&] { adaptive_avg_pool2d_backward(x, {2, 4, 9, 9}); }, {back, "(2, 3, 4, 5)", "(2, 4, 9, 9)"}));
  CHECK(fails([&] { adaptive_avg_pool2d_backward(x[0], x.shape()); }, {back, "(3, 4, 5)"}));
}
