// A multilayer perceptron learns which of two spirals a point is on, and draws what it thinks of all the others.
#include <bobbin.h>

#include <cmath>
#include <cstdio>

using namespace bobbin;

namespace {

// Points (N, 2), and which spiral each is on.
std::pair<Tensor, Labels> spirals(Index count, Rng& rng) {
  std::vector<real> points;
  Labels labels;
  for (const real t : rng.uniform({count}, real(0.5), 3).values()) {
    const int second = static_cast<int>(labels.size() % 2);
    const double angle = 3 * double{t} + second * M_PI;
    points.insert(points.end(), {t * static_cast<real>(std::cos(angle)), t * static_cast<real>(std::sin(angle))});
    labels.push_back(second);
  }
  return {Tensor({count, 2}, points), labels};
}

}  // namespace

int main(int, char** argv) {
  return run_main(argv, [] {
    Rng rng(0);
    const auto [X, y] = spirals(400, rng);
    Sequential model{Linear(2, 32, rng), ReLU(), Linear(32, 32, rng), ReLU(), Linear(32, 2, rng)};
    AdamW adamw(named_parameters(model));
    for (int step = 1; step <= 600; ++step) {
      Tape tape;
      const Var loss = cross_entropy(model(X), y);
      tape.backward(loss);
      adamw.step(real(0.01));
      if (step % 150 == 0) std::printf("step %d: loss %.4f\n", step, loss.value().item());
    }
    const Labels predicted = argmax(model(X).value(), 1);
    int right = 0;
    for (std::size_t i = 0; i < y.size(); ++i) right += predicted[i] == y[i];
    std::printf("%.3f of the points are where they belong\n", right / 400.0);

    constexpr Index side = 200;
    std::vector<real> grid;  // each pixel as a point, from -3.2 to 3.2
    for (Index i = 0; i < side * side; ++i)
      for (const Index place : {i % side, i / side}) grid.push_back(real(6.4) * real(place) / side - real(3.2));
    const std::vector<real> second = slice(softmax(model(Tensor({side * side, 2}, grid)).value()), 1, 1, 2).values();
    Image picture = blank(side, side);
    for (Index i = 0; i < side * side; ++i)
      fill(picture, i % side, i / side, 1, 1, inferno(0.2 + 0.6 * double{second[static_cast<std::size_t>(i)]}));
    const std::vector<real> points = X.values();
    const auto pixel = [](real place) { return static_cast<Index>((place + real(3.2)) / real(6.4) * side); };
    for (std::size_t i = 0; i < y.size(); ++i)
      fill(picture, pixel(points[2 * i]) - 1, pixel(points[2 * i + 1]) - 1, 2, 2, y[i] == 0 ? white : black);
    write_png("spirals.png", picture);
    std::printf("spirals.png shows what it thinks of every point\n");
  });
}
