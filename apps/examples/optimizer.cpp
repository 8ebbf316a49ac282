// An optimizer of one's own, torch.optim.RMSprop: what it remembers of a parameter, and how one parameter moves. State,
// checkpoints and resuming come from its base class.
//
//     c++ -O2 optimizer.cpp $(pkg-config --cflags --libs bobbin) -o optimizer && ./optimizer
#include <bobbin.h>

#include <cstdio>

using namespace bobbin;

namespace {

/// v = alpha·v + (1 - alpha)·g²;  w -= lr · g/(√v + eps)  (Tieleman, Hinton, 2012).
class RMSprop : public Optimizer {
 public:
  explicit RMSprop(std::vector<NamedParameter> parameters, real alpha = real(0.99), real eps = real(1e-8))
      : Optimizer(std::move(parameters), decay_all, {"square_avg"}), alpha_(alpha), eps_(eps) {}
  const char* name() const override { return "rmsprop"; }

 private:
  void update(Tensor w, const Tensor& dW, Memory& memory, const StepSize& size) override {
    Tensor& v = memory.tensors[0];  // undefined before the first step
    if (!v.defined()) v = Tensor::zeros(w.shape());
    v.assign(alpha_ * v + (1 - alpha_) * dW * dW);
    w.assign(w - size.lr * dW / (sqrt(v) + eps_));
  }

  real alpha_, eps_;
};

// The distance of a linear map from one whose inputs are of very different sizes, after 1000 steps.
template <class Rule>
real loss_after(real lr) {
  Rng rng(0);
  const Tensor x = rng.normal({200, 3}) * Tensor({3}, {10, 1, real(0.1)});  // (200, 3)
  const Tensor y = matmul(x, Tensor({3, 1}, {real(0.1), 1, 10}));           // (200, 1)
  Linear model(3, 1, rng);
  Rule rule(named_parameters(model));
  real loss = 0;
  for (int step = 0; step < 1000; ++step)
    loss = training_step(
        [&] {
          const Var error = model(x) - y;
          return mean(error * error);
        },
        rule, lr);
  return loss;
}

}  // namespace

int main(int, char** argv) {
  return run_main(argv, [] {
    std::printf("SGD with lr 0.005: %.4f; a larger lr diverges\n", loss_after<SGD>(real(0.005)));
    std::printf("RMSprop with lr 0.02: loss %.4f\n", loss_after<RMSprop>(real(0.02)));
  });
}
