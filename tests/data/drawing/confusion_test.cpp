#include "data/drawing/confusion.h"

#include <doctest/doctest.h>

#include <cmath>
#include <sstream>

#include "tests/golden/golden.h"
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

TEST_CASE("confusion matrix: F1, balanced accuracy and precision are scikit-learn's") {
  const Golden golden("metrics");
  std::istringstream cases(golden.meta("cases"));
  int never = 0;
  for (std::string name; std::getline(cases, name);) {
    CAPTURE(name);
    const std::vector<int> y = golden.ints(name + "/y"), predicted = golden.ints(name + "/predicted");
    ConfusionMatrix m(5);
    for (std::size_t i = 0; i < y.size(); ++i) m.add(y[i], predicted[i]);
    const auto same = [&](double got, const char* what, std::size_t at = 0) {
      const double want = golden.doubles(name + "/" + what)[at];
      CHECK(((std::isnan(got) && std::isnan(want)) || std::abs(got - want) < 1e-6));
    };
    same(m.macro_f1(), "macro_f1");
    same(m.balanced_accuracy(), "balanced_accuracy");
    for (Index c = 0; c < 5; ++c) {
      same(m.precision(c), "precision", static_cast<std::size_t>(c));
      CHECK(std::isnan(m.f1(c)) == (m.of(c) + m.taken_for(c) == 0));
      if (!std::isnan(m.f1(c))) same(m.f1(c), "f1", static_cast<std::size_t>(c));
      never += m.taken_for(c) == 0;
    }
  }
  CHECK(never > 5);
  ConfusionMatrix m(3);
  CHECK(std::isnan(m.macro_f1()));
  CHECK(std::isnan(m.balanced_accuracy()));
  m.add(1, 0), m.add(1, 1), m.add(2, 0), m.add(2, 0), m.add(0, 0);
  CHECK(m.largest_class() == 1);  // the first of two
}
