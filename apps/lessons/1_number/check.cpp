#include "apps/lessons/check.h"

#include "apps/lessons/1_number/exercise.h"
#include "apps/lessons/1_number/solution.h"

using namespace bobbin;

namespace {

// At a few points the gradient of 2y, for which dY is 2, compared with (f(x + h) - f(x - h)) / 2h of f = 2y, which for
// 2x³ is 6x² + 2h².
void check_cube(Var (*cube)(const Var&)) {
  for (const real at : {real(2), real(-1), real(0.5)}) {
    Var x = Var::parameter(Tensor::scalar(at));
    Tape tape;
    const Var y = cube(x);
    tape.backward(2 * y);
    const auto f = [&](real t) { return 2 * cube(Var(Tensor::scalar(t))).value().item(); };
    const real h = real(1) / 128;
    const real want = (f(at + h) - f(at - h)) / (2 * h), got = x.grad().item();
    check(std::abs(y.value().item() - at * at * at) < 1e-4, "lesson 1", "at x = ", at, " the value is ",
          y.value().item(), ", and x³ is ", at * at * at);
    check(std::abs(got - want) < 0.01, "lesson 1", "at x = ", at, " the VJP gives ", got,
          " for dY = 2, and finite differences ", std::round(100 * want) / 100,
          ": see the line \"yours\" in apps/lessons/1_number/exercise.h");
  }
}

}  // namespace

int main(int argc, char** argv) {
  return check_exercise(
      argc, argv, [] { check_cube(exercise::cube); }, [] { check_cube(solution::cube); });
}
