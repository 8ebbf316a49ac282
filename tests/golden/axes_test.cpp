// Operations along any axes, broadcast, of vectors, scalars and nothing, against PyTorch's (make_axes.py).
#include <functional>
#include <map>

#include "autograd/ops.h"
#include "tests/golden/golden.h"

using namespace bobbin;

namespace {

using Inputs = std::vector<Var>;

// The names are those of the file; what each computes stands in make_axes.py.
const std::map<std::string, std::function<Var(const Inputs&)>>& cases() {
  static const std::map<std::string, std::function<Var(const Inputs&)>> all{
#define CASE(name, ...)                                      \
  {                                                          \
    name, [](const Inputs& x) -> Var { return __VA_ARGS__; } \
  }
      CASE("reshape -1", reshape(x[0], {4, -1})),
      CASE("reshape -1 alone", reshape(x[0], {-1})),
      CASE("reshape -1 of none", reshape(x[0], {-1, 3})),
      CASE("flatten", flatten(x[0])),
      CASE("flatten a scalar", flatten(x[0])),
      CASE("flatten 0 1", flatten(x[0], 0, 1)),
      CASE("flatten -2", flatten(x[0], -2)),
      CASE("flatten 1 -2", flatten(x[0], 1, -2)),
      CASE("unsqueeze -1", unsqueeze(x[0], -1)),
      CASE("unsqueeze 1", unsqueeze(x[0], 1)),
      CASE("squeeze", squeeze(x[0])),
      CASE("squeeze -2 1", squeeze(x[0], {-2, 1})),
      CASE("permute -1 0 -2", permute(x[0], {-1, 0, -2})),
      CASE("transpose -1 -3", transpose(x[0], -1, -3)),
      CASE("concat -2", concat({x[0], x[1], x[0]}, -2)),
      CASE("concat none", concat({x[0], x[1], x[0]})),
      CASE("slice past the end", slice(x[0], 1, 2, 100)),
      CASE("slice -3 -1", slice(x[0], 1, -3, -1)),
      CASE("slice from before the start", slice(x[0], 1, -100, 2)),
      CASE("slice 2 on", slice(x[0], 0, 2)),
      CASE("slice none", slice(x[0], 1, 4, 2)),
      CASE("slice behind the end", slice(x[0], 0, 7, 9)),
      CASE("select -1", select(x[0], -2, -1)),
      CASE("pad by a value", pad(x[0], 1, 1, 2, real(2.5))),
      CASE("pad -1 2", pad(x[0], -1, -1, 2)),
      CASE("pad -1 -3", pad(x[0], -1, -1, -3)),
      CASE("pad none", pad(pad(x[0], 1, 1, 1), 0, 2, 1)),
      CASE("sum 0 2", sum(x[0], {0, 2})),
      CASE("sum -1 keepdim", sum(x[0], -1, true)),
      CASE("sum -1 0 keepdim", sum(x[0], {-1, 0}, true)),
      CASE("sum all keepdim", sum(x[0], {}, true)),
      CASE("sum of a scalar", sum(x[0], -1)),
      CASE("sum over 1", sum(x[0], 1)),
      CASE("sum none", sum(x[0], 0)),
      CASE("sum none 1", sum(x[0], 1, true)),
      CASE("sum all of none", sum(x[0])),
      CASE("mean 1 2", mean(x[0], {1, 2})),
      CASE("mean -2 keepdim", mean(x[0], -2, true)),
      CASE("mean 0 -2 of images", mean(x[0], {0, -2}, true)),
      CASE("var", var(x[0])),
      CASE("var 1", var(x[0], 1)),
      CASE("var -1 0 correction 0 keepdim", var(x[0], {-1, 0}, 0, true)),
      CASE("var 2 correction 2", var(x[0], 2, 2)),
      CASE("max", max(x[0])),
      CASE("max, ties", max(x[0])),
      CASE("min, ties", min(x[0])),
      CASE("max 1, ties", max(x[0], 1)),
      CASE("max -1 keepdim, ties", max(x[0], -1, true)),
      CASE("max 0 of images, ties", max(x[0], 0)),
      CASE("min 0, ties", min(x[0], 0)),
      CASE("min -2 keepdim", min(x[0], -2, true)),
      CASE("max of a scalar", max(x[0], 0)),
      CASE("max none", max(x[0], 1)),
      CASE("amax 0 2, ties", amax(x[0], {0, 2})),
      CASE("amax -1 keepdim, ties", amax(x[0], -1, true)),
      CASE("amin, ties", amin(x[0])),
      CASE("amin -3 1 keepdim, ties", amin(x[0], {-3, 1}, true)),
      CASE("softmax 0", softmax(x[0], 0)),
      CASE("softmax -2", softmax(x[0], -2)),
      CASE("softmax 1 of images", softmax(x[0], 1)),
      CASE("softmax of a scalar", softmax(x[0], 0)),
      CASE("softmax none", softmax(x[0], 0)),
      CASE("log_softmax 1", log_softmax(x[0], 1)),
      CASE("log_softmax -3", log_softmax(x[0], -3)),
      CASE("log_softmax of a scalar", log_softmax(x[0], -1)),
      CASE("logsumexp 1 keepdim", logsumexp(x[0], 1, true)),
      CASE("logsumexp 0 -1", logsumexp(x[0], {0, -1})),
      CASE("logsumexp all", logsumexp(x[0], {})),
      CASE("layer_norm 2 axes", layer_norm(x[0], x[1], x[2])),
      CASE("layer_norm all axes", layer_norm(x[0], x[1], x[2])),
      CASE("layer_norm none", layer_norm(x[0], x[1], x[2])),
      CASE("group_norm none", group_norm(x[0], 2, x[1], x[2])),
      {"batch_norm none",
       [](const Inputs& x) {
         Tensor mean = Tensor::zeros({3}), variance = Tensor::ones({3});
         const Var y = batch_norm(x[0], x[1], x[2], mean, variance);
         CHECK(mean.values() == std::vector<real>(3, 0));
         CHECK(variance.values() == std::vector<real>(3, 1));
         return y;
       }},
      CASE("matmul vector vector", matmul(x[0], x[1])),
      CASE("matmul vector matrix", matmul(x[0], x[1])),
      CASE("matmul matrix vector", matmul(x[0], x[1])),
      CASE("matmul vector batch", matmul(x[0], x[1])),
      CASE("matmul batch vector", matmul(x[0], x[1])),
      CASE("matmul batch matrix", matmul(x[0], x[1])),
      CASE("matmul matrix batch", matmul(x[0], x[1])),
      CASE("matmul 1 batch", matmul(x[0], x[1])),
      CASE("matmul batch 1", matmul(x[0], x[1])),
      CASE("matmul broadcast", matmul(x[0], x[1])),
      CASE("matmul broadcast both", matmul(x[0], x[1])),
      CASE("matmul broadcast inside", matmul(x[0], x[1])),
      CASE("matmul none", matmul(x[0], x[1])),
      CASE("matmul none 1", matmul(x[0], x[1])),
      CASE("matmul over none", matmul(x[0], x[1])),
      CASE("linear none", linear(x[0], x[1], x[2])),
      CASE("linear over none", linear(x[0], x[1], x[2])),
      CASE("conv2d none", conv2d(x[0], x[1], x[2])),
      CASE("conv2d one image", conv2d(x[0], x[1], x[2])),
      CASE("max_pool2d one image", max_pool2d(x[0], 2)),
      CASE("max_pool2d none", max_pool2d(x[0], 2)),
      CASE("max_pool2d ceil_mode", max_pool2d(x[0], 3, 2, 1, true)),
      CASE("max_pool2d ceil_mode, ties", max_pool2d(x[0], {2, 3}, {3, 2}, {0, 1}, true)),
      CASE("avg_pool2d one image", avg_pool2d(x[0], 2)),
      CASE("avg_pool2d padding", avg_pool2d(x[0], {3, 2}, 2, {1, 0})),
      CASE("avg_pool2d none", avg_pool2d(x[0], 2)),
      CASE("adaptive_avg_pool2d one image", adaptive_avg_pool2d(x[0], {2, 3})),
      CASE("adaptive_avg_pool2d none", adaptive_avg_pool2d(x[0], {2, 3})),
      CASE("attention none", attention(x[0], x[1], x[2], 1)),
      CASE("attention without keys", attention(x[0], x[1], x[2], 1)),
      CASE("add scalars", x[0] + x[1]),
      CASE("mul a scalar", x[0] * x[1]),
      CASE("div none", x[0] / (x[1] + 7)),
      CASE("sub broadcast none", x[0] - x[1]),
#undef CASE
  };
  return all;
}

}  // namespace

