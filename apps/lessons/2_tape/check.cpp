#include "apps/lessons/check.h"

#include "apps/lessons/2_tape/exercise.h"
#include "apps/lessons/2_tape/solution.h"

using namespace bobbin;

namespace {

void check_product(Var (*product)(const Var&, const Var&)) {
  gradcheck("product", [&](const std::vector<Var>& in) { return product(in[0], in[1]); }, {{2, 3}, {2, 3}});
  // One input, used twice: what arrives adds up.
  gradcheck("product of x with itself", [&](const std::vector<Var>& in) { return product(in[0], in[0]); }, {{4}});
}

}  // namespace

int main(int argc, char** argv) {
  return check_exercise(
      argc, argv, [] { check_product(exercise::product); }, [] { check_product(solution::product); });
}
