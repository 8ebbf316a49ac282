// Convolutions, and images as columns and as patches, against plain loops.
#include <numeric>

#include "autograd/ops.h"
#include "tensor/profile.h"
#include "tensor/storage.h"
#include "tests/tensor/numbers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

using Values = std::vector<real>;

Tensor random(const Shape& shape, std::uint64_t seed) { return Rng(seed).uniform(shape, -1, 1); }

// What the kernel sees at each place, 0 in the padding.
Values plain_im2col(const Tensor& x, const Conv2dGeometry& g) {
  Values columns;
  for (Index b = 0; b < x.shape()[0]; ++b)
    for (Index c = 0; c < g.channels; ++c)
      for (Index i = 0; i < g.kernel_h; ++i)
        for (Index j = 0; j < g.kernel_w; ++j)
          for (Index p = 0; p < g.out_h(); ++p)
            for (Index q = 0; q < g.out_w(); ++q) {
              const Index row = p * g.stride_h + i * g.dilation_h - g.padding_h;
              const Index column = q * g.stride_w + j * g.dilation_w - g.padding_w;
              const bool inside = row >= 0 && row < g.height && column >= 0 && column < g.width;
              columns.push_back(inside ? x.data()[((b * g.channels + c) * g.height + row) * g.width + column] : 0);
            }
  return columns;
}

//                               C  H   W    kernel  stride padding dilation
const Conv2dGeometry geometries[] = {
    {1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1},  {3, 5, 7, 3, 2, 1, 1, 0, 0, 1, 1},   {2, 17, 9, 3, 3, 2, 2, 1, 1, 1, 1},
    {1, 9, 17, 2, 4, 3, 2, 2, 1, 1, 1}, {3, 17, 13, 3, 2, 1, 2, 3, 2, 2, 3}, {2, 4, 4, 4, 4, 4, 4, 0, 0, 1, 1},
    {2, 3, 3, 5, 5, 1, 1, 2, 2, 1, 1},  {1, 2, 3, 1, 1, 2, 3, 4, 5, 1, 1},   {5, 37, 17, 5, 3, 2, 3, 0, 1, 3, 2},
    {2, 7, 5, 3, 3, 5, 7, 1, 4, 2, 1},  {1, 3, 3, 2, 2, 1, 1, 3, 3, 5, 4}};

struct Convolution {
  Shape x, W;
  Conv2dOptions options;
};

struct Expected {
  Doubles y, dX, dW;
};

// Number by number, in double.
Expected plain_conv2d(const Tensor& x, const Tensor& W, const Tensor& b, const Tensor& dY, const Conv2dOptions& o) {
  const Index C = x.shape()[1], H = x.shape()[2], width = x.shape()[3], inner = W.shape()[1], h = W.shape()[2],
              w = W.shape()[3], out = W.shape()[0], out_h = dY.shape()[2], out_w = dY.shape()[3];
  Expected e{Doubles(static_cast<std::size_t>(dY.size())), Doubles(static_cast<std::size_t>(x.size())),
             Doubles(static_cast<std::size_t>(W.size()))};
  std::size_t at = 0;
  for (Index image = 0; image < x.shape()[0]; ++image)
    for (Index k = 0; k < out; ++k)
      for (Index p = 0; p < out_h; ++p)
        for (Index q = 0; q < out_w; ++q, ++at) {
          e.y[at] = b.defined() ? b.data()[k] : 0;
          for (Index c = 0; c < inner; ++c)
            for (Index i = 0; i < h; ++i)
              for (Index j = 0; j < w; ++j) {
                const Index row = p * o.stride.height + i * o.dilation.height - o.padding.height;
                const Index col = q * o.stride.width + j * o.dilation.width - o.padding.width;
                if (row < 0 || row >= H || col < 0 || col >= width) continue;
                const Index channel = k / (out / o.groups) * inner + c;
                const auto seen = static_cast<std::size_t>(((image * C + channel) * H + row) * width + col);
                const auto tap = static_cast<std::size_t>(((k * inner + c) * h + i) * w + j);
                const double X = x.data()[seen], weight = W.data()[tap], g = dY.data()[at];
                e.y[at] += X * weight;
                e.dX[seen] += g * weight;
                e.dW[tap] += g * X;
              }
        }
  return e;
}

