// A multilayer perceptron learns which of two spirals a point is on: Sequential, a data set of two tensors, batches.
//
//     c++ -O2 mlp.cpp $(pkg-config --cflags --libs bobbin) -o mlp && ./mlp
#include <bobbin.h>

#include <cmath>
#include <cstdio>

using namespace bobbin;

namespace {

// Points (N, 2), and which spiral each is on as probabilities (N, 2).
TensorDataset spirals(Index count, Rng& rng) {
  std::vector<real> points, targets;
  for (const real t : rng.uniform({count}, real(0.5), 3).values()) {
    const bool second = targets.size() % 4 == 2;
    const real angle = real(3) * t + (second ? real(M_PI) : 0);
    points.insert(points.end(), {t * std::cos(angle), t * std::sin(angle)});
    targets.insert(targets.end(), {real(!second), real(second)});
  }
  return {Tensor({count, 2}, points), Tensor({count, 2}, targets)};
}

}  // namespace

int main(int, char** argv) {
  return run_main(argv, [] {
    Rng rng(0);
    const TensorDataset train = spirals(500, rng), test = spirals(200, rng);
    Sequential model{Linear(2, 64, rng), ReLU(), Linear(64, 64, rng), ReLU(), Linear(64, 2, rng)};
    AdamW adamw(named_parameters(model));
    for (int epoch = 0; epoch < 60; ++epoch)
      for (const auto& [x, y] : batches(train, 50, rng)) {
        Tape tape;
        tape.backward(cross_entropy(model(x), y));
        adamw.step(real(0.005));
      }
    const auto [x, y] = test.all();  // without a tape nothing is recorded
    const Labels predicted = argmax(model(x).value(), 1), wanted = argmax(y, 1);
    int right = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) right += predicted[i] == wanted[i];
    std::printf("%lld parameters\n", static_cast<long long>(state_of(model).count_parameters()));
    std::printf("accuracy %.3f on points that it has not seen\n", right / 200.0);
  });
}
