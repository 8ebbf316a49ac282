#pragma once
#include "tensor/kernels.h"

/// Convolutions of rounded operands as one product of all images with the kernels: of large images its operand, the
/// columns, would take too much memory, and small ones leave other ways too little to do at a time.
namespace bobbin::cpu::columns {

/// Whether this is the fastest way.
bool suits(const Conv2dSizes& s);
void conv2d(const bfloat16* x, const bfloat16* W, const real* bias, real* y, const Conv2dSizes& s);
void conv2d_backward_x(const bfloat16* W, const bfloat16* dY, real* dX, const Conv2dSizes& s);
void conv2d_backward_w(const bfloat16* x, const bfloat16* dY, real* dW, const Conv2dSizes& s);

}  // namespace bobbin::cpu::columns
