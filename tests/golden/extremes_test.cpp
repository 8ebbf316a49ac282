// Operations and their gradients at the limits of a float against PyTorch's in float64 (make_extremes.py): where a
// result is a number, nothing on the way to it may leave the range; and no NaN and no infinity may get lost.
#include <map>

#include "autograd/ops.h"
#include "tensor/rng.h"
#include "tests/golden/golden.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// For gradients that are made of the op's result, such as tanh's 1 - y², which in float, in PyTorch too, has an
// absolute error; and for GELU's two terms, which cancel (tensor/math.h).
const std::map<std::string, double> floors{
    {"tanh", 1}, {"sigmoid", 0.25}, {"softmax", 1}, {"gelu", 0.125}, {"gelu_tanh", 0.125}};
double floor_of(const std::string& op) { return floors.contains(op) ? floors.at(op) : 1e-37; }

// Each number is right to 4e-6, of itself or of `floor`.
void check_numbers(const std::string& what, const Tensor& got, const std::vector<double>& want, double floor = 1e-37) {
  INFO(what);
  const std::vector<real> numbers = got.values();
  REQUIRE(numbers.size() == want.size());
  for (std::size_t i = 0; i < want.size(); ++i) {
    CAPTURE(i);
    CAPTURE(want[i]);
    CHECK(error(Tensor::scalar(numbers[i]), {want[i]}, floor) <= 4e-6);
  }
}

// The gradients of the sum of y, weighted with 1, 2, 1, 2, ...
template <class Op>
std::pair<Tensor, std::vector<Tensor>> with_gradients(const Op& op, const std::vector<Tensor>& inputs) {
  std::vector<Var> leaves;
  for (const Tensor& input : inputs) leaves.push_back(Var::parameter(input.clone()));
  Tape tape;
  const Var y = op(leaves);
  Tensor weights(y.shape());
  std::vector<real> numbers;
  for (Index i = 0; i < y.size(); ++i) numbers.push_back(static_cast<real>(1 + i % 2));
  weights.assign({y.shape(), numbers});
  tape.backward(sum(y * Var(weights)));
  std::vector<Tensor> gradients;
  for (Var& leaf : leaves) gradients.push_back(leaf.take_grad());
  return {y.value(), gradients};
}

}  // namespace

TEST_CASE("golden: functions of one number and their gradients, at the limits of a float") {
  if (sizeof(real) == 8) return;  // other limits
  const Golden golden("extremes");
  const std::map<std::string, Var (*)(const Var&)> unary{{"exp", [](const Var& x) { return exp(x); }},
                                                         {"log", log},
                                                         {"sqrt", [](const Var& x) { return sqrt(x); }},
                                                         {"tanh", [](const Var& x) { return tanh(x); }},
                                                         {"relu", [](const Var& x) { return relu(x); }},
                                                         {"sigmoid", [](const Var& x) { return sigmoid(x); }},
                                                         {"softplus", softplus},
                                                         {"silu", silu},
                                                         {"gelu", [](const Var& x) { return gelu(x); }},
                                                         {"gelu_tanh", [](const Var& x) { return gelu_tanh(x); }},
                                                         {"erf", erf},
                                                         {"rsqrt", [](const Var& x) { return rsqrt(x); }},
                                                         {"abs", abs},
                                                         {"sign", sign},
                                                         {"clamp", [](const Var& x) { return clamp(x, -1, 5); }},
                                                         {"clamp_high", [](const Var& x) { return clamp(x, {}, 5); }},
                                                         {"square", square},
                                                         {"cube", [](const Var& x) { return pow(x, 3); }},
                                                         {"pow_-2", [](const Var& x) { return pow(x, -2); }},
                                                         {"pow_2.5", [](const Var& x) { return pow(x, real(2.5)); }},
                                                         {"pow_0", [](const Var& x) { return pow(x, 0); }}};
  for (const auto& [name, op] : unary) {
    const auto [y, gradients] = with_gradients([f = op](const auto& x) { return f(x[0]); }, {golden.tensor("x")});
    std::vector<double> dx = golden.doubles(name + "/dx");
    if (name.starts_with("gelu"))  // its limits at inf and -inf, where PyTorch has inf · 0 (tensor/math.h)
      dx[dx.size() - 3] = 1, dx[dx.size() - 2] = 0;
    check_numbers(name, y, golden.doubles(name + "/y"), name.starts_with("gelu") ? floor_of(name) : 1e-37);
    check_numbers(name + "'s gradient", gradients[0], dx, floor_of(name));
  }
}

