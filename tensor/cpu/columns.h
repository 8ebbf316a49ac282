#pragma once
#include "tensor/kernels.h"

/// Convolutions, of operands that are `real` or rounded, as one product of all images with the kernels: of large images
/// its operand, the columns, would take too much memory, and small ones leave other ways too little to do at a time.
namespace bobbin::cpu::columns {

/// Whether this is the fastest way.
bool suits(const Conv2dSizes& s);
template <class T>
void conv2d(const T* x, const T* W, const real* bias, real* y, const Conv2dSizes& s);
template <class T>
void conv2d_backward_x(const T* W, const T* dY, real* dX, const Conv2dSizes& s);
template <class T>
void conv2d_backward_w(const T* x, const T* dY, real* dW, const Conv2dSizes& s);

}  // namespace bobbin::cpu::columns
