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
