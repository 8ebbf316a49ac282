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
    std::string svg =  // both errors for each h
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 600 330' width='600' font-family='sans-serif' "
        "font-size='13'>\n<text x='4' y='16'>error</text><text x='575' y='322'>h</text>"
        "<text x='320' y='16' fill='#b3261e'>in float</text><text x='320' y='34' fill='#0b57a4'>in double</text>\n";
    for (int i = 0; i <= 32; ++i) {
      const double h = std::pow(10, -1 - i / 4.0), in_float = std::abs(slope(float(x), float(h)) - exact),
                   in_double = std::abs(slope(x, h) - exact);
      if (i % 4 == 0) std::printf("%.0e   %14.1e   %15.1e\n", h, in_float, in_double);
      svg += format("<g class='at' data-say='h = %.1e: the error is %.1e in float, %.1e in double'>", h, in_float,
                    in_double);
      for (const auto& [error, color] : {std::pair(in_float, "#b3261e"), {in_double, "#0b57a4"}})
        svg += format("<circle cx='%d' cy='%.0f' r='4' fill='%s'/>", 540 - 15 * i, 40 - 20 * std::log10(error), color);
      svg += "</g>\n";
      if (i % 8 == 0)
        svg += format("<text x='%d' y='322'>%.0e</text><text x='4' y='%d'>%.0e</text>\n", 522 - 15 * i, h,
                      44 + 15 * i / 2, std::pow(10, -i * 3 / 8));
    }
    write_file("differences.svg", svg + "</svg>\n");
    std::printf(
        "\nA large h sees the curve bend, a small one the digits end: differences.svg shows both.\n"
        "Float is at its best near h = .002, with five digits, double near h = .000003, with ten.\n\n");

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