// The largest difference, relative to the largest number.
double difference(const Tensor& got, const Doubles& want) {
  double largest = 1e-30;
  for (const double value : want) largest = std::max(largest, std::abs(value));
  return error(got, want, largest);
}

const Convolution convolutions[] = {
    {{1, 1, 1, 1}, {1, 1, 1, 1}, {}},
    {{2, 3, 7, 5}, {5, 3, 3, 2}, {}},
    {{1, 2, 1, 37}, {3, 2, 1, 4}, {.padding = {0, 1}}},                   // a single row
    {{3, 2, 2, 3}, {4, 2, 5, 6}, {.padding = {2, 3}}},                    // larger than the image
    {{2, 3, 5, 9}, {7, 3, 1, 1}, {.stride = 2}},                          // pixels that nothing sees
    {{2, 3, 4, 4}, {2, 3, 2, 2}, {.stride = {3, 5}, .padding = {4, 6}}},  // places that see nothing
    {{2, 3, 9, 8}, {5, 3, 3, 4}, {.stride = {3, 2}, .padding = {1, 2}, .dilation = {2, 3}}},
    {{2, 4, 12, 13}, {5, 4, 3, 3}, {.stride = {4, 6}, .padding = 5, .dilation = {2, 4}}},  // strides and dilations
    {{2, 3, 24, 16}, {37, 3, 8, 4}, {.stride = {8, 4}}},                                   // patches
    {{1, 1, 8, 256}, {8, 1, 1, 128}, {}},                                                  // wide, as for signals
    {{1, 2, 3, 200}, {1, 2, 2, 5}, {.dilation = {1, 40}}},
    {{1, 3, 37, 129}, {65, 3, 7, 7}, {.stride = 2, .padding = 3}},
    {{5, 12, 9, 7}, {8, 3, 3, 3}, {.stride = 2, .padding = 1, .groups = 4}},
    {{2, 65, 6, 5}, {130, 5, 3, 1}, {.padding = {1, 0}, .groups = 13}},
    {{3, 3, 6, 7}, {6, 1, 3, 3}, {.padding = 1, .groups = 3}},  // few channels, each alone
    // Depthwise with vectors of channels.
    {{2, 17, 9, 20}, {17, 1, 3, 3}, {.padding = 1, .groups = 17}},
    {{1, 37, 8, 35}, {74, 1, 7, 5}, {.padding = {3, 9}, .groups = 37}},
    {{3, 33, 9, 8}, {99, 1, 2, 3}, {.stride = {2, 3}, .padding = {1, 2}, .dilation = {3, 2}, .groups = 33}},
    {{1, 65, 1, 1}, {65, 1, 1, 1}, {.stride = 2, .padding = 1, .groups = 65}},
    // Winograd's.
    {{1, 16, 3, 3}, {16, 16, 3, 3}, {}},
    {{3, 17, 1, 2}, {37, 17, 3, 3}, {.padding = 1}},
    {{5, 33, 7, 7}, {65, 33, 3, 3}, {.padding = 1}},
    {{2, 64, 10, 4}, {32, 64, 3, 3}, {.padding = {0, 2}}},
    {{2, 16, 5, 6}, {16, 16, 3, 3}, {.padding = {3, 1}}},  // too much padding for it
    {{7, 34, 6, 29}, {40, 17, 3, 3}, {.padding = {2, 1}, .groups = 2}},
    // Few channels and a wide kernel: Winograd's along rows.
    {{2, 1, 9, 8}, {8, 1, 3, 3}, {.padding = 1}},
    {{3, 15, 5, 30}, {17, 15, 3, 4}, {.padding = {0, 3}, .dilation = {2, 1}}},
    {{2, 12, 21, 40}, {48, 3, 5, 5}, {.stride = {3, 2}, .padding = {1, 6}, .groups = 4}},
    {{1, 2, 40, 230}, {13, 2, 7, 8}, {.stride = 2, .padding = 4}},
    {{2, 3, 35, 91}, {64, 3, 11, 11}, {.stride = 4, .padding = 2}},
    {{1, 1, 1, 100}, {9, 1, 1, 12}, {.stride = {1, 3}}},
    // Small images, as one product of columns.
    {{3, 65, 1, 1}, {33, 65, 3, 3}, {.padding = 1}},
    {{3, 44, 7, 5}, {24, 44, 3, 2}, {.stride = 2, .padding = {1, 0}, .dilation = {1, 2}}},
    {{5, 256, 4, 3}, {17, 256, 1, 1}, {.stride = 2}},
};

}  // namespace

