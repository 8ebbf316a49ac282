#include "apps/lessons/check.h"

#include "apps/lessons/4_line/exercise.h"
#include "apps/lessons/4_line/solution.h"

using namespace bobbin;

namespace {

void check_loss(Var (*mean_squared_error)(const Var&, const Tensor&)) {
  const Tensor Y = Rng(7).uniform({5, 2}, 2, 3);
  gradcheck("mean_squared_error", [&](const std::vector<Var>& in) { return mean_squared_error(in[0], Y); }, {{5, 2}});
}

}  // namespace

int main(int argc, char** argv) {
  return check_exercise(
      argc, argv, [] { check_loss(exercise::mean_squared_error); }, [] { check_loss(solution::mean_squared_error); });
}
