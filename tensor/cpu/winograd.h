#pragma once
#include "tensor/kernels.h"

/// Convolution with kernels of 3 x 3 without stride in fewer multiplications. Arguments as those of the kernels of
/// these names.
namespace bobbin::cpu::winograd {

/// Whether it can, and is faster than tensor/cpu/direct.h.
bool suits(const Conv2dSizes& s);

void conv2d(const real* x, const real* W, const real* bias, real* y, const Conv2dSizes& s);
void conv2d_backward_x(const real* W, const real* dY, real* dX, const Conv2dSizes& s);
void conv2d_backward_w(const real* x, const real* dY, real* dW, const Conv2dSizes& s);

}  // namespace bobbin::cpu::winograd