TEST_CASE("golden: functions of two numbers and their gradients, at the limits of a float") {
  if (sizeof(real) == 8) return;
  const Golden golden("extremes");
  const std::map<std::string, Var (*)(const Var&, const Var&)> binary{
      {"add", [](const Var& a, const Var& b) { return a + b; }},
      {"sub", [](const Var& a, const Var& b) { return a - b; }},
      {"mul", [](const Var& a, const Var& b) { return a * b; }},
      {"div", [](const Var& a, const Var& b) { return a / b; }},
      {"maximum", maximum},
      {"minimum", minimum},
      {"where", [](const Var& a, const Var& b) { return where(a.value() > b.value(), a, b); }}};
  for (const auto& [name, op] : binary) {
    const auto [y, gradients] =
        with_gradients([f = op](const auto& x) { return f(x[0], x[1]); }, {golden.tensor("a"), golden.tensor("b")});
    check_numbers(name, y, golden.doubles(name + "/y"));
    check_numbers(name + ", to a", gradients[0], golden.doubles(name + "/da"));
    check_numbers(name + ", to b", gradients[1], golden.doubles(name + "/db"));
  }
}

TEST_CASE("golden: powers and their gradients, at the limits of a float") {
  if (sizeof(real) == 8) return;
  const Golden golden("extremes");
  const auto [y, gradients] =
      with_gradients([](const auto& x) { return pow(x[0], x[1]); }, {golden.tensor("pow/x"), golden.tensor("pow/p")});
  check_numbers("pow", y, golden.doubles("pow/y"));
  check_numbers("pow, to x", gradients[0], golden.doubles("pow/dx"));
  check_numbers("pow, to p", gradients[1], golden.doubles("pow/dp"));
}

TEST_CASE("golden: softmax, log_softmax and logsumexp of rows at the limits of a float") {
  if (sizeof(real) == 8) return;
  const Golden golden("extremes");
  const std::map<std::string, Var (*)(const Var&)> by_rows{
      {"softmax", [](const Var& x) { return softmax(x); }},
      {"log_softmax", [](const Var& x) { return log_softmax(x); }},
      {"logsumexp", [](const Var& x) { return logsumexp(x, -1); }}};
  for (const auto& [name, op] : by_rows) {
    const auto [y, gradients] = with_gradients([f = op](const auto& x) { return f(x[0]); }, {golden.tensor("rows")});
    check_numbers(name, y, golden.doubles(name + "/y"));
    check_numbers(name + "'s gradient", gradients[0], golden.doubles(name + "/dx"), floor_of(name));
  }
}

TEST_CASE("logsumexp along each axis; its gradient is a softmax, of large numbers too") {
  const Tensor x = Rng(1).normal({3, 5, 7}, 0, 3);
  for (const int axis : {0, 1, 2, -1, -2, -3}) {
    CAPTURE(axis);
    const Index n = x.shape()[axis], inner = x.shape().product(x.shape().wrap(axis) + 1, 3);
    const std::vector<real> numbers = x.values();
    std::vector<double> want;
    for (Index i = 0; i < x.size() / n; ++i) {
      double total = 0;
      for (Index k = 0; k < n; ++k)
        total += std::exp(double{numbers[static_cast<std::size_t>((i / inner * n + k) * inner + i % inner)]});
      want.push_back(std::log(total));
    }
    const Var y = logsumexp(x, axis);
    CHECK(y.shape() == x.shape().without(x.shape().wrap(axis)));
    CHECK(error(y.value(), want) <= 1e-6);
  }
  CHECK(fails([&] { logsumexp(x, 3); }, {"[logsumexp]", "no axis 3", "(3, 5, 7)"}));
  CHECK(fails([&] { logsumexp(Tensor::scalar(1), 1); }, {"[logsumexp]", "no axis 1"}));
  const real large = std::numeric_limits<real>::max();
  const auto [y, gradients] = with_gradients([](const auto& in) { return logsumexp(in[0], -1); },
                                             {Tensor({2, 2}, {large, large, 9999, 10000})});
  CHECK(error(y, {large, 10000 + std::log1p(std::exp(-1))}) <= 1e-7);
  CHECK(error(gradients[0], {0.5, 0.5, 2 / (1 + std::exp(1)), 2 - 2 / (1 + std::exp(1))}) <= 4e-7);
}
