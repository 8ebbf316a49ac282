#include "tensor/shape.h"

#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

std::string text(const Shape& shape) {
  std::ostringstream out;
  out << shape;
  return out.str();
}

}  // namespace

TEST_CASE("a shape knows its sizes, from the front and from the back") {
  const Shape shape{2, 3, 4};
  CHECK(shape.rank() == 3);
  CHECK(shape.size() == 24);
  CHECK(shape[0] == 2);
  CHECK(shape[2] == 4);
  CHECK(shape[-1] == 4);
  CHECK(shape[-3] == 2);
  CHECK(std::vector<Index>(shape.begin(), shape.end()) == std::vector<Index>{2, 3, 4});
  CHECK(shape.wrap(-1) == 2);
  CHECK(shape.wrap(0) == 0);
  CHECK(shape.product(0, 2) == 6);
  CHECK(shape.product(1, 3) == 12);
  CHECK(shape.product(1, 1) == 1);
  CHECK(text(shape) == "(2, 3, 4)");
}

TEST_CASE("a scalar has no axes and one element") {
  const Shape scalar;
  CHECK(scalar.rank() == 0);
  CHECK(scalar.size() == 1);
  CHECK(scalar == Shape{});
  CHECK(text(scalar) == "()");
  CHECK_THROWS_AS(scalar.wrap(0), Error);
  CHECK_THROWS_AS(scalar.wrap(-1), Error);
}

TEST_CASE("shapes are equal only axis by axis") {
  CHECK(Shape{2, 3} == Shape{2, 3});
  CHECK(Shape{2, 3} != Shape{3, 2});
  CHECK(Shape{6} != Shape{2, 3});
  CHECK(Shape{2} != Shape{2, 1});
  CHECK(Shape{1} != Shape{});
}

TEST_CASE("with and without change one axis and the size") {
  const Shape shape{2, 3, 4};
  CHECK(shape.with(1, 5) == Shape{2, 5, 4});
  CHECK(shape.with(-1, 1).size() == 6);
  CHECK(shape.without(0) == Shape{3, 4});
  CHECK(shape.without(1) == Shape{2, 4});
  CHECK(shape.without(-1) == Shape{2, 3});
  CHECK(shape.without(-1).size() == 6);
  CHECK(Shape{7}.without(0) == Shape{});
  CHECK(shape == Shape{2, 3, 4});
}

TEST_CASE("impossible shapes are refused with a sentence") {
  CHECK(Shape{1, 2, 3, 4, 5, 6}.rank() == 6);
  CHECK(error_of([] { Shape{1, 1, 1, 1, 1, 1, 1}; }).find("at most 6 axes, got 7") != std::string::npos);
  CHECK(error_of([] { Shape{3, -2}; }).find("axis 1 must have a size of 0 or more, got -2") != std::string::npos);
  CHECK(error_of([] { Shape{2}.with(0, -1); }).find("[Shape]") == 0);
  const Index large = Index{1} << 32;
  CHECK(Shape{large, large / 4}.size() == Index{1} << 62);
  CHECK(error_of([=] { Shape{large, large}; }).find("2^63") != std::string::npos);
  CHECK(error_of([=] { Shape{large, large, large}; }).find("2^63") != std::string::npos);
  for (const int axis : {3, -4}) {
    const std::string message = error_of([=] { Shape({2, 3, 4}).wrap(axis); });
    CHECK(message.find("no axis " + std::to_string(axis)) != std::string::npos);
    CHECK(message.find("(2, 3, 4)") != std::string::npos);
  }
}

TEST_CASE("a size that is not known follows from the others") {
  const Shape shape{2, 3, 4};
  CHECK(shape.reshaped({-1}) == Shape{24});
  CHECK(shape.reshaped({4, -1, 2}) == Shape{4, 3, 2});
  CHECK(shape.reshaped({24, -1}) == Shape{24, 1});
  CHECK(Shape{0, 3}.reshaped({-1, 3}) == Shape{0, 3});
  CHECK(Shape{}.reshaped({-1}) == Shape{1});
  CHECK(error_of([=] {
          shape.reshaped({5, -1});
        }) ==
        "[reshape] no size for -1 makes 24 elements, those of (2, 3, 4), with the other sizes, whose product is 5");
  CHECK(error_of([=] { Shape({0, 3}).reshaped({0, -1}); }).find("no size for -1") != std::string::npos);
  CHECK(error_of([=] { shape.reshaped({-1, -1}); }).find("only one size can be -1") != std::string::npos);
  CHECK(error_of([=] { shape.reshaped({-2, -1}); }).find("got -2") != std::string::npos);
}

TEST_CASE("a reduction's axes, from either end, go away or stay with size 1") {
  const Shape shape{2, 3, 4};
  CHECK(reduced("op", shape, {}, false) == Shape{});
  CHECK(reduced("op", shape, {}, true) == Shape{1, 1, 1});
  CHECK(reduced("op", shape, 1, false) == Shape{2, 4});
  CHECK(reduced("op", shape, {-1, 0}, false) == Shape{3});
  CHECK(reduced("op", shape, {-1, 0}, true) == Shape{1, 3, 1});
  CHECK(reduced("op", {}, 0, true) == Shape{});
  CHECK(Rows("op", shape, {1}).order == std::vector<int>{0, 2, 1});
  CHECK(Rows("op", shape, {1}).rows == 8);
  CHECK(Rows("op", shape, {2, 1}).in_order());
  CHECK(error_of([=] { reduced("op", shape, 3, true); }) == "[op] there is no axis 3 in the shape (2, 3, 4)");
  CHECK(error_of([=] { reduced("op", shape, {0, -3}, true); }) == "[op] axis -3 of the shape (2, 3, 4) is named twice");
  CHECK(error_of([=] { reduced("op", {}, 1, true); }) == "[op] there is no axis 1 in the shape ()");
}

TEST_CASE("shapes broadcast by NumPy's rule") {
  CHECK(broadcast("op", {0, 3}, {1, 3}) == Shape{0, 3});
  CHECK(broadcast("op", {1}, {2, 0}) == Shape{2, 0});
  CHECK(error_of([] { broadcast("op", {0}, {2}); }).find("0 against 2") != std::string::npos);
  CHECK(broadcast("op", {2, 3}, {2, 3}) == Shape{2, 3});
  CHECK(broadcast("op", {2, 3}, {}) == Shape{2, 3});
  CHECK(broadcast("op", {}, {2, 3}) == Shape{2, 3});
  CHECK(broadcast("op", {2, 3}, {3}) == Shape{2, 3});
  CHECK(broadcast("op", {3}, {2, 1}) == Shape{2, 3});
  CHECK(broadcast("op", {5, 1, 4}, {1, 7, 1}) == Shape{5, 7, 4});
  CHECK(broadcast("op", {1, 1}, {1}) == Shape{1, 1});
  CHECK(broadcast("op", {1, 2, 1, 2, 1, 2}, {2, 1, 2, 1, 2, 1}) == Shape{2, 2, 2, 2, 2, 2});
  for (const auto& [a, b] : {std::pair{Shape{2, 3}, Shape{2}}, {Shape{4, 3}, Shape{2, 3}}, {Shape{2}, Shape{3}}}) {
    const std::string message = error_of([&a = a, &b = b] { broadcast("op", a, b); });
    CHECK(message.find("[op]") == 0);
    CHECK(message.find(text(a) + " and " + text(b)) != std::string::npos);
  }
}
