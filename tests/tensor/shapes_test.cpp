// Functions that move numbers (permute, concat, slice, gather, im2col, patches) against plain loops.
#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "tensor/functions.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

using Values = std::vector<real>;
using Coordinates = std::vector<Index>;

// 0, 1, 2, ...: every number says where it comes from (a float holds these exactly).
Tensor counting(const Shape& shape) {
  Tensor result(shape);
  for (Index i = 0; i < result.size(); ++i) result.data()[i] = static_cast<real>(i);
  return result;
}
Tensor random(const Shape& shape, std::uint64_t seed) { return Rng(seed).uniform(shape, -1, 1); }

double inner_product(const Tensor& a, const Tensor& b) {
  double total = 0;
  for (Index i = 0; i < a.size(); ++i) total += double{a.data()[i]} * b.data()[i];
  return total;
}

Coordinates coordinates(Index i, const Shape& shape) {
  Coordinates at(static_cast<std::size_t>(shape.rank()));
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    at[static_cast<std::size_t>(axis)] = i % shape[axis];
    i /= shape[axis];
  }
  return at;
}
Index position(const Coordinates& at, const Shape& shape) {
  Index i = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) i = i * shape[axis] + at[static_cast<std::size_t>(axis)];
  return i;
}

bool permutes(const Shape& shape, const std::vector<int>& axes) {
  const Tensor x = counting(shape), y = permute(x, axes);
  bool right = true;
  for (Index i = 0; i < y.size(); ++i) {
    const Coordinates at = coordinates(i, y.shape());
    Coordinates from(at.size());
    for (std::size_t axis = 0; axis < at.size(); ++axis) from[static_cast<std::size_t>(axes[axis])] = at[axis];
    right = right && y.data()[i] == x.data()[position(from, shape)];
  }
  for (int axis = 0; axis < shape.rank(); ++axis)
    right = right && y.shape()[axis] == shape[axes[static_cast<std::size_t>(axis)]];
  return right && y.data() != x.data();
}

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

TEST_CASE("permute takes axes in any order, rank 0 to 6") {
  const Index sizes[] = {3, 2, 5, 1, 4, 2};
  for (int rank = 0; rank <= 6; ++rank) {
    std::vector<int> axes(static_cast<std::size_t>(rank));
    std::iota(axes.begin(), axes.end(), 0);
    bool right = true;
    do right = right && permutes(Shape(sizes, rank), axes);
    while (std::next_permutation(axes.begin(), axes.end()));
    CHECK(right);
  }
  with_threads([] {
    CHECK(permutes({37, 65, 17}, {2, 0, 1}));
    CHECK(permutes({129, 257}, {1, 0}));
    CHECK(permutes({65, 129, 3, 1}, {1, 0, 2, 3}));
    CHECK(permutes({40000}, {0}));
  });
}

TEST_CASE("transpose swaps two axes, counted from either end") {
  const Tensor x = counting({2, 3, 4});
  CHECK(transpose(x, 1, 2).values() == permute(x, {0, 2, 1}).values());
  CHECK(transpose(x, -1, 0).values() == permute(x, {2, 1, 0}).values());
  CHECK(transpose(x, -1, 0).shape() == Shape{4, 3, 2});
  CHECK(transpose(x, 1, 1).values() == x.values());
  CHECK(transpose(transpose(x, 0, 2), 2, 0).values() == x.values());
}

TEST_CASE("concat and slice along every axis, and the way back") {
  const Shape shape{3, 5, 2, 17};
  for (int axis = -4; axis < 4; ++axis) {
    CAPTURE(axis);
    const Tensor a = random(shape.with(axis, 3), 1), b = random(shape.with(axis, 1), 2),
                 c = random(shape.with(axis, 7), 3);
    const Tensor y = concat({a, b, c}, axis);
    CHECK(y.shape() == shape.with(axis, 11));
    // Every element stands where its coordinates say, moved along the axis.
    const auto moved = static_cast<std::size_t>(shape.wrap(axis));
    Index begin = 0;
    for (const Tensor& part : {a, b, c}) {
      bool right = true;
      for (Index i = 0; i < part.size(); ++i) {
        Coordinates at = coordinates(i, part.shape());
        at[moved] += begin;
        right = right && y.data()[position(at, y.shape())] == part.data()[i];
      }
      CHECK(right);
      const Index end = begin + part.shape()[axis];
      CHECK(slice(y, axis, begin, end).shape() == part.shape());
      CHECK(slice(y, axis, begin, end).values() == part.values());
      // The way back puts it there again, and zeros elsewhere.
      const Tensor back = slice_backward(part, y.shape(), axis, begin);
      CHECK(back.shape() == y.shape());
      CHECK(slice(back, axis, begin, end).values() == part.values());
      CHECK(inner_product(back, back) == doctest::Approx(inner_product(part, part)));
      begin = end;
    }
    CHECK(slice(y, axis, 0, 11).values() == y.values());
    CHECK(concat({a}, axis).values() == a.values());
  }
  with_threads([] {
    const Tensor a = counting({65, 17, 37}), b = counting({65, 3, 37});
    const Tensor y = concat({a, b}, 1);
    CHECK(slice(y, 1, 0, 17).values() == a.values());
    CHECK(slice(y, 1, 17, 20).values() == b.values());
  });
}

