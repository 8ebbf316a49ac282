// Pooling: images (B, C, H, W) made smaller, each channel for itself.
#pragma once
#include "autograd/ops.h"

namespace bobbin {

/// The mean over each window; see avg_pool2d().
struct AvgPool2d {
  Size2 kernel_size, stride, padding;

  explicit AvgPool2d(Size2 kernel_size) : AvgPool2d(kernel_size, kernel_size) {}
  AvgPool2d(Size2 kernel_size, Size2 stride, Size2 padding = 0)
      : kernel_size(kernel_size), stride(stride), padding(padding) {}
  Var operator()(const Var& x) { return avg_pool2d(x, kernel_size, stride, padding); }
};

/// The largest number in each window; see max_pool2d().
struct MaxPool2d {
  Size2 kernel_size, stride, padding;
  bool ceil_mode;

  explicit MaxPool2d(Size2 kernel_size) : MaxPool2d(kernel_size, kernel_size) {}
  MaxPool2d(Size2 kernel_size, Size2 stride, Size2 padding = 0, bool ceil_mode = false)
      : kernel_size(kernel_size), stride(stride), padding(padding), ceil_mode(ceil_mode) {}
  Var operator()(const Var& x) { return max_pool2d(x, kernel_size, stride, padding, ceil_mode); }
};

/// The mean over each of `output_size` cells, whatever the size of the images; see adaptive_avg_pool2d().
struct AdaptiveAvgPool2d {
  Size2 output_size;

  explicit AdaptiveAvgPool2d(Size2 output_size) : output_size(output_size) {}
  Var operator()(const Var& x) { return adaptive_avg_pool2d(x, output_size); }
};

}  // namespace bobbin
