#include "optim/training/step.h"

#include <doctest/doctest.h>

#include "nn/layers.h"
#include "optim/adamw.h"
#include "optim/sgd.h"
#include "optim/training/trainer.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// Which of its members visit() names.
enum Forgets { nothing, last_layer, last_bias, first_layer, block };

struct NoVisit {
  Linear inner;
  Var operator()(const Var& x) { return inner(x); }
};

struct Net {
  Linear first, second, last;
  NoVisit no_visit;
  Forgets forgets;

  explicit Net(Rng& rng, Forgets forgets = nothing)
      : first(4, 6, rng), second(6, 6, rng), last(6, 3, rng), no_visit{Linear(6, 6, rng)}, forgets(forgets) {}
  Var operator()(const Var& X) {
    Var x = relu(second(relu(first(flatten(X, 1)))));
    if (forgets == block) x = no_visit(x);
    return last(x);
  }
  void visit(auto&& v) {
    if (forgets != first_layer) v("first", first);
    v("second", second);
    if (forgets == block) v("block", no_visit);
    if (forgets == last_bias) v("last.weight", last.weight);
    if (forgets != last_bias && forgets != last_layer) v("last", last);
  }
};

// Nothing at all is named.
struct Forgotten {
  Linear layer;
  Var operator()(const Var& X) { return layer(flatten(X, 1)); }
};

Tensor images(Rng& rng) { return rng.normal({5, 1, 2, 2}); }
const Labels labels{0, 1, 2, 1, 0};

// The loop of README.md, by hand.
void step(Net& model, Optimizer& optimizer, Rng& rng) {
  Tape tape;
  Var loss = cross_entropy(model(images(rng)), labels);
  tape.backward(loss);
  optimizer.step(real(0.1));
}

template <class Model>
TrainAndTest data_of(const Model&) {
  const ImageDataset four{{4, 1, 2, 2}, std::vector<std::uint8_t>(16, 7), {0, 1, 2, 0}, {"a", "b", "c"}};
  return {four, four, "four"};
}

}  // namespace

TEST_CASE("step: a parameter that visit() forgets is an error that says where it is") {
  const struct {
    Forgets forgets;
    std::vector<std::string> words;
  } cases[] = {{last_layer, {"[sgd] linear uses a parameter of shape (3", ", after second.", "that no visit() names"}},
               {last_bias, {"[sgd] linear uses a parameter of shape (3), after second.bias"}},
               {first_layer, {"[sgd] linear uses a parameter of shape (6", ", that no visit() names"}},
               {block, {"[sgd] linear uses a parameter of shape (6", ", after second."}}};
  for (const auto& one : cases) {
    const auto& [forgets, words] = one;
    CAPTURE(one.forgets);
    Rng rng(1);
    Net model(rng, forgets);
    const auto numbers = model.second.weight.value().values();
    SGD sgd(named_parameters(model));
    CHECK(fails([&] { step(model, sgd, rng); }, words));
    CHECK(fails([&] { step(model, sgd, rng); }, words));  // and again
    CHECK(model.second.weight.value().values() == numbers);

    Rng other(1);
    Net same(other, forgets);
    AdamW adamw(named_parameters(same));
    const auto with_adamw = [&] {
      training_step(same, adamw, CrossEntropy(), images(other), labels, real(0.1), {.clip_grad = 1});
    };
    CHECK(fails(with_adamw, {"[adamw] linear uses a parameter of shape"}));
    Trainer trainer(same, adamw, CrossEntropy(), other, {.epochs = 1, .batch_size = 2});
    CHECK(fails([&] { trainer.fit(data_of(same)); }, {"[adamw] linear uses a parameter of shape"}));
  }
}

TEST_CASE("step: gradients of several tapes, which have ended, are looked at, too") {
  Rng rng(1);
  Net model(rng, last_layer);
  SGD sgd(named_parameters(model));
  for (int i = 0; i < 2; ++i) {
    Tape tape;
    tape.backward(cross_entropy(model(images(rng)), labels));
  }
  CHECK(fails([&] { sgd.step(real(0.1)); }, {"linear uses a parameter of shape (3"}));
  for (Var forgotten : {model.last.weight, model.last.bias}) forgotten.take_grad();  // used in another way
  sgd.step(real(0.1));
}

