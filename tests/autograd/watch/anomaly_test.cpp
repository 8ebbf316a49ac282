// Numbers that are not finite, put in on purpose in one place: the message must name this place and no other.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "autograd/ops.h"
#include "autograd/watch/anomaly.h"
#include "nn/models/vit.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

constexpr real infinity = std::numeric_limits<real>::infinity();
constexpr real not_a_number = std::numeric_limits<real>::quiet_NaN();
constexpr real huge = std::numeric_limits<real>::max();

Var leaf(std::vector<real> values) {
  const Index n = static_cast<Index>(values.size());
  return Var::parameter(Tensor({n}, values));
}

struct SmallModel {
  Rng rng{0};
  ViT vit{{.img_size = 8, .patch_size = 4, .num_hiddens = 8, .mlp_num_hiddens = 12, .num_heads = 2}, rng};
  Tensor images = rng.uniform({2, 1, 8, 8});
  Labels labels{0, 1};

  Var parameter(const std::string& name) {
    for (auto& [known, parameter] : named_parameters(vit))
      if (known == name) return parameter;
    FAIL("no parameter ", name);
    return {};
  }
  // The message of a step that is watched.
  std::string step() {
    return error_of([&] {
      const DetectAnomaly detect(named_parameters(vit));
      Tape tape;
      tape.backward(cross_entropy(vit(images), labels));
    });
  }
};

// The parts of a message that must be in the first line of it, and of those after.
void check_message(const std::string& text, const std::string& first, const std::vector<std::string>& rest) {
  CAPTURE(text);
  const std::size_t line = text.find('\n');
  CHECK(contains(text.substr(0, line), first));
  for (const std::string& part : rest) CHECK_MESSAGE(contains(text.substr(std::min(line, text.size())), part), part);
}

}  // namespace

TEST_CASE("anomaly: a healthy step is as it is without, to the last bit") {
  SmallModel watched, plain;
  CHECK(watched.step().empty());
  {
    Tape tape;
    tape.backward(cross_entropy(plain.vit(plain.images), plain.labels));
  }
  const auto a = named_parameters(watched.vit), b = named_parameters(plain.vit);
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i].second.grad().values() == b[i].second.grad().values());
}

TEST_CASE("anomaly: the op of the forward pass, the layer it comes after, and what went in") {
  Var w = Var::parameter(Tensor({1, 2}, {1, -1})), b = leaf({0});
  const DetectAnomaly detect({{"body.dense.weight", w}, {"body.dense.bias", b}});
  const Tensor x({3, 2}, {3, 1, 2, 2, 1, 4});  // w·x + b = 2, 0, -3
  Tape tape;
  check_message(error_of([&] { log(linear(x, w, b)); }), "[detect_anomaly] log after body.dense gave the first",
                {"result: (3, 1), 0.6931 to 0.6931, 1 NaN, 1 infinite", "from linear of body.dense: (3, 1), -3 to 2"});
  check_message(error_of([&] { real(1) / (linear(x, w, b) * real(2)); }), "div after body.dense gave the first",
                {"result: (3, 1), -0.1667 to 0.25, 1 infinite", "from a constant: (), 1 to 1",
                 "from scale after body.dense: (3, 1), -6 to 4"});
  check_message(error_of([&] {
                  linear(Tensor::full({3, 2}, huge) * Var(Tensor::full({1}, real(2))), w, b);
                }),
                "mul gave the first", {"6 infinite", "from a constant: (3, 2)", "from a constant: (1), 2 to 2"});
  check_message(
      error_of([&] {
        linear(Tensor({1, 2}, {huge, -huge}), w, {});
      }),
      "linear of body.dense gave the first",
      {"result: (1, 1), 1 infinite", "from parameter body.dense.weight: (1, 2), -1 to 1", "from a constant: (1, 2)"});
}

TEST_CASE("anomaly: the ranges are those of the inputs, though the result has taken their place in memory") {
  Var x = leaf({1, 2});
  const DetectAnomaly detect({{"x", x}});
  Tape tape;
  Var y = x * real(3);
  const std::string text = error_of([&] { std::move(y) * huge; });
  check_message(text, "scale after x gave the first", {"result: (2), 2 infinite", "from scale of x: (2), 3 to 6"});
  Var c = Tensor({2}, {huge, 1});
  check_message(error_of([&] { std::move(c) * huge; }), "scale gave the first", {"from a constant, overwritten since"});
}

TEST_CASE("anomaly: an op between two layers comes after the nearer one") {
  Var a = leaf({1}), b = leaf({1});
  const DetectAnomaly detect({{"a", a}, {"blks.0.b", b}});
  Tape tape;
  const Var first = a * real(2), second = first * b * real(3);
  check_message(error_of([&] { log(first - second); }), "log after blks.0 gave",
                {"from sub after blks.0: (1), -4 to -4"});
  check_message(error_of([&] { log(second * real(-1) + first); }), "log after blks.0 gave", {"from add after blks.0"});
  check_message(error_of([&] { log(first * real(-1)); }), "log after a gave", {"from scale after a"});
}

