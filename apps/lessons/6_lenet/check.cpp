#include "apps/lessons/check.h"

#include "apps/lessons/6_lenet/exercise.h"
#include "apps/lessons/6_lenet/solution.h"

using namespace bobbin;

namespace {

void check_convolve(Var (*convolve)(const Var&, const Var&)) {
  gradcheck("convolve", [&](const std::vector<Var>& in) { return convolve(in[0], in[1]); }, {{7}, {3}});
}

}  // namespace

int main(int argc, char** argv) {
  return check_exercise(
      argc, argv, [] { check_convolve(exercise::convolve); }, [] { check_convolve(solution::convolve); });
}
