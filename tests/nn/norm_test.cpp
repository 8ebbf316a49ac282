// Normalisation as layers: what they keep, and what files have of it.
#include "nn/norm.h"

#include "data/files/safetensors.h"
#include "nn/layers.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

TEST_CASE("BatchNorm2d: PyTorch's names and kinds; statistics are no parameters") {
  BatchNorm2d layer(3);
  const State state = state_of(layer);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state.tensors()) names.push_back(name);
  CHECK(names == std::vector<std::string>{"bias", "num_batches_tracked", "running_mean", "running_var", "weight"});
  CHECK(state.parameters.size() == 2);
  CHECK(state.count_parameters() == 6);
  CHECK(state.whole_numbers() == std::set<std::string>{"num_batches_tracked"});
  CHECK(state.tensors().at("num_batches_tracked").rank() == 0);
}

TEST_CASE("BatchNorm2d: momentum weighs the new; the variance that is kept is the unbiased one") {
  BatchNorm2d layer(1);
  layer(Tensor({2, 1, 1, 2}, {1, 2, 3, 6}));  // mean 3, Σ (x - 3)² = 14
  CHECK(layer.running_mean.item() == doctest::Approx(0.1 * 3));
  CHECK(layer.running_var.item() == doctest::Approx(0.9 * 1 + 0.1 * 14 / 3));
  CHECK(layer.num_batches_tracked.n == 1);
  eval(layer);
  const double y = layer(Tensor({1, 1, 1, 1}, {3})).value().item();  // one number is no trouble
  CHECK(y == doctest::Approx((3 - 0.3) / std::sqrt(0.9 + 1.4 / 3 + 1e-5)));
  CHECK(layer.running_mean.item() == doctest::Approx(0.3));
  CHECK(layer.num_batches_tracked.n == 1);
}

TEST_CASE("BatchNorm2d: copies share their statistics as they share their parameters") {
  BatchNorm2d layer(2), copy = layer;
  copy(Tensor({2, 2, 1, 1}, {1, 2, 3, 4}));
  CHECK(layer.running_mean.values() == copy.running_mean.values());
  CHECK(layer.running_mean.values() != std::vector<real>{0, 0});
}

TEST_CASE("BatchNorm2d: what training changes afterwards does not change the gradient of an evaluation") {
  BatchNorm2d layer(2);
  Var x = Var::parameter(Rng(1).normal({3, 2, 2, 2}));
  const auto gradients = [&](bool train_between) {
    eval(layer);
    Tape tape;
    const Var y = layer(x);
    if (train_between) {
      train(layer);
      layer(Tensor(x.value() * 7));
    }
    tape.backward(sum(y * y));
    return std::pair(x.take_grad().values(), layer.weight.take_grad().values());
  };
  const auto want = gradients(false);
  CHECK(gradients(true) == want);
}

TEST_CASE("BatchNorm2d refuses what is no batch") {
  BatchNorm2d layer(3);
  CHECK(fails([&] { layer(Tensor::ones({2, 3})); }, {"[BatchNorm2d]", "(B, C, H, W)", "(2, 3)"}));
  CHECK(fails([&] { layer(Tensor::ones({2, 4, 1, 1})); }, {"[batch_norm]", "(3)", "(2, 4, 1, 1)"}));
  CHECK(fails([&] { layer(Tensor::ones({1, 3, 1, 1})); }, {"more than one number for each channel"}));
  CHECK(layer.num_batches_tracked.n == 0);
  CHECK(layer.running_mean.values() == std::vector<real>(3, 0));
  const Evaluating evaluating;
  CHECK(fails([&] { layer(Tensor::ones({2, 3, 1, 1})); }, {"[BatchNorm2d]", "in training mode", "visit()"}));
}

TEST_CASE("BatchNorm2d: a state dict goes to a file and comes back; the count is an int64 there, as PyTorch's") {
  const TempFolder folder;
  const std::string python = "tests/golden/batch_norm_state.safetensors";
  BatchNorm2d layer(3), to(3);
  const State state = state_of(layer);
  state.load(read_safetensors(python).tensors);
  CHECK(layer.num_batches_tracked.n == 5);
  write_safetensors(folder / "ours", state.tensors(), {}, state.whole_numbers());
  if (sizeof(real) == 4) CHECK(content(folder / "ours") == content(python));  // to the byte

  for (int i = 0; i < 3; ++i) layer(Rng(1).normal({2, 3, 3, 3}));
  write_safetensors(folder / "later", state.tensors(), {}, state.whole_numbers());
  state_of(to).load(read_safetensors(folder / "later").tensors);
  CHECK(to.num_batches_tracked.n == 8);
  CHECK(to.running_var.values() == layer.running_var.values());

  auto tensors = state.tensors();
  tensors.erase("num_batches_tracked");  // as PyTorch wrote it before version 0.4.1
  state_of(to).load(tensors);
  CHECK(to.num_batches_tracked.n == 8);
  for (const real bad : {real(0.5), real(-1), real(1e30), std::numeric_limits<real>::quiet_NaN()}) {
    tensors["num_batches_tracked"] = Tensor::scalar(bad);
    CHECK(fails([&] { state_of(to).load(tensors); }, {"1 is no whole number: num_batches_tracked is "}));
  }
  tensors["num_batches_tracked"] = Tensor::ones({1});
  CHECK(fails([&] { state_of(to).load(tensors); }, {"num_batches_tracked is (1), expected ()"}));
}

TEST_CASE("GroupNorm refuses what does not fit") {
  CHECK(fails([] { GroupNorm(3, 4); }, {"[GroupNorm]", "3 groups do not divide 4 channels"}));
  CHECK(fails([] { GroupNorm(0, 4); }, {"[GroupNorm]", "0 groups"}));
  GroupNorm layer(2, 4);
  CHECK(fails([&] { layer(Tensor::ones({2, 3, 5})); }, {"[group_norm]", "2 groups", "(2, 3, 5)"}));
  CHECK(fails([&] { layer(Tensor::ones({2, 6, 5})); }, {"[group_norm]", "(4)", "(2, 6, 5)"}));
  CHECK(fails([&] { layer(Tensor::ones({4})); }, {"[group_norm]", "(4)"}));
}
