// What a TapeListener hears, in words: which op, which parameter, in which order.
#include <doctest/doctest.h>

#include <map>
#include <string>

#include "autograd/ops.h"
#include "autograd/watch/names.h"
#include "nn/models/vit.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

using News = std::vector<std::string>;

// Writes down all that it hears; parameters by name.
struct Scribe : TapeListener {
  std::map<const GradSlot*, std::string> names;
  News news;

  explicit Scribe(const std::vector<NamedParameter>& parameters) {
    for (const auto& [name, parameter] : parameters) names[parameter.slot()] = name;
  }
  std::string name(const GradSlot* slot) {
    return !slot ? "a constant" : names.contains(slot) ? names[slot] : "an unnamed one";
  }
  void computed(const char* op, const std::vector<Var>& inputs, const Var& result) override {
    std::string text = name(result.slot()) + " = " + op;
    if (result.slot()) text = (names[result.slot()] = op) + " computed";
    for (const Var& input : inputs) text += ", " + name(input.slot());
    news.push_back(text);
  }
  void arrived(const Tape::Node& node, const Tensor& dY) override {
    news.push_back(name(node.output.get()) + " has " + std::to_string(static_cast<int>(dY.values()[0])));
  }
  void handed_on(const Tape::Node& from, const GradSlot& to, const Tensor& gradient) override {
    news.push_back(std::string(from.op) + " to " + name(&to) + ": " +
                   std::to_string(static_cast<int>(gradient.values()[0])));
  }
  void finished(GradSlot& parameter) override { news.push_back(name(&parameter) + " finished"); }
};

// Only when which parameter is finished, and the first number of its gradient then.
struct Finish : TapeListener {
  std::vector<std::pair<const GradSlot*, real>> heard;
  void finished(GradSlot& parameter) override {
    heard.emplace_back(&parameter, parameter.grad.defined() ? parameter.grad.values()[0] : real(0));
  }
};
using Heard = std::vector<std::pair<const GradSlot*, real>>;

Var leaf(real value) { return Var::parameter(Tensor({1}, {value})); }

}  // namespace

TEST_CASE("listener: a step, word by word") {
  Var a = leaf(2), b = leaf(3);
  Scribe scribe({{"a", a}, {"b", b}});
  Tape tape;
  const Var c = Tensor::ones({1}), product = a * b;
  tape.backward(sum(product + exp(c)));
  CHECK(scribe.news == News{"mul computed, a, b", "a constant = exp, a constant", "add computed, mul, a constant",
                            "sum computed, add", "sum has 1", "sum to add: 1", "add has 1", "add to mul: 1",
                            "mul has 1", "mul to a: 3", "a finished", "mul to b: 2", "b finished"});
}

TEST_CASE("listener: an op that computes its gradients together hands them on one by one") {
  Var a = leaf(2), b = leaf(3);
  const Var c = Tensor::ones({1});
  const auto joint = [](std::size_t gradients) {
    return [gradients](const Tensor& dY) { return std::vector<Tensor>(gradients, dY); };
  };
  Scribe scribe({{"a", a}, {"b", b}});
  {
    Tape tape;
    tape.backward(record("joint", Tensor::ones({1}), {a, c, b}, joint(3)));
  }
  CHECK(scribe.news == News{"joint computed, a, a constant, b", "joint has 1", "joint to a: 1", "joint to b: 1",
                            "a finished", "b finished"});
  Tape tape;
  const Var y = record("crooked", Tensor::ones({1}), {a, b}, joint(1));
  CHECK(fails([&] { tape.backward(y); }, {"crooked", "1 gradients for 2 inputs"}));
}

TEST_CASE(
    "listener: a parameter is finished when its last gradient has arrived, and before the op's next one is computed") {
  Var w = leaf(2), x = leaf(3);
  Finish finish;
  bool before_x = false;
  Tape tape;
  const auto dw = [](Tensor dY) { return dY * 5; };
  const auto dx = [&](const Tensor& dY) {
    before_x = finish.heard == Heard{{w.slot(), 5}};
    return dY * 7;
  };
  tape.backward(record("first", Tensor::ones({1}), {{w, dw}, {x, dx}}));
  CHECK(before_x);
  CHECK(finish.heard == Heard{{w.slot(), 5}, {x.slot(), 7}});
}