TEST_CASE("step: a model without parameters cannot be trained") {
  Rng rng(1);
  Forgotten model{Linear(4, 3, rng)};
  CHECK(named_parameters(model).empty());
  CHECK(fails([&] { SGD sgd(named_parameters(model)); }, {"[Optimizer] there is no parameter to learn", "visit()"}));
}

TEST_CASE("step: a parameter that the optimizer does not know is named") {
  Rng rng(1);
  Net model(rng);
  auto parameters = named_parameters(model);
  parameters.pop_back();
  {
    SGD part(parameters);
    CHECK(
        fails([&] { step(model, part, rng); }, {"[sgd] linear uses last.bias, of shape (3), which no optimizer has"}));
  }
  {
    SGD all(named_parameters(model));
    step(model, all, rng);
    model.last = Linear(6, 3, rng);  // the optimizer still has the one before
    CHECK(fails([&] { step(model, all, rng); }, {"linear uses a parameter of shape (3"}));
    train(model);  // as each epoch begins
    CHECK(fails([&] { step(model, all, rng); }, {"linear uses last."}));
  }
  SGD part(parameters);  // those that had last.bias are gone
  CHECK(fails([&] { step(model, part, rng); }, {"linear uses last."}));
}

TEST_CASE("step: what is frozen stays as it is, gets no gradient, and is saved") {
  Rng rng(1);
  Net model(rng);
  const auto first = model.first.weight.value().values(), last = model.last.weight.value().values();
  freeze(model);
  freeze(model.last, false);
  {
    SGD head(named_parameters(model.last));
    step(model, head, rng);
    AdamW all(named_parameters(model), {.weight_decay = real(0.5)});  // which decays what it moves
    step(model, all, rng);
    Trainer trainer(model, all, CrossEntropy(), rng, {.epochs = 1, .batch_size = 2});
    trainer.fit(data_of(model));
  }
  CHECK(model.first.weight.value().values() == first);
  CHECK(!model.first.weight.grad().defined());
  CHECK(model.last.weight.value().values() != last);
  CHECK(state_of(model).tensors().contains("first.weight"));
  {
    Tape tape;
    const Var logits = model(images(rng));
    CHECK(tape.ops() == std::vector<std::string>{"linear"});  // of the frozen ones nothing is kept
  }
  freeze(model, false);
  SGD all(named_parameters(model));
  step(model, all, rng);
  CHECK(model.first.weight.value().values() != first);
}

TEST_CASE("step: what is frozen below a layer that learns hands its gradient on") {
  Rng rng(1);
  Net model(rng);
  freeze(model.second);
  const auto first = model.first.weight.value().values(), second = model.second.weight.value().values();
  SGD sgd(named_parameters(model));
  step(model, sgd, rng);
  CHECK(model.first.weight.value().values() != first);
  CHECK(model.second.weight.value().values() == second);
}

TEST_CASE("step: two optimizers share a model; a parameter that no step uses is no error") {
  Rng rng(1);
  Net model(rng);
  Linear unused(2, 2, rng);
  SGD body({{"first.weight", model.first.weight},
            {"first.bias", model.first.bias},
            {"second.weight", model.second.weight},
            {"second.bias", model.second.bias},
            {"unused.weight", unused.weight}});
  AdamW head(named_parameters(model.last));
  Tape tape;
  tape.backward(cross_entropy(model(images(rng)), labels));
  head.step(real(0.1));
  body.step(real(0.1));
}

TEST_CASE("step: a parameter that the optimizer has and visit() does not name would not be saved") {
  Rng rng(0);
  Net model(rng);
  std::vector<NamedParameter> parameters = named_parameters(model);
  parameters.emplace_back("scale", Var::parameter(Tensor::ones({1})));
  SGD sgd(parameters);
  CHECK(fails([&] { Trainer(model, sgd, CrossEntropy(), rng, {}); }, {"Trainer", "scale", "visit()", "not be saved"}));
}