TEST_CASE("golden: operations along any axes, broadcast, and of nothing") {
  const Golden golden("axes");
  for (const auto& entry : cases()) {
    const std::string& name = entry.first;
    CAPTURE(name);
    REQUIRE(golden.has(name + "/Y"));
    Inputs inputs;
    for (int i = 0; golden.has(name + "/x" + std::to_string(i)); ++i)
      inputs.push_back(Var::parameter(golden.tensor(name + "/x" + std::to_string(i))));
    const Tensor Y = backward_from([&] { return entry.second(inputs); }, golden.tensor(name + "/dY"));
    check_golden("Y", Y, golden.tensor(name + "/Y"));
    for (std::size_t i = 0; i < inputs.size(); ++i)
      check_golden("dX", inputs[i].grad(), golden.tensor(name + "/dx" + std::to_string(i)));
  }
}

TEST_CASE("the largest of numbers with a NaN is NaN, and all NaN share the gradient of max()") {
  constexpr real nan = std::numeric_limits<real>::quiet_NaN();
  const auto gradient = [](const auto& f) {
    Var x = Var::parameter(Tensor({2, 2}, {1, nan, nan, 2}));
    Tape tape;
    const Var y = sum(f(x));
    CHECK(std::isnan(y.value().item()));
    tape.backward(y);
    return x.take_grad();
  };
  CHECK(gradient([](const Var& x) { return max(x); }).values() == std::vector<real>{0, 0.5, 0.5, 0});
  CHECK(gradient([](const Var& x) { return min(x); }).values() == std::vector<real>{0, 0.5, 0.5, 0});
  CHECK(gradient([](const Var& x) { return max(x, 0); }).values() == std::vector<real>{0, 1, 1, 0});
  for (const real dx : gradient([](const Var& x) { return amax(x, 0); }).values()) CHECK(std::isnan(dx));
}

TEST_CASE("golden: products of vectors and batches in bfloat16") {
  const ProductsIn bfloat16(Precision::bfloat16);
  const Golden golden("axes");
  for (const auto& entry : cases()) {
    const std::string& name = entry.first;
    if (name.find("matmul") != 0) continue;
    CAPTURE(name);
    Var a = Var::parameter(golden.tensor(name + "/x0")), b = Var::parameter(golden.tensor(name + "/x1"));
    const Tensor Y = backward_from([&] { return matmul(a, b); }, golden.tensor(name + "/dY"));
    check_golden("Y", Y, golden.tensor(name + "/Y"), 2e-2);
    check_golden("dA", a.grad(), golden.tensor(name + "/dx0"), 2e-2);
    check_golden("dB", b.grad(), golden.tensor(name + "/dx1"), 2e-2);
  }
}
