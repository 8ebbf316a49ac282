#include "nn/module.h"

#include "autograd/ops.h"
#include "nn/layers.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

using Net = Sequential<Linear, LayerNorm, Linear>;

Net net(std::uint64_t seed) {
  Rng rng(seed);
  return Net(Linear(3, 4, rng), LayerNorm(4), Linear(4, 2, rng));
}

std::vector<real> all_values(Net& module) {
  std::vector<real> values;
  for (const auto& [name, tensor] : state_of(module).tensors())
    for (const real x : tensor.values()) values.push_back(x);
  return values;
}

}  // namespace

TEST_CASE("load_state: from one module to another") {
  Net from = net(1), to = net(2);
  CHECK(all_values(from) != all_values(to));
  state_of(to).load(state_of(from).tensors());
  CHECK(all_values(from) == all_values(to));
  set(std::get<0>(from.layers).weight.mutable_value(), 0, 5);  // copied, not shared
  CHECK(all_values(from) != all_values(to));
}

TEST_CASE("load_state: all that does not fit in one message, and nothing changed") {
  Net from = net(1), to = net(2);
  auto tensors = state_of(from).tensors();
  tensors.erase("0.weight");
  tensors.at("2.weight") = Tensor::ones({5, 4});
  tensors.at("2.bias") = Tensor::ones({5});
  tensors.emplace("1.extra\n", Tensor::ones({7}));
  const std::vector<real> before = all_values(to);
  CHECK(error_of([&] { state_of(to).load(tensors); }) ==
        "[load_state] the tensors do not fit the model: 1 is missing: 0.weight; 1 is unexpected: \"1.extra?\" (7); "
        "2 are of another shape: 2.weight is (5, 4), expected (2, 4), 2.bias is (5), expected (2)");
  CHECK(all_values(to) == before);
  CHECK(fails([&] { state_of(to).load({}); },
              {"6 are missing: 0.weight, 0.bias, 1.weight, 1.bias, 2.weight and 1 more"}));
  // The same numbers in another shape are another shape.
  tensors = state_of(from).tensors();
  tensors.at("0.weight") = tensors.at("0.weight").reshape({4, 3, 1});
  CHECK(fails([&] { state_of(to).load(tensors); }, {"0.weight is (4, 3, 1), expected (4, 3)"}));
}

TEST_CASE("load_state: a head that is left alone") {
  Net from = net(1), to = net(2);
  auto tensors = state_of(from).tensors();
  tensors.at("2.weight") = Tensor::ones({5, 4});
  tensors.erase("2.bias");
  const auto head = std::get<2>(to.layers).weight.value().values();
  state_of(to).load(tensors, {"2."});
  CHECK(std::get<2>(to.layers).weight.value().values() == head);
  CHECK(std::get<0>(to.layers).weight.value().values() == tensors.at("0.weight").values());
}

TEST_CASE("load_state: not while a tape waits for its backward pass") {
  Net from = net(1), to = net(2);
  const std::vector<real> before = all_values(to);
  const auto tensors = state_of(from).tensors();
  Tape tape;
  const Var loss = sum(std::get<2>(to.layers)(Tensor::ones({1, 4})));
  CHECK(error_of([&] { state_of(to).load(tensors); }) != "");
  CHECK(all_values(to) == before);
}