TEST_CASE("conv2d and its gradients, of every geometry") {
  for (const Convolution& c : convolutions) {
    CAPTURE(c.x);
    CAPTURE(c.W);
    const Tensor x = random(c.x, 1), W = random(c.W, 2);
    for (const Tensor& b : {Tensor(), random({c.W[0]}, 3)}) {
      const Tensor dY = random(conv2d(x, W, b, c.options).shape(), 4);
      const Expected want = plain_conv2d(x, W, b, dY, c.options);
      with_threads([&] {
        const double tolerance = 16 * epsilon;
        CHECK(difference(conv2d(x, W, b, c.options), want.y) <= tolerance);
        CHECK(difference(conv2d_backward_x(W, dY, c.x, c.options), want.dX) <= tolerance);
        CHECK(difference(conv2d_backward_w(x, dY, c.W, c.options), want.dW) <= tolerance);
        // The same bits each time.
        CHECK(conv2d_backward_w(x, dY, c.W, c.options).values() == conv2d_backward_w(x, dY, c.W, c.options).values());
      });
    }
  }
}

// Winograd's way adds and subtracts pixels before it multiplies.
TEST_CASE("conv2d: Winograd's ways are as exact as their comments say") {
  const Shape shape{1, 64, 28, 28};
  const Tensor x = random(shape, 1), W = random({64, 64, 3, 3}, 2), dY = random(shape, 3);
  const Conv2dOptions options{.padding = 1};
  const Expected want = plain_conv2d(x, W, {}, dY, options);
  CHECK(difference(conv2d(x, W, {}, options), want.y) <= 8 * epsilon);
  CHECK(difference(conv2d_backward_x(W, dY, shape, options), want.dX) <= 8 * epsilon);
  CHECK(difference(conv2d_backward_w(x, dY, W.shape(), options), want.dW) <= 8 * epsilon);
  for (const auto& [channels, kernel, stride] : {std::tuple{3, 7, 2}, {15, 7, 2}, {15, 8, 2}, {1, 3, 1}, {15, 4, 1}}) {
    CAPTURE(channels);
    CAPTURE(kernel);
    const Tensor images = random({1, channels, 56, 56}, 1), kernels = random({64, channels, kernel, kernel}, 2);
    const Conv2dOptions along{.stride = stride, .padding = kernel / 2};
    const Tensor results = conv2d(images, kernels, {}, along);
    CHECK(difference(results, plain_conv2d(images, kernels, {}, results, along).y) <= 24 * epsilon);
  }
}

TEST_CASE("conv2d in bfloat16: products of rounded numbers") {
  const auto round = [](const Tensor& x) {
    Tensor y = x.clone();
    for (Index i = 0; i < y.size(); ++i) y.data()[i] = to_float(to_bfloat16(x.data()[i]));
    return y;
  };
  for (const Convolution& c : convolutions) {
    CAPTURE(c.x);
    CAPTURE(c.W);
    const Tensor x = random(c.x, 1), W = random(c.W, 2), b = random({c.W[0]}, 3);
    const Tensor dY = random(conv2d(x, W, b, c.options).shape(), 4);
    const Expected want = plain_conv2d(round(x), round(W), b, round(dY), c.options);
    const ProductsIn precision(Precision::bfloat16);
    CHECK(difference(conv2d(x, W, b, c.options), want.y) <= 1e-5);
    CHECK(difference(conv2d_backward_x(W, dY, c.x, c.options), want.dX) <= 1e-5);
    CHECK(difference(conv2d_backward_w(x, dY, c.W, c.options), want.dW) <= 1e-5);
  }
}

