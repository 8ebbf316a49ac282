// Finite differences: how one knows that a gradient is right, and how closely.
#include <bobbin.h>

#include <cmath>
#include <cstdio>

using namespace bobbin;

namespace {

// d/dx exp(sin x) at x, from two values beside it.
template <class Number>
Number slope(Number x, Number h) {
  const auto f = [](Number at) { return std::exp(std::sin(at)); };
  return (f(x + h) - f(x - h)) / (2 * h);
}

}  // namespace

int main(int, char** argv) {
  return run_main(argv, [] {
    const double x = 1, exact = std::exp(std::sin(x)) * std::cos(x);
    std::printf("the derivative of exp(sin x) at 1 is %.12f\n\n     h   error in float   error in double\n", exact);
    for (double h = 0.1; h > 1e-9; h /= 10)
      std::printf("%.0e   %14.1e   %15.1e\n", h, std::abs(slope(float(x), float(h)) - exact),
                  std::abs(slope(x, h) - exact));
    std::printf(
        "\nA large h sees the curve bend, a small one the digits end.\n"
        "Float is at its best near h = .001, with five digits, double near h = .00001, with ten.\n\n");

    // gradcheck does the same for any function of tensors, in a random direction.
    gradcheck("tanh", [](const std::vector<Var>& in) { return tanh(in[0]); }, {{3, 5}});
    std::printf("tanh passes gradcheck; with a mistake in its VJP it says:\n");
    try {
      const auto wrong = [](const std::vector<Var>& in) {
        const Tensor Y = tanh(in[0].value());
        return record("wrong_tanh", Y, {{in[0], [Y](Tensor dY) { return dY * (1 - Y); }}});  // 1 - y, not 1 - y²
      };
      gradcheck("wrong_tanh", wrong, {{3, 5}});
    } catch (const Error& error) {
      std::printf("  %s\n", error.what());
    }
  });
}
