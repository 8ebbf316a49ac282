// The layers of convolutional networks against PyTorch's (make_convnet.py).
#include "nn/layers.h"
#include "tests/golden/golden.h"

using namespace bobbin;

TEST_CASE("golden: BatchNorm2d, three batches in training and one in evaluation") {
  const Golden golden("convnet");
  for (const std::string name : {"usual", "odd", "flat"}) {
    CAPTURE(name);
    const std::string at = "batch_norm/" + name + "/";
    const bool odd = name == "odd";
    BatchNorm2d layer(golden.tensor(at + "weight").size(), odd ? real(0.1) : real(1e-5), odd ? real(0.3) : real(0.1));
    std::map<std::string, Tensor> weights;
    for (const char* part : {"weight", "bias", "running_mean", "running_var"})
      weights.emplace(part, golden.tensor(at + part));
    state_of(layer).load(weights);
    for (int step = 0; step < 4; ++step) {
      CAPTURE(step);
      train(layer, step < 3);
      const std::string now = at + std::to_string(step) + "/";
      Var X = Var::parameter(golden.tensor(now + "X"));
      const Tensor Y = backward_from([&] { return layer(X); }, golden.tensor(now + "dY"));
      check_golden("Y", Y, golden.tensor(now + "Y"));
      check_golden("dX", X.grad(), golden.tensor(now + "dX"));
      check_golden("dW", layer.weight.take_grad(), golden.tensor(now + "dW"));
      check_golden("db", layer.bias.take_grad(), golden.tensor(now + "db"));
      check_golden("running_mean", layer.running_mean, golden.tensor(now + "running_mean"));
      check_golden("running_var", layer.running_var, golden.tensor(now + "running_var"));
    }
    CHECK(layer.num_batches_tracked.n == 3);
  }
}

TEST_CASE("golden: MaxPool2d, with padding, ties and infinities") {
  const Golden golden("convnet");
  for (const std::string name : {"2/2", "3/2 pad 1", "ties", "all", "overlap", "wide", "inf"}) {
    CAPTURE(name);
    const std::string at = "max_pool2d/" + name + "/";
    const std::vector<int> g = golden.ints(at + "geometry");
    MaxPool2d layer({g[0], g[1]}, {g[2], g[3]}, {g[4], g[5]});
    Var X = Var::parameter(golden.tensor(at + "X"));
    Tape tape;
    const Var Y = layer(X);
    CHECK(Y.value().values() == golden.tensor(at + "Y").values());
    const Tensor dX =
        max_pool2d_backward(X.value(), golden.tensor(at + "dY"), layer.kernel_size, layer.stride, layer.padding);
    check_golden("dX", dX, golden.tensor(at + "dX"));
  }
}

TEST_CASE("golden: AdaptiveAvgPool2d into fewer, as many and more cells than there are pixels") {
  const Golden golden("convnet");
  const std::pair<std::string, Size2> cases[] = {
      {"1 x 1", 1}, {"3 x 4", {3, 4}}, {"7 x 10", {7, 10}}, {"9 x 3", {9, 3}}, {"2 x 13", {2, 13}}};
  for (const auto& c : cases) {
    const auto& name = c.first;
    const Size2 size = c.second;
    CAPTURE(name);
    const std::string at = "adaptive_avg_pool2d/" + name + "/";
    AdaptiveAvgPool2d layer(size);
    Var X = Var::parameter(golden.tensor("adaptive_avg_pool2d/X"));
    const Tensor Y = backward_from([&] { return layer(X); }, golden.tensor(at + "dY"));
    check_golden("Y", Y, golden.tensor(at + "Y"));
    check_golden("dX", X.grad(), golden.tensor(at + "dX"));
  }
}

TEST_CASE("golden: GroupNorm") {
  const Golden golden("convnet");
  const std::pair<std::string, Index> cases[] = {{"usual", 3}, {"one", 1}, {"each", 5}, {"flat", 2}};
  for (const auto& c : cases) {
    const auto& name = c.first;
    const Index groups = c.second;
    CAPTURE(name);
    const std::string at = "group_norm/" + name + "/";
    GroupNorm layer(groups, golden.tensor(at + "W").size());
    state_of(layer).load({{"weight", golden.tensor(at + "W")}, {"bias", golden.tensor(at + "b")}});
    Var X = Var::parameter(golden.tensor(at + "X"));
    const Tensor Y = backward_from([&] { return layer(X); }, golden.tensor(at + "dY"));
    check_golden("Y", Y, golden.tensor(at + "Y"));
    check_golden("dX", X.grad(), golden.tensor(at + "dX"));
    check_golden("dW", layer.weight.grad(), golden.tensor(at + "dW"));
    check_golden("db", layer.bias.grad(), golden.tensor(at + "db"));
  }
}

TEST_CASE("golden: padding with zeros, and by reflection") {
  const Golden golden("convnet");
  for (const std::string mode : {"constant", "reflect"})
    for (const std::string name : {"even", "odd", "none"}) {
      CAPTURE(mode);
      CAPTURE(name);
      const std::string at = "pad/" + mode + "/" + name + "/";
      const auto op = [&](const Var& x, int axis, Index before, Index after) {
        return mode == "constant" ? pad(x, axis, before, after) : pad_reflect(x, axis, before, after);
      };
      const std::vector<int> by = golden.ints(at + "by");
      Var X = Var::parameter(golden.tensor("pad/X"));
      const Tensor Y =
          backward_from([&] { return op(op(X, 2, by[2], by[3]), -1, by[0], by[1]); }, golden.tensor(at + "dY"));
      CHECK(Y.values() == golden.tensor(at + "Y").values());
      check_golden("dX", X.grad(), golden.tensor(at + "dX"));
    }
}
