#include "tensor/tensor.h"

#include <doctest/doctest.h>

#include "tensor/functions.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

using Values = std::vector<real>;

// 0, 1, 2, ... in a shape.
Tensor counting(const Shape& shape) {
  Tensor result(shape);
  for (Index i = 0; i < result.size(); ++i) result.data()[i] = static_cast<real>(i);
  return result;
}

}  // namespace

TEST_CASE("a tensor that was never given a shape is undefined") {
  const Tensor none;
  CHECK(!none.defined());
  CHECK(Tensor(Shape{2}).defined());
  CHECK(Tensor(Shape{}).defined());
  CHECK_THROWS_AS(none.item(), Error);
}

TEST_CASE("tensors are made of values") {
  const Tensor x({2, 2}, {1, 2, 3, 4});
  CHECK(x.rank() == 2);
  CHECK(x.size() == 4);
  CHECK(x.values() == Values{1, 2, 3, 4});
  CHECK(Tensor::zeros({3}).values() == Values{0, 0, 0});
  CHECK(Tensor::ones({2, 1}).values() == Values{1, 1});
  CHECK(Tensor::full({2}, 7).values() == Values{7, 7});
  CHECK(Tensor::scalar(5).shape() == Shape{});
  CHECK(Tensor::scalar(5).item() == 5);
  CHECK(fails([] { Tensor({2, 3}, {1, 2, 3, 4, 5}); }, {"[Tensor]", "(2, 3)", "6", "5"}));
  CHECK(fails([] { Tensor({2}, {1, 2, 3}); }, {"[Tensor]", "(2)", "3"}));
}

TEST_CASE("a copy, a reshape and an index share the numbers; a clone does not") {
  Tensor x = counting({2, 3, 4});
  CHECK(x.unique());
  const Tensor copy = x, flat = x.reshape({24}), part = x[1], row = x[1][2], element = x[1][2][3], clone = x.clone();
  CHECK(!x.unique());
  CHECK(clone.unique());
  CHECK(flat.shape() == Shape{24});
  CHECK(part.shape() == Shape{3, 4});
  CHECK(part.data() == x.data() + 12);
  CHECK(row.shape() == Shape{4});
  CHECK(row.values() == Values{20, 21, 22, 23});
  CHECK(element.shape() == Shape{});
  CHECK(element.item() == 23);
  x.data()[23] = -1;
  CHECK(copy.data()[23] == -1);
  CHECK(flat.data()[23] == -1);
  CHECK(part.data()[11] == -1);
  CHECK(row.values() == Values{20, 21, 22, -1});
  CHECK(element.item() == -1);
  CHECK(clone.data()[23] == 23);
  CHECK(x[0].reshape({4, 3})[3].values() == Values{9, 10, 11});
  CHECK(x[0].reshape({-1, 3})[-1].values() == Values{9, 10, 11});
  CHECK(x[1].clone().values() == part.values());
}

TEST_CASE("a part keeps the block alive, and alone it is unique") {
  Tensor part;
  {
    const Tensor x = counting({2, 3});
    part = x[1];
    CHECK(!part.unique());
  }
  CHECK(part.unique());
  CHECK(part.values() == Values{3, 4, 5});
}

TEST_CASE("what does not fit is refused") {
  const Tensor x = counting({2, 3});
  CHECK(fails([&] { x.reshape({4}); }, {"[reshape]", "(2, 3)", "(4)"}));
  CHECK(fails([&] { x.item(); }, {"[item]", "(2, 3)"}));
  CHECK(fails([&] { x[2]; }, {"[Tensor]", "2", "(2, 3)"}));
  CHECK(fails([&] { x[-3]; }, {"[Tensor]", "-3", "(2, 3)"}));
  CHECK(fails([&] { x[0][0][0]; }, {"[Tensor]", "()"}));
  CHECK(Tensor::ones({1, 1, 1}).item() == 1);
}

TEST_CASE("a moved operand that nobody else holds is overwritten, any other is left alone") {
  const Tensor b = counting({3});
  Tensor x = Tensor::ones({2, 3});
  const real* const block = x.data();
  x = std::move(x) + b;
  CHECK(x.data() == block);
  CHECK(x.values() == Values{1, 2, 3, 1, 2, 3});

  const Tensor holder = x;  // now someone else sees these numbers
  x = std::move(x) * real{2};
  CHECK(x.data() != block);
  CHECK(x.values() == Values{2, 4, 6, 2, 4, 6});
  CHECK(holder.values() == Values{1, 2, 3, 1, 2, 3});

  const Tensor whole = counting({2, 3});
  Tensor part = whole[1];  // shares them too
  part = relu(std::move(part) - real{10});
  CHECK(part.values() == Values{0, 0, 0});
  CHECK(whole.values() == Values{0, 1, 2, 3, 4, 5});

  const Tensor same = whole * whole;  // one handle twice
  CHECK(same.values() == Values{0, 1, 4, 9, 16, 25});
  CHECK(whole.values() == Values{0, 1, 2, 3, 4, 5});
}
