// A distilled ViT, both heads in training, against timm, transformers and facebookresearch/deit (make_deit.py).
#include "data/files/safetensors.h"
#include "nn/distillation.h"
#include "nn/loss.h"
#include "nn/models/any_model.h"
#include "nn/pretrained/unwrap.h"
#include "nn/pretrained/vit_weights.h"
#include "optim/sgd.h"
#include "optim/training/step.h"
#include "tests/golden/by_formula.h"
#include "tests/golden/module.h"

using namespace bobbin;

namespace {

constexpr Index batch = 4, size = 24, classes = 5;

NamedTensors read(const std::string& name) {
  return read_safetensors("tests/golden/weights_" + name + ".safetensors").tensors;
}

AnyModel read_student(NamedTensors tensors, real layer_norm_eps) {
  const VitWeights weights = vit_weights(tensors, {.num_heads = 2,
                                                   .pool = Pool::token,
                                                   .layer_norm_eps = layer_norm_eps,
                                                   .activation = Activation::gelu,
                                                   .trained_size = Size2(size)});
  return make_model(weights.config, weights.tensors);
}

Tensor by_formula(std::uint32_t begin, const Shape& shape) {
  const std::vector<float> numbers = numbers_by_formula(begin, shape.size());
  return {shape, {numbers.begin(), numbers.end()}};
}

}  // namespace

TEST_CASE("golden: both heads of timm's and transformers' distilled models") {
  const Golden golden("deit");
  const Tensor X = read("inputs").at("X");
  const auto check_heads = [&](const std::string& library, AnyModel model) {
    const auto [of_labels, of_teacher] = model.both_heads(X);
    check_golden(library + "/cls", of_labels.value(), golden.tensor(library + "/cls"));
    check_golden(library + "/dist", of_teacher.value(), golden.tensor(library + "/dist"));
    check_golden("mean", model(X).value(), (of_labels.value() + of_teacher.value()) / 2);
  };
  check_heads("timm", read_student(read("timm_distilled"), real(1e-6)));
  NamedTensors two_heads = read("deit");
  std::erase_if(two_heads, [](const auto& tensor) { return tensor.first.starts_with("classifier"); });
  check_heads("transformers", read_student(unwrap({{two_heads, {}}}).tensors, real(1e-12)));
}

TEST_CASE("golden: distillation, soft as deit and as timm scale it, and hard: gradients and 20 steps") {
  const Golden golden("deit");
  const NamedTensors weights = read("timm_distilled");
  const struct {
    std::string name;
    Distillation loss;
  } runs[] = {
      {"soft", {.type = DistillationType::soft, .alpha = real(0.7), .tau = 3}},
      {"soft_timm", {.type = DistillationType::soft, .tau = 2, .scale = DistillationScale::timm}},
      {"hard", {.type = DistillationType::hard}},
  };
  for (const auto& run : runs) {
    CAPTURE(run.name);
    AnyModel model = read_student(weights, real(1e-6));
    const auto loss_of = [&](std::uint32_t step) {
      const Tensor X = by_formula((1U << 31) + step * batch * 3 * size * size, {batch, 3, size, size});
      const Tensor teacher = by_formula((1U << 30) + step * batch * classes, {batch, classes}) * real(4);
      Labels y;
      for (int i = 0; i < batch; ++i) y.push_back(i * static_cast<int>(step + 1) % static_cast<int>(classes));
      const auto [of_labels, of_teacher] = model.both_heads(X);
      return run.loss(CrossEntropy()(of_labels, y), of_teacher, teacher);
    };
    {
      Tape tape;
      tape.backward(loss_of(0));
      NamedTensors of_timm;
      for (const auto& [name, weight] : weights) of_timm.emplace(name, golden.tensor(run.name + "/grads/" + name));
      const NamedTensors grads = name_weights(of_timm).tensors;
      for (auto& [name, parameter] : named_parameters(model)) {
        REQUIRE(grads.contains(name));
        // That of W_k.bias is 0 but for rounding.
        if (name.ends_with("W_k.bias"))
          check_golden(name, parameter.take_grad() + Tensor::ones(parameter.shape()), Tensor::ones(parameter.shape()));
        else
          check_golden(name, parameter.take_grad(), grads.at(name));
      }
    }
    SGD sgd(named_parameters(model));
    const std::vector<double> losses = golden.doubles(run.name + "/loss");
    REQUIRE(losses.size() == 20);
    for (std::uint32_t step = 0; step < 20; ++step) {
      CAPTURE(step);
      const double loss = training_step([&] { return loss_of(step); }, sgd, 0.05);
      CHECK(std::abs(loss / losses[step] - 1) <= (sizeof(real) == 8 ? 1e-9 : 1e-4));
    }
  }
}
