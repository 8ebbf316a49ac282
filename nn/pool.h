// Pooling: images (B, C, H, W) made smaller, each channel for itself.
#pragma once
#include "autograd/ops.h"

namespace bobbin {

/// The mean over each window; see avg_pool2d().
struct AvgPool2d {
  Size2 kernel_size, stride;

  AvgPool2d(Size2 kernel_size, Size2 stride) : kernel_size(kernel_size), stride(stride) {}
  Var operator()(const Var& x) { return avg_pool2d(x, kernel_size, stride); }
};

/// The largest number in each window; see max_pool2d().
struct MaxPool2d {
  Size2 kernel_size, stride, padding;

  MaxPool2d(Size2 kernel_size, Size2 stride, Size2 padding = 0)
      : kernel_size(kernel_size), stride(stride), padding(padding) {}
  Var operator()(const Var& x) { return max_pool2d(x, kernel_size, stride, padding); }
};

/// The mean over each of `output_size` cells, whatever the size of the images; see adaptive_avg_pool2d().
struct AdaptiveAvgPool2d {
  Size2 output_size;

  explicit AdaptiveAvgPool2d(Size2 output_size) : output_size(output_size) {}
  Var operator()(const Var& x) { return adaptive_avg_pool2d(x, output_size); }
};

}  // namespace bobbin
