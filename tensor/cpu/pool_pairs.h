#pragma once
#include "tensor/kernels.h"

/// Maximum pooling by windows of 2 x 2 side by side, which most networks have, in registers.
namespace bobbin::cpu::pairs {

/// Whether the windows are that, without padding.
bool fits(const Conv2dGeometry& g);

/// As max_pool2d() and max_pool2d_backward() of tensor/kernels.h.
void max_pool2d(const real* x, real* y, Index batch, const Conv2dGeometry& g);
void max_pool2d_backward(const real* x, const real* dY, real* dX, Index batch, const Conv2dGeometry& g);

}  // namespace bobbin::cpu::pairs