TEST_CASE("anomaly: what was not finite before is named for what it is") {
  const Tensor bad({2}, {1, not_a_number});
  Var x = leaf({1, 2}), unnamed = Var::parameter(bad);
  {
    const DetectAnomaly detect({{"x", x}});
    Tape tape;
    check_message(error_of([&] { x* Var(bad); }),
                  "mul of x gave the first number that is not finite, as the data, a constant, hold one",
                  {"from parameter x: (2), 1 to 2", "from a constant: (2), 1 to 1, 1 NaN"});
    check_message(error_of([&] { x* unnamed; }), "as a parameter without a name holds one", {"1 to 1, 1 NaN"});
    check_message(error_of([&] { exp(Var(bad)); }), "exp gave", {});  // nobody wants a gradient, and yet
  }
  CHECK(error_of([&] {
          DetectAnomaly({{"x", x}, {"body.weight", unnamed}});
        }) == "[detect_anomaly] parameter body.weight is not finite before the step: (2), 1 to 1, 1 NaN");
  Tape tape;
  CHECK(error_of([&] { x* Var(bad); }).empty());  // the one that was refused watches nothing
}

TEST_CASE("anomaly: the op whose VJP it was, its gradient, dY, and what it had computed from what") {
  Var x = leaf({4, 0}), other = leaf({1, 2});
  const DetectAnomaly detect({{"body.x", x}, {"body.other", other}});
  {
    Tape tape;
    const Var loss = sum(sqrt(x * real(1)) * real(5));
    check_message(error_of([&] { tape.backward(loss); }),
                  "in backward, sqrt after body gave the first gradient that is not finite, to scale of body:",
                  {"gradient: (2), 1.25 to 1.25, 1 infinite", "dY: (2), 5 to 5", "result: (2), 0 to 2",
                   "from scale of body: (2), 0 to 4"});
  }
  const auto wrong = [](Tensor dY) { return dY * not_a_number; };
  {
    Tape tape;
    const Var y = record("crooked", Tensor::ones({2}), {{x, [](Tensor dY) { return dY; }}, {other, wrong}});
    check_message(error_of([&] { tape.backward(sum(y)); }),
                  "crooked of body gave the first gradient that is not finite, to parameter body.other:",
                  {"gradient: (2), 2 NaN", "dY: (2), 1 to 1", "from parameter body.x: (2), 0 to 4"});
  }
  {
    Tape tape;
    const Var y = record("joint", Tensor::ones({2}), {x, other}, [&](Tensor dY) {
      return std::vector<Tensor>{dY, wrong(dY)};
    });
    check_message(error_of([&] { tape.backward(sum(y)); }), "joint of body gave the first gradient that is not finite",
                  {"dY: (2), 1 to 1"});
  }
}

TEST_CASE("anomaly: finite gradients whose sum is not") {
  Var x = leaf({real(0.25)});
  const DetectAnomaly detect({{"x", x}});
  Tape tape;
  const Var y = x * real(1);
  const Var loss = sum(y * huge + y * huge);
  check_message(
      error_of([&] { tape.backward(loss); }),
      "the gradients that arrived at the result of scale of x are finite, and their sum is not: (1), 1 infinite", {});
}

TEST_CASE("anomaly: in the Vision Transformer") {
  {
    SmallModel m;
    set(m.images, 70, not_a_number);
    check_message(m.step(), "patches gave the first number that is not finite, as the data, a constant, hold one",
                  {"result: (2, 4, 16), ", "from a constant: (2, 1, 8, 8), "});
  }
  {
    SmallModel m;
    set(m.parameter("blks.0.mlp.dense2.weight").mutable_value(), 5, -infinity);
    CHECK(contains(m.step(), "parameter blks.0.mlp.dense2.weight is not finite before the step: (8, 12), "));
  }
  const struct {
    const char *parameter, *says;
  } overflows[] = {{"patch_embedding.conv.weight", "linear of patch_embedding.conv gave the first"},
                   {"blks.0.ln1.weight", "layer_norm of blks.0.ln1 gave the first"},
                   {"blks.1.attention.W_o.weight", "linear of blks.1.attention.W_o gave the first"},
                   {"blks.0.mlp.dense1.weight", "linear of blks.0.mlp.dense1 gave the first"},
                   {"head.1.weight", "linear of head.1 gave the first"}};
  for (const auto& overflow : overflows) {
    SmallModel m;
    Tensor numbers = m.parameter(overflow.parameter).mutable_value();
    numbers.assign(Tensor::full(numbers.shape(), huge));
    check_message(m.step(), overflow.says, {"result: ", parent(overflow.parameter)});
  }
  SmallModel m;  // queries and keys whose products overflow inside attention
  for (const char* name : {"blks.0.attention.W_q.weight", "blks.0.attention.W_k.weight"}) {
    Tensor numbers = m.parameter(name).mutable_value();
    numbers.assign(Tensor::full(numbers.shape(), std::sqrt(huge)));
  }
  set(m.parameter("blks.0.ln1.bias").mutable_value(), 0, 100);
  check_message(m.step(), "attention after blks.0.attention.W_v gave the first",
                {"from linear of blks.0.attention.W_q", "from linear of blks.0.attention.W_k"});
}

TEST_CASE("anomaly: nothing is watched outside of its scope, and an inner one ends alone") {
  Var x = leaf({-1});
  const auto step = [&] {
    Tape tape;
    return error_of([&] { log(x); });
  };
  CHECK(step().empty());
  {
    const DetectAnomaly outer({{"outer", x}});
    {
      const DetectAnomaly inner({{"inner", x}});
      CHECK(contains(step(), "log of inner"));
    }
    CHECK(contains(step(), "log of outer"));
  }
  CHECK(step().empty());
}
