// Dropout (Srivastava et al., 2014), inverted: what stays is scaled up, so that evaluation is the
// identity. The mask is a function of the draw alone and is made anew in backward: cheaper than to
// write it to memory and read it again.
#include "tensor/cpu/dropout.h"

#include <tuple>

#include "tensor/kernels.h"

namespace bobbin::cpu {

// f's derivative needs the same exponential as f; and when both have gone through the same mask, backward is one
// product.
template <class Y, class D, class F>
void dropout(const F& f, const real* x, Y* y, D* derivative, Index n, real p, Draw draw) {
  for_each_chunk(n, p, draw, [=](const DropoutMask& mask, Index begin, Index length) {
    if (!derivative) {
#pragma omp simd
      for (Index i = 0; i < length; ++i) store(y[begin + i], mask(i, f(x[begin + i])));
      return;
    }
#pragma omp simd
    for (Index i = 0; i < length; ++i) {
      const auto at = f.with_derivative(x[begin + i]);
      store(y[begin + i], mask(i, at.value));
      store(derivative[begin + i], mask(i, at.derivative));
    }
  });
}

namespace {

// As in elementwise.cpp: a kernel for each formula of the list.
template <class... F>
constexpr auto kernels(formula::List<F...>) {
  return std::tuple{&dropout<real, real, F>..., &dropout<real, bfloat16, F>..., &dropout<bfloat16, bfloat16, F>...};
}
[[gnu::used, maybe_unused]] constexpr auto compiled = kernels(formula::Dropped{});

}  // namespace

}  // namespace bobbin::cpu
