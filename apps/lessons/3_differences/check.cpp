#include "apps/lessons/check.h"

#include "apps/lessons/3_differences/exercise.h"
#include "apps/lessons/3_differences/solution.h"

using namespace bobbin;

namespace {

void check_add_bias(Var (*add_bias)(const Var&, const Var&)) {
  gradcheck("add_bias", [&](const std::vector<Var>& in) { return add_bias(in[0], in[1]); }, {{4, 3}, {3}});
}

}  // namespace

int main(int argc, char** argv) {
  return check_exercise(
      argc, argv, [] { check_add_bias(exercise::add_bias); }, [] { check_add_bias(solution::add_bias); });
}
