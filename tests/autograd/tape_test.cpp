#include <doctest/doctest.h>

#include <string>

#include "autograd/ops.h"
#include "optim/sgd.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

Var leaf(std::vector<real> values) {
  const Index n = static_cast<Index>(values.size());
  return Var::parameter(Tensor({n}, values));
}

}  // namespace

TEST_CASE("backward: a value used several times has the sum of the gradients") {
  Var x = leaf({2, 3});
  Tape tape;
  const Var y = x * x + x;    // y' = 2x + 1
  tape.backward(sum(y * y));  // 2·y·y'
  CHECK(x.grad().values() == std::vector<real>{2 * 6 * 5, 2 * 12 * 7});
}

TEST_CASE("backward: gradients of several tapes add up until they are taken") {
  Var x = leaf({1});
  for (int i = 0; i < 3; ++i) {
    Tape tape;
    tape.backward(sum(x * 2));
  }
  CHECK(x.grad().item() == 6);
  SGD sgd({{"x", x}});
  sgd.step(0.5);
  CHECK(x.value().item() == -2);
  CHECK(!x.grad().defined());
  sgd.step(0.5);  // without a gradient nothing moves
  CHECK(x.value().item() == -2);
}

TEST_CASE("backward: what one VJP hands to two inputs is not changed through either") {
  Var a = leaf({1, 2}), b = leaf({3, 4});
  Tape tape;
  const Var y = a + b;             // both get the very same gradient ...
  tape.backward(sum(y + a * 10));  // ... and a gets more of it
  CHECK(a.grad().values() == std::vector<real>{11, 11});
  CHECK(b.grad().values() == std::vector<real>{1, 1});
}

TEST_CASE("backward: an op beside the path to the loss does no harm") {
  Var x = leaf({1, 2});
  Tape tape;
  const Var y = x * 2;
  const Var unused = exp(y);  // recorded after y and before the loss
  tape.backward(sum(y));
  CHECK(x.grad().values() == std::vector<real>{2, 2});
}

TEST_CASE("no tape, no recording; and constants are not recorded") {
  Var x = leaf({1, 2});
  CHECK(!(x * x).requires_grad());
  Tape tape;
  CHECK((x * x).requires_grad());
  CHECK(!(Var(Tensor::ones({2})) * Var(Tensor::ones({2}))).requires_grad());
  CHECK(tape.ops() == std::vector<std::string>{"mul"});
}

TEST_CASE("an inner tape pauses the outer one, also when it ends by an exception") {
  Var x = leaf({1});
  Tape outer;
  const Var y = x * 2;
  try {
    Tape inner;
    x* x;
    CHECK(inner.ops().size() == 1);
    throw 1;
  } catch (int) {
  }
  CHECK(outer.ops().size() == 1);
  outer.backward(sum(y));
  CHECK(x.grad().item() == 2);
}

TEST_CASE("a spent tape, and what is recorded after it") {
  Var x = leaf({1});
  Tape tape;
  const Var loss = sum(x);
  tape.backward(loss);
  CHECK(contains(error_of([&] { tape.backward(loss); }), "spent"));
  CHECK(!(x * 2).requires_grad());  // evaluation
  CHECK(x.grad().item() == 1);      // and the first backward's gradient stands
}

TEST_CASE("a loss must be one number that was recorded on this tape") {
  Var x = leaf({1, 2});
  const Var before = sum(x);
  Tape tape;
  CHECK(contains(error_of([&] { tape.backward(x * 2); }), "(2)"));
  CHECK(contains(error_of([&] { tape.backward(before); }), "not recorded"));
  CHECK(contains(error_of([&] { tape.backward(sum(Var(Tensor::ones({2})))); }), "not recorded"));
  const Var loss = sum(x);
  {
    Tape inner;
    CHECK(contains(error_of([&] { inner.backward(loss); }), "another tape"));
  }
  tape.backward(loss);  // none of this has spent it
  CHECK(x.grad().defined());
}

TEST_CASE("a value of another tape is not silently a constant") {
  Var x = leaf({1});
  Var hidden;
  {
    Tape first;
    hidden = x * 2;
  }
  Tape second;
  CHECK(contains(error_of([&] { hidden* x; }), "another tape"));
  tanh(Var(hidden.value()));  // as a constant it may be used
}

TEST_CASE("nor can a frozen parameter, with which the gradients of others are made") {
  Var w = leaf({2}), x = leaf({3});
  w.freeze();
  {
    Tape tape;
    const Var y = w * x;
    CHECK(contains(error_of([&] { w.mutable_value(); }), "tape still needs it"));
    tape.backward(sum(y));
    CHECK(x.grad().item() == 2);
    w.mutable_value().assign(Tensor({1}, {5}));
  }
  {
    Tape tape;
    w* Var(Tensor({1}, {7}));  // a function of constants is not recorded
    w.mutable_value();
    w* x;
    CHECK(contains(error_of([&] { w.mutable_value(); }), "tape still needs it"));
  }
  w.mutable_value();  // the tape ended without backward()
}

