// Convolutions of rounded operands beside those of the same numbers as floats: they differ by the order of sums alone.
#include "tensor/backend.h"
#include "tests/tensor/numbers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// The numbers of a tensor, rounded, and written out again.
Tensor rounded(const Tensor& x) {
  Tensor result = Tensor::of_rounded(x.shape());
  std::copy_n(x.rounded().get(), x.size(), result.rounded_data());
  return result;
}

struct Case {
  Shape x, W;
  Conv2dOptions options;
};

}  // namespace

TEST_CASE("a convolution in bfloat16 and its gradients are those of the rounded numbers") {
  const Case cases[] = {
      {{3, 16, 9, 7}, {16, 16, 3, 3}, {.padding = 1}},
      {{1, 17, 5, 5}, {19, 17, 3, 3}, {.padding = {0, 2}}},
      {{5, 32, 11, 13}, {48, 32, 3, 3}, {.stride = 2, .padding = 1}},
      {{5, 32, 11, 13}, {48, 32, 1, 1}, {.stride = 2}},
      {{2, 64, 12, 12}, {64, 32, 3, 3}, {.padding = 1, .groups = 2}},
      {{4, 24, 14, 10}, {16, 24, 2, 5}, {.stride = {1, 3}, .padding = {1, 4}, .dilation = {3, 1}}},
      {{7, 20, 1, 30}, {33, 20, 1, 7}, {}},
      {{40, 128, 3, 3}, {130, 128, 3, 3}, {.padding = 1}},                                    // as one product
      {{3, 44, 7, 5}, {24, 44, 3, 2}, {.stride = 2, .padding = {1, 0}, .dilation = {1, 2}}},  // too
      {{40, 128, 5, 5}, {130, 128, 3, 3}, {.padding = 1}},                                    // several images at once
      {{2, 96, 40, 40}, {64, 96, 3, 3}, {.padding = 1}},                                      // an image at a time
      {{3, 3, 20, 20}, {20, 3, 7, 7}, {.stride = 2, .padding = 3}},                           // few channels
      {{2, 6, 9, 9}, {12, 1, 3, 3}, {.padding = 1, .groups = 6}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.x);
    CAPTURE(c.W);
    Rng rng(1);
    const Tensor x = rounded(rng.normal(c.x)), W = rounded(rng.normal(c.W)), b = rng.normal({c.W[0]});
    const Tensor y = conv2d(Operand(x), Operand(W), b, c.options), dY = rounded(rng.normal(y.shape()));
    const Tensor dX = conv2d_backward_x(Operand(W), Operand(dY), c.x, c.options);
    const Tensor dW = conv2d_backward_w(Operand(x), Operand(dY), c.W, c.options);
    with_threads([&] {
      const ProductsIn products_in(Precision::bfloat16);
      const auto check_same = [](const Tensor& got, const Tensor& want) {
        const std::vector<real> values = want.values();
        double largest = 0;
        for (const real v : values) largest = std::max(largest, std::abs(double{v}));
        CHECK(error(got, Doubles(values.begin(), values.end()), largest) <= 64 * epsilon);
      };
      check_same(conv2d(Operand(x), Operand(W), b, c.options), y);
      check_same(conv2d_backward_x(Operand(W), Operand(dY), c.x, c.options), dX);
      const Tensor again = conv2d_backward_w(Operand(x), Operand(dY), c.W, c.options);
      check_same(again, dW);
      CHECK(conv2d_backward_w(Operand(x), Operand(dY), c.W, c.options).values() == again.values());
    });
  }
}
