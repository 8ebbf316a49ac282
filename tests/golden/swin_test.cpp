// The Swin Transformer against timm's and torchvision's (make_swin.py).
#include "nn/models/swin.h"

#include "optim/sgd.h"
#include "optim/training/step.h"
#include "tests/golden/by_formula.h"
#include "tests/golden/golden.h"

using namespace bobbin;

namespace {

// Batch `step` of the training.
Tensor images(int step, const Size2& size) {
  const Shape shape{3, 3, size.height, size.width};
  const std::vector<float> numbers =
      numbers_by_formula((1U << 31) + static_cast<std::uint32_t>(step * shape.size()), shape.size());
  return {shape, {numbers.begin(), numbers.end()}};
}
Labels labels(int step) { return {0, (step + 1) % 5, 2 * (step + 1) % 5}; }

}  // namespace

TEST_CASE(
    "golden: Swin Transformers of timm and torchvision, gradients and 20 steps, of maps that windows do not tile") {
  const Golden golden("swin");
  const std::pair<const char*, SwinConfig> cases[] = {
      {"tiled", {.img_size = 16, .depths = {2}, .num_heads = {2}, .window_size = 4}},
      {"odd", {.img_size = {22, 19}, .depths = {2, 2}, .num_heads = {2, 4}, .window_size = {4, 3}}},
      {"small", {.img_size = {6, 22}, .depths = {2}, .num_heads = {2}, .window_size = 7}}};
  for (const SwinForm form : {SwinForm::timm, SwinForm::torchvision})
    for (auto [name, config] : cases) {
      const std::string at = std::string(form == SwinForm::timm ? "timm/" : "torchvision/") + name + "/";
      CAPTURE(at);
      config.form = form;
      config.patch_size = 2;
      config.embed_dim = 8;
      config.mlp_ratio = real(2.5);
      config.num_classes = 5;
      config.num_channels = 3;
      Rng rng(0);
      Swin model(config, rng);
      state_of(model).load(weights_by_formula(model));

      Tape tape;
      const Var logits = model(images(0, config.img_size));
      tape.backward(cross_entropy(logits, labels(0)));
      check_golden("logits", logits.value(), golden.tensor(at + "logits"));
      for (auto [parameter_name, parameter] : named_parameters(model))
        check_golden(parameter_name, parameter.take_grad(), golden.tensor(at + "grads/" + parameter_name));
      SGD sgd(named_parameters(model));
      const std::vector<double> want = golden.doubles(at + "losses");
      for (int step = 0; step < 20; ++step) {
        CAPTURE(step);
        const double loss =
            training_step(model, sgd, CrossEntropy(), images(step, config.img_size), labels(step), 0.01);
        CHECK(std::abs(loss - want[static_cast<std::size_t>(step)]) <= (sizeof(real) == 8 ? 1e-9 : 1e-5));
      }
    }
}