TEST_CASE("a parameter cannot change while a tape needs it") {
  Var x = leaf({1});
  x.add_grad(Tensor::ones({1}));
  SGD sgd({{"x", x}});
  {
    Tape tape;
    const Var y = x * x;
    CHECK(contains(error_of([&] { sgd.step(1); }), "tape still needs it"));
    CHECK(x.value().item() == 1);
    CHECK(x.grad().defined());  // a refused step takes nothing
    tape.backward(sum(y));
    x.mutable_value();
  }
  {
    Tape abandoned;
    x* x;
  }
  sgd.step(1);
  CHECK(x.value().item() == -2);
}

TEST_CASE("a step that is refused for one parameter moves none") {
  Var free = leaf({1}), needed = leaf({1});
  free.add_grad(Tensor::ones({1}));
  needed.add_grad(Tensor::ones({1}));
  SGD sgd({{"free", free}, {"needed", needed}});
  Tape tape;
  const Var y = needed * needed;
  CHECK(contains(error_of([&] { sgd.step(1); }), "tape still needs it"));
  CHECK(free.value().item() == 1);
  CHECK(free.grad().defined());
}

TEST_CASE("a moved Var's numbers are overwritten where no VJP needs them") {
  Var x = leaf({1, 2});
  const Var c = Tensor::ones({2});
  Tape tape;
  const auto in_place = [&](const auto& op) {
    Var y = x + c;
    const real* block = y.value().data();
    return op(std::move(y)).value().data() == block;
  };
  CHECK(in_place([&](Var y) { return std::move(y) + c; }));
  CHECK(in_place([&](Var y) { return std::move(y) - c; }));
  CHECK(in_place([&](Var y) { return std::move(y) * 2; }));
  CHECK(in_place([&](Var y) { return std::move(y) / 2; }));
  CHECK(in_place([&](Var y) { return exp(std::move(y)); }));
  CHECK(in_place([&](Var y) { return dropout(std::move(y), real(0.5), {}); }));
  CHECK(in_place([&](Var y) { return relu(std::move(y)); }));
  CHECK(!in_place([&](Var y) { return softplus(std::move(y)); }));  // its VJP needs x
}

TEST_CASE("gradients of the wrong shape are refused, with the op's name") {
  Var x = leaf({1, 2});
  Tape tape;
  const Var y = record("crooked", Tensor::ones({2}), {{x, [](Tensor) { return Tensor::ones({3}); }}});
  const std::string error = error_of([&] { tape.backward(sum(y)); });
  CHECK(contains(error, "crooked"));
  CHECK(contains(error, "(3)"));
  CHECK(contains(error, "(2)"));
}

TEST_CASE("constants have no gradient") {
  Var constant = Tensor::ones({2});
  CHECK(contains(error_of([&] { constant.grad(); }), "constant"));
  CHECK(contains(error_of([&] { constant.take_grad(); }), "constant"));
}

TEST_CASE("an op lets go of what only unneeded gradients would use") {
  Var x = leaf({1, 2});
  Tensor data = Tensor::ones({2});
  Tape tape;
  const Var y = Var(data) * x;  // dx needs the data, which needs no gradient
  const Var z = x + Var(data);  // nobody needs a value
  CHECK(!data.unique());
  tape.backward(sum(y + z));
  CHECK(data.unique());
}

TEST_CASE("each node is freed as soon as it has run") {
  Var x = leaf({1});
  bool freed_before = false;
  auto held = std::make_shared<int>(0);
  std::weak_ptr<int> watched = held;
  Tape tape;
  Var y = record("first", Tensor::ones({1}), {{x, [&](Tensor dY) {
                                                 freed_before = watched.expired();
                                                 return dY;
                                               }}});
  y = record("second", Tensor::ones({1}), {{y, [held](Tensor dY) { return dY; }}});
  held.reset();
  tape.backward(sum(y));
  CHECK(freed_before);
}

TEST_CASE("a VJP is freed as soon as it has run, before the next one of its op") {
  Var x = leaf({1});
  bool freed_before = false;
  auto held = std::make_shared<int>(0);
  std::weak_ptr<int> watched = held;
  const auto next = [&](Tensor dY) {
    freed_before = watched.expired();
    return dY;
  };
  Tape tape;
  const Var y = record("two", Tensor::ones({1}), {{x, [held](Tensor dY) { return dY; }}, {x, next}});
  held.reset();
  tape.backward(y);
  CHECK(freed_before);
}

TEST_CASE("a VJP for all inputs gets dY alone, and is dropped where no input needs a gradient") {
  Var x = leaf({1});
  bool unique = false;
  auto held = std::make_shared<int>(0);
  const auto vjp = [&unique, held](Tensor dY) {
    unique = dY.unique();
    return std::vector<Tensor>{dY, dY};
  };
  Tape tape;
  const Var constant = Tensor::ones({1});
  CHECK(!record("joint", Tensor::ones({1}), {constant, constant}, vjp).requires_grad());
  CHECK(held.use_count() == 2);
  tape.backward(record("joint", Tensor::ones({1}), {x, constant}, vjp));
  CHECK(unique);
  CHECK(held.use_count() == 2);
}

TEST_CASE("a hundred thousand ops deep, forward and backward") {
  Var x = leaf({1});
  Tape tape;
  Var y = x;
  for (int i = 0; i < 100000; ++i) y = y + real(1);
  tape.backward(sum(y));
  CHECK(x.grad().item() == 1);
  {
    Tape abandoned;  // and without backward
    for (int i = 0; i < 100000; ++i) y = Var(x) * 1;
  }
}