TEST_CASE("listener: tied weights are finished after the last use, once") {
  Var w = leaf(2), x = leaf(3);
  Finish finish;
  {
    Tape tape;
    tape.backward(sum(w * (w * x)));  // w²·x
  }
  CHECK(finish.heard == Heard{{w.slot(), 2 * 2 * 3}, {x.slot(), 4}});
  finish.heard.clear();
  {
    Tape tape;
    tape.backward(sum(concat({w, x, w}, 0)));  // twice in one op, to the gradients of before
  }
  CHECK(finish.heard == Heard{{x.slot(), 4 + 1}, {w.slot(), 12 + 2}});
}

TEST_CASE("listener: a parameter that the loss does not depend on is finished, too") {
  Var w = leaf(2), beside = leaf(3), early = leaf(4);
  Finish finish;
  Tape tape;
  const Var first = early * beside;
  const Var loss = w * real(2);
  const Var late = exp(beside * w);
  tape.backward(loss);
  CHECK(finish.heard == Heard{{w.slot(), 2}, {early.slot(), 0}, {beside.slot(), 0}});
  CHECK(!beside.grad().defined());
}

TEST_CASE("listener: nothing is finished on a tape that is abandoned, or while an outer one has the parameter") {
  Var w = leaf(2);
  Finish finish;
  Tape outer;
  const Var y = w * w;
  {
    Tape abandoned;
    w* w;
  }
  {
    Tape inner;
    inner.backward(w * w);
  }
  CHECK(finish.heard.empty());
  outer.backward(y);
  CHECK(finish.heard == Heard{{w.slot(), 4 + 4}});
}

TEST_CASE("listener: it may change the gradient, and not yet the value") {
  struct Halve : TapeListener {
    Var parameter;
    std::string refusal;
    void finished(GradSlot& slot) override {
      slot.grad = std::move(slot.grad) / 2;
      refusal = error_of([&] { parameter.mutable_value(); });
    }
  } halve;
  halve.parameter = leaf(2);
  Tape tape;
  tape.backward(halve.parameter * real(6));
  CHECK(halve.parameter.grad().item() == 3);
  CHECK(contains(halve.refusal, "tape still needs it"));
  halve.parameter.mutable_value();
}

TEST_CASE("listener: several hear the same, in any order of their ends; after its end none does") {
  Var w = leaf(2);
  const auto step = [&] {
    Tape tape;
    tape.backward(w * w);
  };
  auto first = std::make_unique<Finish>();
  Finish second;
  step();
  CHECK(first->heard.size() == 1);
  CHECK(second.heard == first->heard);
  first.reset();
  step();
  CHECK(second.heard.size() == 2);
}

TEST_CASE("listener: each parameter of the Vision Transformer once, the head's first, and with its whole gradient") {
  Rng rng(0);
  ViT model({.img_size = 8, .patch_size = 4, .num_hiddens = 8, .mlp_num_hiddens = 12, .num_heads = 2}, rng);
  Finish finish;
  Tape tape;
  tape.backward(cross_entropy(model(rng.uniform({2, 1, 8, 8})), {0, 1}));
  const auto parameters = named_parameters(model);
  CHECK(finish.heard.size() == parameters.size());
  std::map<const GradSlot*, real> gradients(finish.heard.begin(), finish.heard.end());
  for (const NamedParameter& named : parameters) {
    CAPTURE(named.first);
    const Var& parameter = named.second;
    REQUIRE(gradients.contains(parameter.slot()));
    CHECK(gradients[parameter.slot()] == parameter.grad().values()[0]);
    if (named.first == "head.1.weight") CHECK(finish.heard.front().first == parameter.slot());
  }
}

TEST_CASE("listener: while none keeps the gradient of a result, the last VJP may overwrite it") {
  Var x = leaf(2);
  bool unique = false;
  const auto look = [&](Tensor dY) {
    unique = dY.unique();
    return dY;
  };
  const auto step = [&] {
    Tape tape;
    const Var y = record("looks", Tensor::ones({1}), {{x, [](Tensor dY) { return dY * 2; }}, {x, look}});
    tape.backward(y * real(2));
    return unique;
  };
  CHECK(step());
  Finish finish;
  CHECK(step());
  struct Keeper : TapeListener {
    Tensor kept;
    void arrived(const Tape::Node&, const Tensor& dY) override { kept = dY; }
  } keeper;
  CHECK(!step());
  CHECK(keeper.kept.item() == 2);
}
