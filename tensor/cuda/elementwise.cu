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
struct Places {
  Index a = 0, b = 0;

  __device__ Places(const Broadcast& walk, Index i) {
    Index rest = i;
#pragma unroll
    for (int axis = Shape::max_rank - 1; axis > 0; --axis)
      if (axis < walk.rank) {
        const Index index = rest % walk.size[axis];
        rest /= walk.size[axis];
        a += index * walk.stride_a[axis];
        b += index * walk.stride_b[axis];
      }
    a += rest * walk.stride_a[0];
    b += rest * walk.stride_b[0];
  }
};

inline Index size_of(const Broadcast& walk) {
  Index n = 1;
  for (int axis = 0; axis < walk.rank; ++axis) n *= walk.size[axis];
  return n;
}

template <class F>
__global__ void binary_kernel(F f, Broadcast walk, const real* a, const real* b, real* y, Index n) {
  const Index i = thread_number();
  if (i >= n) return;
  const Places at(walk, i);
  y[i] = f(a[at.a], b[at.b]);
}

__global__ void where_kernel(Broadcast walk, const real* mask, const real* a, const real* b, real* y, Index n) {
  const Index i = thread_number();
  if (i >= n) return;
  const Places at(walk, i);
  y[i] = mask[i] != 0 ? a[at.a] : b[at.b];
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
  const Index n = size_of(walk);
  launch(F::name, binary_kernel<F>, blocks(n, block_size), block_size, f, walk, a, b, y, n);
}

void where(const Broadcast& walk, const real* mask, const real* a, const real* b, real* y) {
  const Index n = size_of(walk);
  launch("where", where_kernel, blocks(n, block_size), block_size, walk, mask, a, b, y, n);
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
