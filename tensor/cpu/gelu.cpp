// GELU, and the dropout that follows it, in one pass. With the function goes its derivative: both need the same
// exponential, and when both have gone through the same mask, the way back is one product.
#include "tensor/cpu/dropout.h"
#include "tensor/formulas.h"
#include "tensor/kernels.h"

namespace bobbin::cpu {
namespace {

template <class F>
void activate(const F& f, const real* x, real* y, real* derivative, Index n, real p, Draw draw) {
  for_each_chunk(n, p, draw, [=](const DropoutMask& mask, Index begin, Index length) {
    if (!derivative) {
#pragma omp simd
      for (Index i = 0; i < length; ++i) y[begin + i] = mask(i, f(x[begin + i]));
      return;
    }
#pragma omp simd
    for (Index i = 0; i < length; ++i) {
      const auto at = f.with_derivative(x[begin + i]);
      y[begin + i] = mask(i, at.value);
      derivative[begin + i] = mask(i, at.derivative);
    }
  });
}

}  // namespace

void gelu(const real* x, real* y, real* derivative, Index n, real p, Draw draw) {
  activate(formula::Gelu{}, x, y, derivative, n, p, draw);
}
void gelu_tanh(const real* x, real* y, real* derivative, Index n, real p, Draw draw) {
  activate(formula::GeluTanh{}, x, y, derivative, n, p, draw);
}

}  // namespace bobbin::cpu
