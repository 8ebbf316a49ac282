// A line fitted to points: a parameter, a tape and a step, and nothing else.
//
//     c++ -O2 line.cpp $(pkg-config --cflags --libs bobbin) -o line && ./line
#include <bobbin.h>

#include <cstdio>

using namespace bobbin;

int main(int, char** argv) {
  return run_main(argv, [] {
    Rng rng(0);
    const Tensor x = rng.uniform({100}, -1, 1);                            // (100)
    const Tensor y = 3 * x - real(0.5) + rng.normal({100}, 0, real(0.1));  // with noise
    Var slope = Var::parameter(Tensor::zeros({1})), shift = Var::parameter(Tensor::zeros({1}));
    SGD sgd({{"slope", slope}, {"shift", shift}});
    real last = 0;
    for (int step = 0; step < 100; ++step) {
      Tape tape;                                // recording starts here
      const Var error = slope * x + shift - y;  // (100)
      const Var loss = mean(error * error);
      tape.backward(loss);  // gradients land in slope and shift
      sgd.step(real(0.3));  // and move them
      last = loss.value().item();
    }
    std::printf("the points are on y = 3.00 x - 0.50, the line is y = %.2f x %+.2f\n", slope.value().item(),
                shift.value().item());
    std::printf("loss %.4f; the noise alone has 0.01\n", last);
  });
}
