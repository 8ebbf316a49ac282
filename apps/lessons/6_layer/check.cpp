#include "apps/lessons/check.h"

#include "apps/lessons/6_layer/exercise.h"
#include "apps/lessons/6_layer/solution.h"

using namespace bobbin;

namespace {

template <class Gate>
void check_gate() {
  Rng rng(3);
  Gate layer(4, rng);
  const Tensor X = rng.normal({5, 4}), want = X * sigmoid(layer.gate(X).value()), got = layer(X).value();
  for (std::size_t i = 0; i < 20; ++i)
    check(std::abs(got.values()[i] - want.values()[i]) < 1e-5, "lesson 6", "element ", i, " of the result is ",
          got.values()[i], ", and x·σ(gate(x)) is ", want.values()[i],
          ": see operator() in apps/lessons/6_layer/exercise.h");
  const std::vector<NamedParameter> named = named_parameters(layer);
  check(named.size() == 2 && named[0].first == "gate.weight", "lesson 6", "visit() names ", named.size(),
        " parameters, and gate.weight and gate.bias would be right: what it does not name never learns");
  gradcheck(
      "Gate", [&] { return layer(X); }, named);
}

}  // namespace

int main(int argc, char** argv) {
  return check_exercise(argc, argv, check_gate<exercise::Gate>, check_gate<solution::Gate>);
}
