#include "optim/optimizer.h"

#include <doctest/doctest.h>

#include <cmath>

#include "autograd/ops.h"
#include "optim/any_optimizer.h"
#include "optim/clip.h"
#include "tests/golden/golden.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

Var leaf(const std::vector<real>& values) {
  return Var::parameter(Tensor({static_cast<Index>(values.size())}, values));
}

void give(Var parameter, const Tensor& gradient) { parameter.add_grad(gradient.clone()); }

std::vector<std::string> keys(const std::map<std::string, Tensor>& tensors) {
  std::vector<std::string> all;
  for (const auto& [key, tensor] : tensors) all.push_back(key);
  return all;
}

// The parameters of adamw.safetensors, with their gradients step by step.
struct Drawn {
  Golden golden{"adamw"};
  std::vector<NamedParameter> parameters;
  std::vector<double> lr = golden.doubles("lr");

  Drawn() {
    for (const char* name : {"matrix.weight", "filter.weight", "late.weight", "matrix.bias"})
      parameters.emplace_back(name, Var::parameter(golden.tensor(std::string("start/") + name)));
  }
  void step(AdamW& adamw, std::size_t i) {
    for (auto& [name, parameter] : parameters)
      if (name != "late.weight" || i >= 2) give(parameter, golden.tensor("grads/" + name)[static_cast<Index>(i)]);
    adamw.step(lr[i]);
  }
};

}  // namespace

TEST_CASE("golden: 20 steps of AdamW in two groups, with a gradient that comes late and an lr that changes") {
  for (const std::string run : {"default", "decay"}) {
    CAPTURE(run);
    Drawn drawn;
    AdamWOptions options;
    if (run == "decay") options = {{real(0.85), real(0.98)}, real(1e-6), real(0.3)};
    AdamW adamw(drawn.parameters, options);
    for (std::size_t i = 0; i < 20; ++i) {
      drawn.step(adamw, i);
      const std::string at = run + "/" + std::to_string(i + 1) + "/";
      if (!drawn.golden.has(at + "matrix.bias")) continue;
      for (const auto& [name, parameter] : drawn.parameters)
        check_golden(at + name, parameter.value(), drawn.golden.tensor(at + name));
    }
    // Of 1 - beta2, where beta2 is .999 in float, five digits are right.
    const double tolerance = sizeof(real) == 8 ? golden_tolerance : 2e-5;
    for (const auto& [key, tensor] : adamw.state())
      if (!key.starts_with("step."))
        check_golden(key, tensor, drawn.golden.tensor(std::string(run).append("/").append(key)), tolerance);
    CHECK(adamw.state().at("step.matrix.bias").item() == 20);
    CHECK(adamw.state().at("step.late.weight").item() == 18);
  }
}

TEST_CASE("optimizer: state saved after any step and loaded into another goes on to the bit") {
  for (const std::size_t stop : {0, 1, 2, 7}) {
    CAPTURE(stop);
    Drawn whole, part;
    AdamW adamw(whole.parameters), first(part.parameters), second(part.parameters);
    for (std::size_t i = 0; i < 12; ++i) whole.step(adamw, i);
    for (std::size_t i = 0; i < stop; ++i) part.step(first, i);
    const auto state = first.state();
    second.load_state(state);
    if (stop > 0) part.step(first, stop);  // what was loaded is a copy
    for (auto& [name, parameter] : part.parameters)
      parameter.mutable_value().assign(part.golden.tensor("start/" + name));
    AdamW again(part.parameters);
    for (std::size_t i = 0; i < stop; ++i) part.step(again, i);
    for (std::size_t i = stop; i < 12; ++i) part.step(second, i);
    for (std::size_t i = 0; i < whole.parameters.size(); ++i)
      CHECK(whole.parameters[i].second.value().values() == part.parameters[i].second.value().values());
  }
}

