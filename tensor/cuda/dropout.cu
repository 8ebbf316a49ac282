// Dropout, and GELU with it in one pass: the same elements as on the processor, as the mask is a function of the draw
// alone. A thread has the four elements of a block of random words.
#include "tensor/cuda/dropout.h"

#include "tensor/cuda/launch.h"

namespace bobbin::cuda {

__global__ void dropout_kernel(const real* x, real* y, Index n, formula::Dropout dropout) {
  const Index block = thread_number();
  if (4 * block >= n) return;
  const std::array<std::uint32_t, 4> four = words(dropout, block);
#pragma unroll
  for (int j = 0; j < 4; ++j)
    if (const Index i = 4 * block + j; i < n) y[i] = dropout(four[j], x[i]);
}

template <class F>
__global__ void activation_kernel(F f, const real* x, real* y, real* derivative, Index n, formula::Dropout dropout) {
  const Index block = thread_number();
  if (4 * block >= n) return;
  const std::array<std::uint32_t, 4> four = words(dropout, block);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const Index i = 4 * block + j;
    if (i >= n) return;
    if (derivative) {
      const auto at = f.with_derivative(x[i]);
      y[i] = dropout(four[j], at.value);
      derivative[i] = dropout(four[j], at.derivative);
    } else {
      y[i] = dropout(four[j], f(x[i]));
    }
  }
}

namespace {

template <class F>
void activate(const char* name, const F& f, const real* x, real* y, real* derivative, Index n, real p, Draw draw) {
  launch(name, activation_kernel<F>, blocks(n, 4 * block_size), block_size, f, x, y, derivative, n,
         formula::Dropout(p, draw));
}

}  // namespace

void dropout(const real* x, real* y, Index n, real p, Draw draw) {
  launch("dropout", dropout_kernel, blocks(n, 4 * block_size), block_size, x, y, n, formula::Dropout(p, draw));
}

void gelu(const real* x, real* y, real* derivative, Index n, real p, Draw draw) {
  activate("gelu", formula::Gelu{}, x, y, derivative, n, p, draw);
}
void gelu_tanh(const real* x, real* y, real* derivative, Index n, real p, Draw draw) {
  activate("gelu_tanh", formula::GeluTanh{}, x, y, derivative, n, p, draw);
}

}  // namespace bobbin::cuda
