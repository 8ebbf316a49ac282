// One thread for each element: read, compute, write.
#include <tuple>

#include "tensor/cuda/launch.h"
#include "tensor/formulas.h"

namespace bobbin::cuda {

template <class F>
__global__ void unary_kernel(F f, const real* x, real* y, Index n) {
  if (const Index i = thread_number(); i < n) y[i] = f(x[i]);
}

// Element i of y has the indices i / (size of the axes behind) % size, of which each moves in a and in b as far as the
// stride says. The outermost needs no remainder.
template <class F>
__global__ void binary_kernel(F f, Broadcast walk, const real* a, const real* b, real* y, Index n) {
  const Index i = thread_number();
  if (i >= n) return;
  Index rest = i, at_a = 0, at_b = 0;
#pragma unroll
  for (int axis = Shape::max_rank - 1; axis > 0; --axis)
    if (axis < walk.rank) {
      const Index index = rest % walk.size[axis];
      rest /= walk.size[axis];
      at_a += index * walk.stride_a[axis];
      at_b += index * walk.stride_b[axis];
    }
  y[i] = f(a[at_a + rest * walk.stride_a[0]], b[at_b + rest * walk.stride_b[0]]);
}

__global__ void multiply_rounded_kernel(const real* x, const bfloat16* y, real* z, Index n) {
  if (const Index i = thread_number(); i < n) z[i] = x[i] * to_float(y[i]);
}

template <class F>
void unary(const F& f, const real* x, real* y, Index n) {
  launch(F::name, unary_kernel<F>, blocks(n, block_size), block_size, f, x, y, n);
}

template <class F>
void binary(const F& f, const Broadcast& walk, const real* a, const real* b, real* y) {
  Index n = 1;
  for (int axis = 0; axis < walk.rank; ++axis) n *= walk.size[axis];
  launch(F::name, binary_kernel<F>, blocks(n, block_size), block_size, f, walk, a, b, y, n);
}

void multiply_rounded(const real* x, const bfloat16* y, real* z, Index n) {
  launch("mul", multiply_rounded_kernel, blocks(n, block_size), block_size, x, y, z, n);
}

namespace {

// As in tensor/cpu/elementwise.cpp: a kernel for each formula of the lists.
template <class... U, class... B>
constexpr auto kernels(formula::List<U...>, formula::List<B...>) {
  return std::tuple{&unary<U>..., &binary<B>...};
}
[[gnu::used, maybe_unused]] constexpr auto compiled = kernels(formula::Unary{}, formula::Binary{});

}  // namespace

}  // namespace bobbin::cuda