// As many groups more, as many times the work, and not its square: counted, not timed.
TEST_CASE("conv2d: the cost is linear in the groups, and the tape keeps images and kernels alone") {
  for (const Index groups : {1, 8, 64}) {
    CAPTURE(groups);
    const Shape x{2, 4 * groups, 12, 12}, w{4 * groups, 4, 3, 3};
    Var X = Var::parameter(random(x, 1)), W = Var::parameter(random(w, 2));
    const double products = 2.0 * 2 * 4 * static_cast<double>(groups) * 12 * 12 * 4 * 9;
    const std::size_t before = memory::stats().in_use;
    profile::start();
    {
      Tape tape;
      const Var Y = conv2d(X, W, {}, {.padding = 1, .groups = groups});
      CHECK(tape.ops() == std::vector<std::string>{"conv2d"});
      // X and W are there anyway; a block begins with a cache line.
      CHECK(memory::stats().in_use - before <= static_cast<std::size_t>(Y.size()) * sizeof(real) + 64);
      tape.backward(sum(Y));
    }
    profile::stop();
    double flops = 0, bytes = 0;
    for (const profile::Row& row : profile::rows())
      if (contains(row.name, "conv2d")) flops += row.flops, bytes += row.bytes;
    CHECK(flops == 3 * products);
    CHECK(bytes == static_cast<double>(sizeof(real) * (6 * x.size() + 3 * w.size())));
  }
}

TEST_CASE("conv2d: what does not fit is refused") {
  const Tensor x = Tensor::ones({2, 4, 5, 5}), W = Tensor::ones({6, 2, 3, 3});
  const Conv2dOptions halves{.groups = 2};
  CHECK(fails([&] { conv2d(x, W, {}); }, {"[conv2d]", "(2, 4, 5, 5)", "(6, 2, 3, 3)", "2 channels"}));
  CHECK(fails([&] { conv2d(x[0], W, {}); }, {"[conv2d]", "(4, 5, 5)"}));
  CHECK(fails([&] { conv2d(x, W, {}, {.groups = 0}); }, {"[conv2d]", "0 groups"}));
  CHECK(fails([&] { conv2d(x, W, {}, {.groups = 4}); }, {"[conv2d]", "4 groups"}));
  CHECK(fails([&] { conv2d(x, W, Tensor::ones({4}), halves); }, {"[conv2d]", "bias", "(4)"}));
  CHECK(fails([&] { conv2d(x, Tensor::ones({6, 2, 7, 3}), {}, halves); }, {"[conv2d]", "7 x 3", "5 x 5"}));
  CHECK(fails([&] { conv2d(x, W, {}, {.stride = 0, .groups = 2}); }, {"[conv2d]", "1 or more"}));
  const Tensor dY = conv2d(x, W, {}, halves);
  CHECK(fails(
      [&] {
        conv2d_backward_x(W, dY, {2, 4, 6, 5}, halves);
      },
      {"[conv2d_backward_x]", "(2, 6, 3, 3)", "(2, 6, 4, 3)"}));
  CHECK(fails([&] { conv2d_backward_w(x, dY, {5, 2, 3, 3}, halves); }, {"[conv2d_backward_w]", "(5, 2, 3, 3)"}));
  CHECK(fails([&] { conv2d_backward_w(x, x, W.shape(), halves); }, {"[conv2d_backward_w]", "(2, 6, 3, 3)"}));
}

TEST_CASE("im2col shows what a kernel sees, and col2im is its transpose") {
  for (const Conv2dGeometry& g : geometries) {
    CAPTURE(g.height);
    CAPTURE(g.width);
    CAPTURE(g.kernel_h);
    for (const Index batch : {1, 3}) {
      const Tensor x = random({batch, g.channels, g.height, g.width}, 6);
      const Values want = plain_im2col(x, g);
      with_threads([&] {
        const Tensor columns = im2col(x, g);
        REQUIRE(columns.shape() == Shape{batch, g.channels * g.kernel_h * g.kernel_w, g.out_h() * g.out_w()});
        CHECK(columns.values() == want);
        const Tensor c = random(columns.shape(), 7), back = col2im(c, g);
        REQUIRE(back.shape() == x.shape());
        CHECK(inner_product(columns, c) == doctest::Approx(inner_product(x, back)).epsilon(1e-5));
        // Each number comes back as often as it was seen: against the plain loop on ones.
        const Tensor seen = col2im(Tensor::ones(columns.shape()), g);
        Tensor at = Tensor::zeros(x.shape());
        for (Index i = 0; i < x.size(); i += 11) {
          at.data()[i] = 1;
          const Values places = plain_im2col(at, g);
          CHECK(seen.data()[i] == std::accumulate(places.begin(), places.end(), real{0}));
          at.data()[i] = 0;
        }
      });
    }
  }
}

