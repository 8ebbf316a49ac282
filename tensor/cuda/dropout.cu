// Dropout, alone and behind the functions that fuse it, in one pass: the same elements as on the processor, as the mask
// is a function of the draw alone. A thread has the four elements of a block of random words.
#include "tensor/cuda/dropout.h"

#include <tuple>

#include "tensor/cuda/launch.h"

namespace bobbin::cuda {

template <class F, class Y, class D>
__global__ void dropout_kernel(F f, const real* x, Y* y, D* derivative, Index n, formula::Dropout dropout) {
  const Index block = thread_number();
  if (4 * block >= n) return;
  const std::array<std::uint32_t, 4> four = words(dropout, block);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const Index i = 4 * block + j;
    if (i >= n) return;
    if (derivative) {
      const auto at = f.with_derivative(x[i]);
      store(y[i], dropout(four[j], at.value));
      store(derivative[i], dropout(four[j], at.derivative));
    } else {
      store(y[i], dropout(four[j], f(x[i])));
    }
  }
}

template <class Y, class D, class F>
void dropout(const F& f, const real* x, Y* y, D* derivative, Index n, real p, Draw draw) {
  launch(F::name, dropout_kernel<F, Y, D>, blocks(n, 4 * block_size), block_size, f, x, y, derivative, n,
         formula::Dropout(p, draw));
}

namespace {

// As in tensor/cpu/elementwise.cpp: a kernel for each formula of the list.
template <class... F>
constexpr auto kernels(formula::List<F...>) {
  return std::tuple{&dropout<real, real, F>..., &dropout<real, bfloat16, F>..., &dropout<bfloat16, bfloat16, F>...};
}
[[gnu::used, maybe_unused]] constexpr auto compiled = kernels(formula::Dropped{});

}  // namespace

}  // namespace bobbin::cuda