TEST_CASE("optimizer: what it remembers has torch's names; a parameter that never moved has nothing") {
  Var a = leaf({1, 2}), b = leaf({3});
  SGD plain({{"a", a}, {"b", b}}), sgd({{"a", a}, {"b", b}}, {.momentum = real(0.9)});
  AdamW adamw({{"a", a}, {"b", b}});
  for (Optimizer* optimizer :
       {static_cast<Optimizer*>(&plain), static_cast<Optimizer*>(&sgd), static_cast<Optimizer*>(&adamw)}) {
    CHECK(optimizer->state().empty());
    give(a, Tensor::ones({2}));
    optimizer->step(0.1);
  }
  CHECK(plain.state().empty());
  CHECK(keys(sgd.state()) == std::vector<std::string>{"momentum_buffer.a"});
  CHECK(keys(adamw.state()) == std::vector<std::string>{"exp_avg.a", "exp_avg_sq.a", "step.a"});
}

TEST_CASE("optimizer: state that does not fit is refused and changes nothing") {
  Var a = leaf({1, 2});
  AdamW adamw({{"a", a}});
  give(a, Tensor::ones({2}));
  adamw.step(0.1);
  const auto good = adamw.state();
  const auto refused = [&](const std::string& key, const Tensor& tensor, const std::string& says) {
    auto bad = good;
    bad.erase(key);
    if (tensor.defined()) bad.emplace(key, tensor);
    return fails([&] { adamw.load_state(bad); }, {"[adamw] ", says});
  };
  CHECK(refused("exp_avg.a", Tensor::ones({1}), "the state exp_avg.a has the shape (1), expected (2)"));
  CHECK(refused("exp_avg.a", {}, "the state of a is not whole"));
  CHECK(refused("step.a", {}, "the state of a is not whole"));
  CHECK(refused("step.a", Tensor::scalar(0), "the state step.a is 0, expected 1 or more"));
  CHECK(refused("step.a", Tensor::scalar(NAN), "expected 1 or more"));
  CHECK(refused("exp_avg.b", Tensor::ones({2}), "the state \"exp_avg.b\" belongs to no parameter"));
  CHECK(refused("momentum_buffer.a", Tensor::ones({2}), "belongs to no parameter"));
  CHECK(adamw.state().at("exp_avg.a").values() == good.at("exp_avg.a").values());
  adamw.load_state({});  // as it was at first
  CHECK(adamw.state().empty());
}

TEST_CASE("optimizer: what decays") {
  const Shape matrix{3, 4}, row{4}, tokens{1, 2, 4};
  CHECK(decay_all("a.bias", row));
  CHECK(decay_matrices("blks.0.mlp.dense1.weight", matrix));
  CHECK(decay_matrices("pos_embedding.weight", matrix));
  CHECK(!decay_matrices("blks.0.ln1.weight", row));
  CHECK(!decay_matrices("scale", {}));
  CHECK(!decay_matrices("blks.0.mlp.dense1.bias", matrix));
  for (const char* name :
       {"pos_embedding", "cls_token", "vit.dist_token", "layers.0.blocks.0.attn.relative_position_bias_table"})
    CHECK(!decay_matrices(name, tokens));
  CHECK(decay_matrices("my_cls_token", tokens));

  // A gradient of zero leaves weight decay alone.
  const auto moved = [](auto&& make) {
    Var w = Var::parameter(Tensor::ones({1, 1})), b = leaf({1});
    auto optimizer = make(std::vector<NamedParameter>{{"w", w}, {"b", b}});
    give(w, Tensor::zeros({1, 1})), give(b, Tensor::zeros({1}));
    optimizer.step(0.5);
    return std::pair(w.value().item() < 1, b.value().item() < 1);
  };
  using Parameters = std::vector<NamedParameter>;
  CHECK(moved([](Parameters p) { return SGD(std::move(p), {.weight_decay = real(0.1)}); }) == std::pair(true, true));
  CHECK(moved([](Parameters p) { return SGD(std::move(p), {.weight_decay = real(0.1)}, decay_matrices); }) ==
        std::pair(true, false));
  CHECK(moved([](Parameters p) { return AdamW(std::move(p)); }) == std::pair(true, false));
  CHECK(moved([](Parameters p) { return AdamW(std::move(p), {}, decay_all); }) == std::pair(true, true));
}

