// Images as columns and as patches, against plain loops.
#include <numeric>

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

}  // namespace

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
