#pragma once
#include "tensor/kernels.h"

/// Convolution with a wide kernel on few channels in fewer multiplications: forward alone. Arguments as those of the
/// kernel of this name.
namespace bobbin::cpu::winograd_rows {

/// Whether it can, and is faster than tensor/cpu/direct.h.
bool suits(const Conv2dSizes& s);

void conv2d(const real* x, const real* W, const real* bias, real* y, const Conv2dSizes& s);

}  // namespace bobbin::cpu::winograd_rows
