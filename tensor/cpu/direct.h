#pragma once
#include "tensor/kernels.h"

/// Convolution as a product whose matrix of columns is never written down: for every geometry. Arguments as those of
/// the kernels of these names.
namespace bobbin::cpu::direct {

void conv2d(const real* x, const real* W, const real* bias, real* y, const Conv2dSizes& s);
void conv2d_backward_x(const real* W, const real* dY, real* dX, const Conv2dSizes& s);
void conv2d_backward_w(const real* x, const real* dY, real* dW, const Conv2dSizes& s);

}  // namespace bobbin::cpu::direct