TEST_CASE("patches are cut from left to right and top to bottom, and put together again") {
  const Index sizes[][6] = {
      {1, 1, 1, 1, 1, 1}, {3, 2, 6, 4, 3, 2}, {2, 3, 4, 4, 4, 4}, {5, 1, 8, 12, 2, 3}, {3, 3, 28, 28, 7, 4}};
  for (const auto& [B, C, H, W, h, w] : sizes) {
    const Tensor x = random({B, C, H, W}, 8);
    Values want;
    for (Index b = 0; b < B; ++b)
      for (Index top = 0; top < H; top += h)
        for (Index left = 0; left < W; left += w)
          for (Index c = 0; c < C; ++c)
            for (Index i = 0; i < h; ++i)
              for (Index j = 0; j < w; ++j) want.push_back(x.data()[((b * C + c) * H + top + i) * W + left + j]);
    with_threads([&, B = B, C = C, H = H, W = W, h = h, w = w] {
      const Tensor y = patches(x, {h, w});
      CHECK(y.shape() == Shape{B, (H / h) * (W / w), C * h * w});
      CHECK(y.values() == want);
      CHECK(patches_backward(y, x.shape(), {h, w}).values() == x.values());
    });
  }
}

TEST_CASE("images and geometries that do not fit are refused") {
  const Conv2dGeometry g{3, 4, 5, 2, 2, 1, 1, 0, 0, 1, 1};
  const Tensor x = Tensor::ones({2, 3, 4, 5}), turned = Tensor::ones({2, 3, 5, 4});
  CHECK(fails([&] { im2col(turned, g); }, {"[im2col]", "(2, 3, 5, 4)", "3, 4, 5"}));
  CHECK(fails([&] { im2col(x[0], g); }, {"[im2col]", "(3, 4, 5)"}));
  CHECK(fails([&] { col2im(Tensor::ones({2, 12, 11}), g); }, {"[col2im]", "(2, 12, 11)", "(2, 12, 12)"}));
  CHECK(fails([&] { col2im(Tensor::ones({12, 12}), g); }, {"[col2im]", "(12, 12)"}));
  // A kernel one larger than the image at stride 2: 1 place, if -1/2 is rounded to 0.
  const Conv2dGeometry large{3, 4, 5, 5, 2, 2, 1, 0, 0, 1, 1}, wide{3, 4, 5, 2, 4, 1, 2, 0, 0, 1, 2};
  CHECK(fails([&] { im2col(x, large); }, {"[im2col]", "5 x 2", "4 x 5"}));
  CHECK(fails([&] { im2col(x, wide); }, {"[im2col]", "2 x 4", "4 x 5"}));
  for (Index Conv2dGeometry::*const field :
       {&Conv2dGeometry::stride_h, &Conv2dGeometry::stride_w, &Conv2dGeometry::dilation_h, &Conv2dGeometry::kernel_w}) {
    Conv2dGeometry zero = g;
    zero.*field = 0;
    CHECK(fails([&] { im2col(x, zero); }, {"[im2col]", "1 or more"}));
  }
  Conv2dGeometry negative = g;
  negative.padding_w = -1;
  CHECK(fails([&] { im2col(x, negative); }, {"[im2col]", "0 or more"}));

  CHECK(fails([&] { patches(x, {3, 5}); }, {"[patches]", "4 x 5", "3 x 5"}));
  CHECK(fails([&] { patches(x, {0, 5}); }, {"[patches]", "4 x 5", "0 x 5"}));
  CHECK(fails([&] { patches(x[0], {2, 5}); }, {"[patches]", "(3, 4, 5)"}));
  const std::string back = "[patches_backward]";
  const Tensor dY = patches(x, {2, 5});
  CHECK(fails([&] { patches_backward(dY, {2, 3, 4, 5}, {3, 5}); }, {back, "4 x 5", "3 x 5"}));
  CHECK(fails([&] { patches_backward(dY, {2, 3, 4, 5}, {4, 5}); }, {back, "(2, 2, 30)", "(2, 3, 4, 5)"}));
  CHECK(fails([&] { patches_backward(dY, {1, 3, 4, 5}, {2, 5}); }, {back, "(2, 2, 30)", "(1, 3, 4, 5)"}));
}