TEST_CASE("gather takes one number a row, and puts it back") {
  const Tensor x = random({37, 17}, 4), dY = random({37}, 5);
  Labels index;
  for (int row = 0; row < 37; ++row) index.push_back(row * 5 % 17);
  const Tensor y = gather(x, index), dX = gather_backward(dY, index, {37, 17});
  CHECK(y.shape() == Shape{37});
  CHECK(dX.shape() == x.shape());
  for (Index row = 0; row < 37; ++row)
    for (Index c = 0; c < 17; ++c) {
      const bool here = c == index[static_cast<std::size_t>(row)];
      CHECK(dX.data()[row * 17 + c] == (here ? dY.data()[row] : 0));
      if (here) CHECK(y.data()[row] == x.data()[row * 17 + c]);
    }
}

TEST_CASE("moving functions refuse what does not fit") {
  const Tensor x = Tensor::ones({2, 3, 4});
  CHECK(fails([&] { permute(x, {0, 1}); }, {"[permute]", "(2, 3, 4)"}));
  CHECK(fails([&] { permute(x, {0, 1, 1}); }, {"[permute]", "(2, 3, 4)"}));
  CHECK(fails([&] { permute(x, {1, 2, 3}); }, {"[permute]", "(2, 3, 4)"}));
  CHECK(fails([&] { permute(x, {0, 1, -1}); }, {"[permute]", "(2, 3, 4)"}));
  CHECK(fails([&] { transpose(x, 0, 3); }, {"[transpose]", "no axis 3", "(2, 3, 4)"}));
  CHECK(fails([&] { transpose(x, -4, 0); }, {"[transpose]", "no axis -4", "(2, 3, 4)"}));
  CHECK(fails([] { concat({}, 0); }, {"[concat]", "none"}));
  CHECK(fails([&] { concat({x}, 3); }, {"[concat]", "no axis 3", "(2, 3, 4)"}));
  CHECK(fails([&] { concat({x, Tensor::ones({2, 4, 4})}, 0); }, {"[concat]", "(2, 3, 4)", "(2, 4, 4)"}));
  CHECK(fails([&] { concat({x, Tensor::ones({3, 4})}, 0); }, {"[concat]", "(2, 3, 4)", "(3, 4)"}));
  CHECK(fails([&] { slice(x, 3, 0, 1); }, {"[slice]", "no axis 3", "(2, 3, 4)"}));
  for (const auto& [start, stop] : {std::pair<Index, Index>{-1, 1}, {0, 4}, {1, 1}, {2, 1}})
    CHECK(fails([&, start = start, stop = stop] { slice(x, 1, start, stop); }, {"[slice]", "axis 1", "(2, 3, 4)"}));

  const std::string back = "[slice_backward]";
  CHECK(fails([&] { slice_backward(x, {2, 5, 4}, 1, 3); }, {back, "(2, 3, 4)", "(2, 5, 4)"}));
  CHECK(fails([&] { slice_backward(x, {2, 5, 4}, 1, -1); }, {back, "(2, 3, 4)", "(2, 5, 4)"}));
  CHECK(fails([&] { slice_backward(x, {2, 5, 5}, 1, 0); }, {back, "(2, 3, 4)", "(2, 5, 5)"}));
  CHECK(fails([&] { slice_backward(x, {2, 5}, 1, 0); }, {back, "(2, 3, 4)", "(2, 5)"}));
  CHECK(fails([&] { slice_backward(x, {2, 5, 4}, 3, 0); }, {back, "no axis 3", "(2, 5, 4)"}));

  CHECK(fails([&] { gather(x, {0, 0}); }, {"[gather]", "(2, 3, 4)"}));
  CHECK(fails([&] { gather(x[0], {0, 0}); }, {"[gather]", "(3, 4)", "2 labels"}));
  CHECK(fails([&] { gather(x[0], {0, 4, 0}); }, {"[gather]", "4", "row 1"}));
  const Tensor dY = Tensor::ones({3});
  CHECK(fails([&] { gather_backward(dY, {0, 1}, {2, 4}); }, {"[gather_backward]", "(3)", "2"}));
  CHECK(fails([&] { gather_backward(dY, {0, 1, 2}, {2, 4}); }, {"[gather_backward]", "(2, 4)", "3 labels"}));
  CHECK(fails([&] { gather_backward(dY, {0, 1, 4}, {3, 4}); }, {"[gather_backward]", "4", "row 2"}));
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
