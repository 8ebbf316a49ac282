// An op, a layer and a model of your own: sines, which learn a picture as a function of the place in it.
#include <bobbin.h>

#include <cstdio>

using namespace bobbin;

Tensor each(const Tensor& x, double (*f)(double)) {
  std::vector<real> y = x.values();
  for (real& number : y) number = real(f(number));
  return {x.shape(), y};
}

/// The op, sin(x): its value, and what its input gets of dY.
Var sine(const Var& x) {
  const Tensor X = x.value();
  return record("sine", each(X, std::sin), {{x, [X](Tensor dY) { return std::move(dY) * each(X, std::cos); }}});
}

/// The layer, waves in many directions (Sitzmann et al., 2020): (..., in) -> (..., out).
struct Waves {
  Linear linear;
  Waves(Index in, Index out, Rng& rng) : linear(in, out, rng) {}
  Var operator()(const Var& x) { return sine(10 * linear(x)); }
  void visit(auto&& v) { v("linear", linear); }
};

/// The model: places (N, 2) -> how bright it is there, (N, 1).
struct Painter {
  Waves in, middle;
  Linear out;

  explicit Painter(Rng& rng) : in(2, 48, rng), middle(48, 48, rng), out(48, 1, rng) {}
  Var operator()(const Var& places) { return out(middle(in(places))); }
  void visit(auto&& v) { v("in", in), v("middle", middle), v("out", out); }
};

int main(int, char** argv) {
  return run_main(argv, [] {
    gradcheck("sine", [](const std::vector<Var>& in) { return sine(in[0]); }, {{3, 5}});
    Rng rng(0);
    Painter model(rng);
    for (const auto& [name, parameter] : named_parameters(model)) std::printf("%s\n", name.c_str());
    Image picture = blank(9, 34, black);
    draw_text(picture, 3, 0, "waves", white);
    std::vector<real> at, bright(picture.bytes.begin(), picture.bytes.begin() + 9 * 34);
    for (Index i = 0; i < 9 * 34; ++i) at.insert(at.end(), {real(i % 34) / 10, real(i / 34) / 10});
    const Tensor places({9 * 34, 2}, at), wanted = Tensor({9 * 34, 1}, bright) / 255;
    AdamW adamw(named_parameters(model));
    for (int step = 0; step <= 60; ++step) {
      const real loss = training_step([&] { return mse_loss(model(places), wanted); }, adamw, real(0.003));
      if (step % 30 != 0) continue;
      std::printf("step %d: loss %.4f\n", step, loss);
      const std::vector<real> light = clamp(model(places).value(), 0, 1).values();
      for (std::size_t i = 0; i < 9 * 34; ++i)
        std::printf(i % 34 == 33 ? "%c\n" : "%c", " .:-=+*#%@"[int(light[i] * real(9.9))]);
    }
  });
}
