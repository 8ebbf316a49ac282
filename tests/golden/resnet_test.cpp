// Residual networks against d2l's code, torchvision and timm (make_resnet.py).
#include "nn/models/resnet.h"

#include "optim/sgd.h"
#include "optim/training/step.h"
#include "tests/golden/by_formula.h"
#include "tests/golden/golden.h"

using namespace bobbin;

namespace {

Tensor images(std::uint32_t begin, const Shape& shape) {
  const std::vector<float> numbers = numbers_by_formula(begin, shape.size());
  return {shape, {numbers.begin(), numbers.end()}};
}

}  // namespace

TEST_CASE("golden: d2l's ResNet-18, the losses of 20 steps, and the statistics and weights that they leave") {
  const Golden golden("resnet");
  Rng rng(0);
  ResNet<18> model({.img_size = 40, .width = 8}, rng);
  state_of(model).load(weights_by_formula(model));
  SGD sgd(named_parameters(model));
  const std::vector<double> want = golden.doubles("d2l/loss");
  Tensor X;
  // In single precision a ReLU falls on the other side of 0 sooner or later: whoever moves the weights by 1e-6 of
  // themselves has another loss from step 6 on.
  const bool is_double = sizeof(real) == 8;
  for (int step = 0; step < (is_double ? 20 : 5); ++step) {
    CAPTURE(step);
    X = images((1U << 31) + static_cast<std::uint32_t>(step * 8 * 40 * 40), {8, 1, 40, 40});
    Labels y;
    for (int i = 0; i < 8; ++i) y.push_back(i * (step + 1) % 10);
    const double loss = training_step(model, sgd, CrossEntropy(), X, y, 0.01);
    CHECK(std::abs(loss - want[static_cast<std::size_t>(step)]) <= (is_double ? 1e-9 : 1e-4));
  }
  if (!is_double) return;
  constexpr double tolerance = 2e-7;  // 20 steps
  for (const auto& [name, buffer] : state_of(model).buffers)
    check_golden(name, *buffer, golden.tensor("d2l/" + name), tolerance);
  for (const auto& [name, parameter] : state_of(model).parameters) {
    double squares = 0;
    for (const real x : parameter.value().values()) squares += double{x} * double{x};
    INFO(name);
    CHECK(std::sqrt(squares) == doctest::Approx(golden.doubles("d2l/norm/" + name)[0]).epsilon(tolerance));
  }
  for (const auto& [name, count] : state_of(model).counts) CHECK(count->n == 20);
  eval(model);
  check_golden("logits", model(X).value(), golden.tensor("d2l/logits"), tolerance);
}

TEST_CASE("golden: torchvision's ResNet-18 and timm's ResNet-34") {
  const Golden golden("resnet");
  const auto check_logits = [&](const std::string& name, auto config) {
    config.form = ResNetForm::torchvision;
    config.img_size = {40, 56};
    config.num_classes = 1000;
    config.num_channels = 3;
    Rng rng(0);
    typename decltype(config)::Model model(config, rng);
    state_of(model).load(weights_by_formula(model));
    eval(model);
    check_golden(name, model(images(1U << 31, {1, 3, 40, 56})).value(), golden.tensor(name));
  };
  check_logits("torchvision/resnet18", ResNetConfig<18>());
  check_logits("timm/resnet34", ResNetConfig<34>());
}
