// Refuses images that are not of the model's size.
#pragma once
#include "autograd/tape.h"
#include "tensor/check.h"

namespace bobbin {

/// Throws Error, in the name of the model, unless X are images (B, num_channels, H, W) of its config's size.
void check_images(const char* model, const Var& X, const auto& config) {
  const auto& [height, width] = config.img_size;
  const Index channels = config.num_channels;
  check(X.rank() == 4 && X.shape() == Shape{X.shape()[0], channels, height, width}, model, "needs images (B, ",
        channels, ", ", height, ", ", width, "), got ", X.shape());
}

}  // namespace bobbin
