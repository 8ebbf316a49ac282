// A number with a gradient: how the result of a formula changes with what goes into it.
#include <bobbin.h>

#include <cstdio>

using namespace bobbin;

int main(int, char** argv) {
  return run_main(argv, [] {
    Var x = Var::parameter(Tensor::scalar(2));  // a number of which a gradient is wanted
    {
      Tape tape;                    // recording starts here
      const Var y = x * x + 3 * x;  // y = x² + 3x
      tape.backward(y);             // the gradient lands in x
      std::printf("at x = 2: y = %g and dy/dx = %g; by hand it is 2x + 3 = 7\n", y.value().item(), x.grad().item());
    }  // the tape ends

    // The gradient says where up is, so the way down is the other one.
    x.take_grad();
    for (int step = 1; step <= 20; ++step) {
      Tape tape;
      const Var y = x * x + 3 * x;
      tape.backward(y);
      const real slope = x.take_grad().item();  // taken out, so that the next one starts afresh
      x.mutable_value().assign(x.value() - real(0.2) * slope);
      if (step % 5 == 0) std::printf("step %2d: x = %.3f, y = %.4f\n", step, x.value().item(), y.value().item());
    }
    std::printf("the lowest point is at x = -1.5, y = -2.25\n");
  });
}
