// Layers of one's own, RMSNorm and SwiGLU: a struct, its members named by visit(), and its gradient checked. They learn
// to multiply, which a perceptron of this size hardly does.
//
//     c++ -O2 layers.cpp $(pkg-config --cflags --libs bobbin) -o layers && ./layers
#include <bobbin.h>

#include <cstdio>

using namespace bobbin;

namespace mine {

/// x / sqrt(mean(x²) + eps) · weight over the last axis: (B, C) -> (B, C)  (Zhang, Sennrich, 2019).
struct RMSNorm {
  Var weight;  // (C)

  explicit RMSNorm(Index width) : weight(Var::parameter(Tensor::ones({width}))) {}
  Var operator()(const Var& x) {
    const Var squares = reshape(mean(x * x, 1), {x.shape()[0], 1});  // (B, 1)
    return x / sqrt(squares + real(1e-6)) * weight;
  }
  void visit(auto&& v) { v("weight", weight); }
};

/// down(silu(gate(x)) · up(x)): (B, C) -> (B, C)  (Shazeer, 2020).
struct SwiGLU {
  Linear gate, up, down;

  SwiGLU(Index width, Index hidden, Rng& rng)
      : gate(width, hidden, rng, false), up(width, hidden, rng, false), down(hidden, width, rng, false) {}
  Var operator()(const Var& x) { return down(silu(gate(x)) * up(x)); }
  void visit(auto&& v) { v("gate", gate), v("up", up), v("down", down); }
};

}  // namespace mine

int main(int, char** argv) {
  return run_main(argv, [] {
    Rng rng(0);
    mine::RMSNorm norm(5);
    mine::SwiGLU glu(5, 7, rng);
    const Tensor some = rng.normal({3, 5});
    gradcheck(
        "RMSNorm", [&] { return norm(some); }, named_parameters(norm));  // throws where they differ
    gradcheck(
        "SwiGLU", [&] { return glu(some); }, named_parameters(glu));

    Sequential model{Linear(2, 16, rng), mine::SwiGLU(16, 32, rng), mine::RMSNorm(16), mine::SwiGLU(16, 32, rng),
                     Linear(16, 1, rng)};
    for (const auto& [name, parameter] : named_parameters(model))
      if (name.starts_with("1.")) std::printf("%s\n", name.c_str());
    AdamW adamw(named_parameters(model));
    real last = 0;
    for (int step = 0; step < 500; ++step) {
      const Tensor x = rng.uniform({64, 2}, -1, 1);
      Tape tape;
      const Var error = model(x) - slice(x, 1, 0, 1) * slice(x, 1, 1, 2);  // (64, 1)
      const Var loss = mean(error * error);
      tape.backward(loss);
      adamw.step(real(0.003));
      last = loss.value().item();
    }
    std::printf("loss %.5f, where the products have a variance of 0.11\n", last);
  });
}
