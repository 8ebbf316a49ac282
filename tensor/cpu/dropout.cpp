// Dropout (Srivastava et al., 2014), inverted: what stays is scaled up, so that evaluation is the
// identity. The mask is a function of the draw alone and is made anew in backward: cheaper than to
// write it to memory and read it again.
#include "tensor/cpu/dropout.h"

#include "tensor/kernels.h"

namespace bobbin::cpu {

void dropout(const real* x, real* y, Index n, real p, Draw draw) {
  for_each_chunk(n, p, draw, [=](const DropoutMask& mask, Index begin, Index length) {
#pragma omp simd
    for (Index i = 0; i < length; ++i) y[begin + i] = mask(i, x[begin + i]);
  });
}

}  // namespace bobbin::cpu
