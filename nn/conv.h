// Convolution as a layer.
#pragma once
#include "autograd/ops.h"
#include "nn/init.h"
#include "tensor/check.h"

namespace bobbin {

/// Images (B, in, H, W) -> (B, out, H', W'); see conv2d().
struct Conv2d {
  Var weight, bias;  // (out, in/groups, h, w), (out)
  Conv2dOptions options;

  /// Throws Error unless the groups divide the channels.
  Conv2d(Index in, Index out, Size2 kernel_size, Rng& rng, Conv2dOptions options = {}, bool use_bias = true)
      : options(options) {
    check(options.groups >= 1 && in % options.groups == 0 && out % options.groups == 0, "Conv2d", options.groups,
          " groups do not divide ", in, " and ", out, " channels");
    const Shape shape{out, in / options.groups, kernel_size.height, kernel_size.width};
    weight = uniform_by_fan_in(shape, shape.product(1, 4), rng);
    if (use_bias) bias = uniform_by_fan_in({out}, shape.product(1, 4), rng);
  }

  Var operator()(const Var& x) { return conv2d(x, weight, bias, options); }
  void visit(auto&& v) { v("weight", weight), v("bias", bias); }
};

}  // namespace bobbin
