#include "apps/lessons/check.h"

#include "apps/lessons/7_attention/exercise.h"
#include "apps/lessons/7_attention/solution.h"

using namespace bobbin;

namespace {

void check_softmax(Var (*softmax)(const Var&)) {
  gradcheck("softmax", [&](const std::vector<Var>& in) { return softmax(in[0]); }, {{3, 5}});
}

}  // namespace

int main(int argc, char** argv) {
  return check_exercise(
      argc, argv, [] { check_softmax(exercise::softmax); }, [] { check_softmax(solution::softmax); });
}