TEST_CASE("optimizer: the momentum of a step takes the place of its own") {
  const auto weights = [](bool adam, real own, std::optional<real> of_step) {
    Var w = leaf({1, -2});
    AnyOptimizerOptions options = SGDOptions{.momentum = own};
    if (adam) options = AdamWOptions{.betas = {own, real(0.999)}};
    const auto optimizer = make_optimizer(options, {{"w", w}});
    for (int i = 0; i < 3; ++i) {
      give(w, Tensor({2}, {real(i), 1}));
      optimizer->step({real(0.1), of_step});
    }
    return w.value().values();
  };
  for (const bool adam : {false, true}) {
    CHECK(weights(adam, real(0.9), real(0.5)) == weights(adam, real(0.5), {}));
    CHECK(weights(adam, real(0.9), real(0.5)) != weights(adam, real(0.9), {}));
  }
}

TEST_CASE("optimizer: chosen by name") {
  Var w = leaf({1});
  for (const std::string name : {"sgd", "adamw"}) {
    CHECK(name_of(optimizer_options(name)) == name);
    CHECK(make_optimizer(optimizer_options(name), {{"w", w}})->name() == name);
  }
  CHECK(optimizer_names() == std::vector<std::string>{"sgd", "adamw"});
  CHECK(fails([] { optimizer_options("adam"); }, {"none called \"adam\"; there are sgd, adamw"}));
}

TEST_CASE("optimizer: clipping names a gradient that is not finite, and changes nothing") {
  const real inf = std::numeric_limits<real>::infinity();
  const struct {
    std::vector<real> gradient;
    const char* says;
  } cases[] = {{{1, NAN, 2}, "1 NaN and 0 infinite"},
               {{inf, 1, -inf}, "0 NaN and 2 infinite"},
               {{NAN, NAN, inf}, "2 NaN and 1 infinite"}};
  for (const auto& c : cases) {
    Var a = leaf({1, 2, 3}), b = leaf({1, 2, 3});
    give(a, Tensor({3}, {30, 40, 0}));
    give(b, Tensor({3}, c.gradient));
    CHECK(fails(
        [&] {
          clip_grad_norm({{"a", a}, {"head.b", b}}, 1);
        },
        {"[clip_grad_norm]", "the gradient of head.b", "3 numbers", c.says}));
    CHECK(a.grad().values() == std::vector<real>{30, 40, 0});
    CHECK(a.value().values() == std::vector<real>{1, 2, 3});
  }
  // A gradient may be as large as numbers are: its square is no float.
  Var a = leaf({1, 2});
  give(a, Tensor({2}, {real(3e37), real(4e37)}));
  CHECK(clip_grad_norm({{"a", a}}, 5) == doctest::Approx(5e37));
  CHECK(a.grad().values()[0] == doctest::Approx(3));
  CHECK(a.grad().values()[1] == doctest::Approx(4));
}

TEST_CASE("optimizer: settings that cannot be") {
  Var w = leaf({1});
  const std::vector<NamedParameter> parameters{{"w", w}};
  CHECK(fails([&] { SGD(parameters, {.momentum = -1}); }, {"momentum must be 0 or more, got -1"}));
  CHECK(fails([&] { SGD(parameters, {.weight_decay = real(NAN)}); }, {"weight_decay must be 0 or more"}));
  CHECK(fails([&] { SGD(parameters, {.nesterov = true}); }, {"nesterov needs a momentum"}));
  CHECK(fails([&] { AdamW(parameters, {.betas = {real(0.9)}}); }, {"two betas, got 1"}));
  CHECK(fails([&] { AdamW(parameters, {.betas = {real(0.9), 1}}); }, {"betas must be in [0, 1), got 1"}));
  CHECK(fails([&] { AdamW(parameters, {.eps = -1}); }, {"eps must be 0 or more"}));
  CHECK(fails([&] { AdamW(parameters, {.weight_decay = -1}); }, {"weight_decay must be 0 or more"}));
  CHECK(fails([&] { SGD({{"w", w}, {"w", w}}); }, {"two parameters are called \"w\""}));
  SGD sgd(parameters);
  give(w, Tensor::ones({1}));
  for (const real lr : {real(-1), real(NAN), real(INFINITY)})
    CHECK(fails([&] { sgd.step(lr); }, {"[sgd] lr must be 0 or more"}));
  CHECK(fails([&] { sgd.step({1, real(1)}); }, {"the momentum of a step must be in [0, 1), got 1"}));
  CHECK(w.value().item() == 1);
  CHECK(fails([&] { clip_grad_norm(parameters, 0); }, {"max_norm must be above 0"}));
}
