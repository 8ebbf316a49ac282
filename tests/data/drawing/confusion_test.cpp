#include "data/drawing/confusion.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

TEST_CASE("confusion matrix: counted by hand") {
  ConfusionMatrix m(3);
  for (int i = 0; i < 5; ++i) m.add(0, 0);
  m.add(0, 1), m.add(0, 1), m.add(1, 0), m.add(1, 1);
  CHECK(m.total() == 9);
  CHECK(m.counts() == std::vector<std::vector<Index>>{{5, 2, 0}, {1, 1, 0}, {0, 0, 0}});
  CHECK(m.of(0) == 7);
  CHECK(m.taken_for(0) == 6);
  CHECK(m.precision(0) == doctest::Approx(5.0 / 6));
  CHECK(m.recall(0) == doctest::Approx(5.0 / 7));
  CHECK(m.precision(1) == doctest::Approx(1.0 / 3));
  CHECK(m.recall(1) == doctest::Approx(1.0 / 2));
  CHECK(std::isnan(m.precision(2)));  // never predicted
  CHECK(std::isnan(m.recall(2)));     // never there
  CHECK(fails([&] { m.add(3, 0); }, {"no class 3 of 3"}));
  CHECK(fails([&] { m.add(0, -1); }, {"-1"}));
  CHECK(fails([] { ConfusionMatrix(0); }, {"needs a class"}));
}
