#include "apps/lessons/check.h"

#include "apps/lessons/9_own/exercise.h"
#include "apps/lessons/9_own/solution.h"

using namespace bobbin;

namespace {

template <class Gate>
void check_own(Var (*softsign)(const Var&)) {
  // Away from 0, where there is a corner.
  Var x = Var::parameter(Tensor({2, 3}, {-3, -2, -1, 1, 2, 3}));
  gradcheck("softsign", [&] { return softsign(x); }, {{"x", x}});

  Rng rng(3);
  Gate layer(4, rng);
  const Tensor X = rng.normal({5, 4}), G = layer.gate(X).value(), want = X * G / (1 + abs(G)), got = layer(X).value();
  for (std::size_t i = 0; i < 20; ++i)
    check(std::abs(got.values()[i] - want.values()[i]) < 1e-5, "lesson 9", "element ", i, " of the result is ",
          got.values()[i], ", and x·softsign(gate(x)) is ", want.values()[i],
          ": see operator() in apps/lessons/9_own/exercise.h");
  const std::vector<NamedParameter> named = named_parameters(layer);
  check(named.size() == 2 && named[0].first == "gate.weight", "lesson 9", "visit() names ", named.size(),
        " parameters, and gate.weight and gate.bias would be right: what it does not name never learns");
  gradcheck(
      "Gate", [&] { return layer(X); }, named);
}

}  // namespace

int main(int argc, char** argv) {
  return check_exercise(
      argc, argv, [] { check_own<exercise::Gate>(exercise::softsign); },
      [] { check_own<solution::Gate>(solution::softsign); });
}
