// Training of a narrow ResNet. The losses are those of this library, in double and on the processor; any other build
// must have the same ones, and so must the kernels for a GPU.
#include "nn/models/resnet.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "optim/sgd.h"
#include "optim/training/step.h"

using namespace bobbin;

namespace {

// The first loss, before any weight has changed, and the others, each to its tolerance.
void check_losses(ResNetForm form, const std::vector<double>& losses, double of_first, double of_others) {
  Rng rng(3);
  ResNet<18> model({.form = form, .img_size = {40, 48}, .width = 4, .num_classes = 5, .num_channels = 3}, rng);
  train(model);
  SGD sgd(named_parameters(model), {.momentum = real(0.9)});
  for (std::size_t step = 0; step < losses.size(); ++step) {
    CAPTURE(step);
    const Tensor X = rng.normal({6, 3, 40, 48});
    const double loss = training_step(model, sgd, CrossEntropy(), X, Labels{0, 1, 2, 3, 4, 0}, 0.01);
    CHECK(std::abs(loss / losses[step] - 1) < (step == 0 ? of_first : of_others));
  }
}

}  // namespace

TEST_CASE("3 steps of a narrow ResNet have the losses that they had") {
  check_losses(ResNetForm::d2l, {2.389340204, 2.661697462, 2.274895923}, 1e-6, 1e-5);
  check_losses(ResNetForm::torchvision, {1.543126362, 1.650483152, 1.495734313}, 1e-6, 1e-5);
}

// What is halfway between two numbers of bfloat16 is rounded by its last digit, which depends on the order of sums, and
// in the backward pass each block of layers adds its share: one step later there are three digits that agree. In
// float32 the first loss is another, by 3e-3.
TEST_CASE("2 steps of a narrow ResNet in bfloat16 have the losses that they had") {
  const ProductsIn products(Precision::bfloat16);
  check_losses(ResNetForm::d2l, {2.397455059, 2.678070639}, 1e-5, 4e-3);
}
