// Functions that move numbers (permute, concat, slice, gather) against plain loops.
#include <numeric>

#include "tests/tensor/numbers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

using Coordinates = std::vector<Index>;

// 0, 1, 2, ...: every number says where it comes from (a float holds these exactly).
Tensor counting(const Shape& shape) {
  Tensor result(shape);
  for (Index i = 0; i < result.size(); ++i) result.data()[i] = static_cast<real>(i);
  return result;
}
Tensor random(const Shape& shape, std::uint64_t seed) { return Rng(seed).uniform(shape, -1, 1); }

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

TEST_CASE("concat and slice along every axis, and the gradient") {
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
      // The gradient puts it there again, and zeros elsewhere.
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

TEST_CASE("pad and pad_reflect along every axis, and the gradient of the latter") {
  for (const Shape& shape : {Shape{1}, Shape{7}, Shape{3, 5}, Shape{2, 3, 4, 5}, Shape{65, 3, 129}})
    for (int axis = -shape.rank(); axis < shape.rank(); ++axis)
      for (const auto& by : {std::pair<Index, Index>{0, 0}, {1, 0}, {0, 2}, {2, 2}, {6, 3}}) {
        const Index before = by.first, after = by.second;
        CAPTURE(shape);
        CAPTURE(axis);
        CAPTURE(before);
        const Tensor x = counting(shape) + 1;
        const Index n = shape[axis];
        const std::size_t at = static_cast<std::size_t>(shape.wrap(axis));
        const auto shows = [&](const Tensor& y, bool reflected) {
          bool right = y.shape() == shape.with(axis, before + n + after);
          for (Index i = 0; i < y.size(); ++i) {
            Coordinates from = coordinates(i, y.shape());
            Index j = from[at] - before;
            if (reflected) j = j < 0 ? -j : j >= n ? 2 * n - 2 - j : j;
            const bool inside = j >= 0 && j < n;
            from[at] = inside ? j : 0;
            right = right && y.data()[i] == (inside ? x.data()[position(from, shape)] : 0);
          }
          return right;
        };
        with_threads([&] {
          CHECK(shows(pad(x, axis, before, after), false));
          if (before >= n || after >= n) return;
          const Tensor y = pad_reflect(x, axis, before, after), c = random(y.shape(), 7);
          CHECK(shows(y, true));
          const Tensor back = pad_reflect_backward(c, axis, before, after);
          REQUIRE(back.shape() == shape);
          // Its transpose: number by number, against the plain loop above.
          Doubles want(static_cast<std::size_t>(x.size()));
          for (Index i = 0; i < y.size(); ++i) want[static_cast<std::size_t>(y.data()[i]) - 1] += c.data()[i];
          CHECK(error(back, want) <= 4 * epsilon);
        });
      }
}

TEST_CASE("pad refuses what does not fit") {
  const Tensor x = Tensor::ones({2, 3, 4});
  CHECK(fails([&] { pad(x, 3, 1, 1); }, {"[pad]", "no axis 3", "(2, 3, 4)"}));
  CHECK(fails([&] { pad(x, 0, -2, -1); }, {"[pad]", "axis 0 of (2, 3, 4)", "-2 and -1"}));
  CHECK(fails([&] { pad(x, 0, 0, Index{1} << 41); }, {"[pad]", "by 0 and"}));
  CHECK(fails([&] { pad_reflect(x, -3, 1, 2); }, {"[pad_reflect]", "1 and 2", "0 to 1"}));
  CHECK(fails([&] { pad_reflect(x, 1, 3, 0); }, {"[pad_reflect]", "3 and 0", "0 to 2"}));
  CHECK(fails([&] { pad_reflect_backward(x, 2, 2, 2); }, {"[pad_reflect_backward]", "(2, 3, 4)", "2 and 2"}));
  CHECK(fails([&] { pad_reflect_backward(x, 2, 3, 0); }, {"[pad_reflect_backward]", "3 and 0", "0 to 0"}));
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
  CHECK(fails([&] { permute(x, {0, 1, -2}); }, {"[permute]", "(2, 3, 4)"}));
  CHECK(fails([&] { transpose(x, 0, 3); }, {"[transpose]", "no axis 3", "(2, 3, 4)"}));
  CHECK(fails([&] { transpose(x, -4, 0); }, {"[transpose]", "no axis -4", "(2, 3, 4)"}));
  CHECK(fails([] { concat({}, 0); }, {"[concat]", "none"}));
  CHECK(fails([&] { concat({x}, 3); }, {"[concat]", "no axis 3", "(2, 3, 4)"}));
  CHECK(fails([&] { concat({x, Tensor::ones({2, 4, 4})}, 0); }, {"[concat]", "(2, 3, 4)", "(2, 4, 4)"}));
  CHECK(fails([&] { concat({x, Tensor::ones({3, 4})}, 0); }, {"[concat]", "(2, 3, 4)", "(3, 4)"}));
  CHECK(fails([&] { slice(x, 3, 0, 1); }, {"[slice]", "no axis 3", "(2, 3, 4)"}));

  const std::string back = "[slice_backward]";
  CHECK(fails([&] { slice_backward(x, {2, 5, 4}, 1, 3); }, {back, "(2, 3, 4)", "(2, 5, 4)"}));
  CHECK(fails([&] { slice_backward(x, {2, 5, 4}, 1, -1); }, {back, "(2, 3, 4)", "(2, 5, 4)"}));
  CHECK(fails([&] { slice_backward(x, {2, 5, 5}, 1, 0); }, {back, "(2, 3, 4)", "(2, 5, 5)"}));
  CHECK(fails([&] { slice_backward(x, {2, 5}, 1, 0); }, {back, "(2, 3, 4)", "(2, 5)"}));
  CHECK(fails([&] { slice_backward(x, {2, 5, 4}, 3, 0); }, {back, "no axis 3", "(2, 5, 4)"}));

  CHECK(fails([&] { gather(x, {0, 0}); }, {"[gather]", "(2, 3, 4)"}));
  CHECK(fails([&] { gather(x[0], {0, 0}); }, {"[gather]", "(3, 4)", "2 labels"}));
  CHECK(fails([&] { gather(x[0], {0, 4, 0}); }, {"[gather]", "4", "row 1"}));
  CHECK(fails([&] { gather(Tensor({2, 0}), {0, 0}); }, {"[gather]", "0 classes"}));
  const Tensor dY = Tensor::ones({3});
  CHECK(fails([&] { gather_backward(dY, {0, 1}, {2, 4}); }, {"[gather_backward]", "(3)", "2"}));
  CHECK(fails([&] { gather_backward(dY, {0, 1, 2}, {2, 4}); }, {"[gather_backward]", "(2, 4)", "3 labels"}));
  CHECK(fails([&] { gather_backward(dY, {0, 1, 4}, {3, 4}); }, {"[gather_backward]", "4", "row 2"}));
}

TEST_CASE("index_select along every axis; its gradient adds up in the order of the indices, on any number of threads") {
  const Shape shape{5, 7, 3};
  for (int axis = -3; axis < 3; ++axis) {
    const Labels index = shape[axis] < 5 ? Labels{2, 0, 2, 2, 0, 2} : Labels{4, 0, 2, 2, 4, 2};
    const Tensor x = counting(shape), y = index_select(x, axis, index), dY = random(y.shape(), 7);
    CHECK(y.shape() == shape.with(axis, 6));
    const auto at = static_cast<std::size_t>(shape.wrap(axis));
    Doubles want(static_cast<std::size_t>(x.size()));
    bool right = true;
    for (Index i = 0; i < y.size(); ++i) {
      Coordinates from = coordinates(i, y.shape());
      from[at] = index[static_cast<std::size_t>(from[at])];
      right = right && y.data()[i] == x.data()[position(from, shape)];
      want[static_cast<std::size_t>(position(from, shape))] += dY.data()[i];
    }
    CHECK(right);
    CHECK(error(index_select_backward(dY, shape, axis, index), want) <= 4 * epsilon);
  }
  // A table of words, of which some come often: the same bits, which are not those of another order.
  Labels words;
  for (int i = 0; i < 999; ++i) words.push_back(i * i % 331);
  const Tensor dY = random({999, 129}, 8);
  std::vector<real> one_by_one(331 * 129);
  for (std::size_t i = 0; i < words.size(); ++i)
    for (std::size_t c = 0; c < 129; ++c)
      one_by_one[static_cast<std::size_t>(words[i]) * 129 + c] += dY.data()[i * 129 + c];
  with_threads([&] {
    CHECK(index_select_backward(dY, {331, 129}, 0, words).values() == one_by_one);
    CHECK(index_select(counting({331, 129}), 0, words).values().back() == static_cast<real>(words.back() * 129 + 128));
  });
  CHECK(index_select_backward(Tensor::ones({3, 1}), {2, 1}, 0, {1, -1, 1}).values() == std::vector<real>{0, 2});
  const Tensor x = Tensor::ones({2, 3});
  CHECK(fails([&] { index_select(x, 1, {0, 3}); }, {"[index_select]", "the index 3, number 1", "0 ... 2"}));
  CHECK(fails([&] { index_select(x, 1, {-1}); }, {"[index_select]", "the index -1"}));
  CHECK(fails([&] { index_select(x, 2, {0}); }, {"[index_select]", "no axis 2"}));
  CHECK(fails([&] { index_select_backward(x, {2, 3}, 1, {0}); }, {"[index_select_backward]", "(2, 3)", "1 indices"}));
}

TEST_CASE("stack, split, chunk, unsqueeze and squeeze") {
  const Tensor a = counting({2, 3}), b = a + 10;
  CHECK(stack({a, b}).values() == concat({a, b}, 0).values());
  CHECK(stack({a, b}).shape() == Shape{2, 2, 3});
  CHECK(stack({a, b}, 1).values() == std::vector<real>{0, 1, 2, 10, 11, 12, 3, 4, 5, 13, 14, 15});
  CHECK(stack({a, b}, -1).shape() == Shape{2, 3, 2});
  CHECK(stack({a, b}, -1).values() == std::vector<real>{0, 10, 1, 11, 2, 12, 3, 13, 4, 14, 5, 15});
  CHECK(unsqueeze(a, 0).shape() == Shape{1, 2, 3});
  CHECK(unsqueeze(a, -1).shape() == Shape{2, 3, 1});
  CHECK(squeeze(unsqueeze(a, 1), 1).shape() == a.shape());
  const Tensor x = counting({7, 2});
  std::vector<Index> sizes;
  for (const Tensor& part : split(x, 3)) sizes.push_back(part.shape()[0]);
  CHECK(sizes == std::vector<Index>{3, 3, 1});
  CHECK(concat(split(x, 3), 0).values() == x.values());
  CHECK(split(x, {1, 6})[1].values() == slice(x, 0, 1, 7).values());
  CHECK(chunk(x, 4).size() == 4);  // 2, 2, 2, 1
  CHECK(chunk(x, 5).size() == 4);
  CHECK(chunk(x, 2, -1)[1].values() == slice(x, 1, 1, 2).values());
  CHECK(fails([&] { stack({a, x}); }, {"[stack]", "(2, 3)", "(7, 2)"}));
  CHECK(fails([&] { stack({a}, 4); }, {"[unsqueeze]", "4", "(2, 3)"}));
  CHECK(fails([&] { stack(std::vector<Tensor>()); }, {"[concat]", "none"}));
  CHECK(squeeze(a, 0).shape() == a.shape());
  CHECK(squeeze(Tensor::ones({1, 2, 1})).shape() == Shape{2});
  CHECK(fails([&] { squeeze(a, 2); }, {"[squeeze]", "2", "(2, 3)"}));
  CHECK(fails([&] { split(x, 0); }, {"[split]", "got 0"}));
  CHECK(fails([&] { split(x, {3, 3}); }, {"[split]", "7", "(7, 2)"}));
}
