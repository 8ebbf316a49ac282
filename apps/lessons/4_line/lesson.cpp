// A line fitted to points: a loss, its gradients, and a step, again and again.
#include <bobbin.h>

#include <cstdio>

using namespace bobbin;

int main(int, char** argv) {
  return run_main(argv, [] {
    Rng rng(0);
    const Tensor x = rng.uniform({100}, -1, 1);                            // (100)
    const Tensor y = 3 * x - real(0.5) + rng.normal({100}, 0, real(0.1));  // a line, with noise
    Var slope = Var::parameter(Tensor::zeros({1})), shift = Var::parameter(Tensor::zeros({1}));

    for (int step = 0; step <= 50; ++step) {
      Tape tape;
      const Var error = slope * x + shift - y;  // (100): how far each point is from the line
      const Var loss = mean(error * error);
      tape.backward(loss);
      for (Var* parameter : {&slope, &shift})  // against the gradient: what an optimizer does
        parameter->mutable_value().assign(parameter->value() - real(0.3) * parameter->take_grad());
      if (step % 10 == 0)
        std::printf("step %2d: loss %.4f, y = %.2f x %+.2f\n", step, loss.value().item(), slope.value().item(),
                    shift.value().item());
    }
    std::printf("the points are on y = 3.00 x - 0.50, and the noise alone has a loss of 0.01\n");
  });
}
