#include "apps/lessons/check.h"

#include "apps/lessons/5_spirals/exercise.h"
#include "apps/lessons/5_spirals/solution.h"

using namespace bobbin;

namespace {

// At numbers away from 0, where there is no derivative.
void check_leaky_relu(Var (*leaky_relu)(const Var&)) {
  Var x = Var::parameter(Tensor({2, 3}, {-3, -2, -1, 1, 2, 3}));
  gradcheck("leaky_relu", [&] { return leaky_relu(x); }, {{"x", x}});
}

}  // namespace

int main(int argc, char** argv) {
  return check_exercise(
      argc, argv, [] { check_leaky_relu(exercise::leaky_relu); }, [] { check_leaky_relu(solution::leaky_relu); });
}
