// A thread for each four neighbouring elements: read, compute, write.
#include <tuple>

#include "tensor/cuda/four.h"
#include "tensor/formulas.h"

namespace bobbin::cuda {

template <class F>
__global__ void unary_kernel(F f, const real* x, real* y, Index n) {
  const Index i = four_of_thread();
  if (i >= n) return;
  Four<real> four = load4(x + i, n - i);
#pragma unroll
  for (real& v : four.at) v = f(v);
  store4(y + i, four, n - i);
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

// How many elements a thread has: four, if these never come from two rows of the last axis, where an operand has
// neighbours side by side or one number for all of them. That is so for operands of the same shape, and for a bias or a
// scalar beside rows of 4, 8, 12, ... numbers. Else one.
inline int elements_of_thread(const Broadcast& walk) {
  const int last = walk.rank - 1;
  const bool whole = walk.rank == 1 || walk.size[last] % 4 == 0;
  return whole && walk.stride_a[last] <= 1 && walk.stride_b[last] <= 1 ? 4 : 1;
}

// What an operand has for a thread's elements, the first of which is x[0].
inline __device__ Four<real> operand(const real* x, Index stride, Index left) {
  if (stride == 0) return {{*x, *x, *x, *x}};
  return load4(x, left);
}

template <class F>
__global__ void binary_kernel(F f, Broadcast walk, int elements, const real* a, const real* b, real* y, Index n) {
  const Index i = elements * thread_number(), left = min(n - i, Index{elements});
  if (left <= 0) return;
  const Places at(walk, i);
  Four<real> as = operand(a + at.a, walk.stride_a[walk.rank - 1], left);
  const Four<real> bs = operand(b + at.b, walk.stride_b[walk.rank - 1], left);
#pragma unroll
  for (int j = 0; j < 4; ++j)
    if (j < left) as.at[j] = f(as.at[j], bs.at[j]);
  store4(y + i, as, left);
}

// The same of operands that are walked as one row, side by side: no place is to be computed.
template <class F>
__global__ void same_shape_kernel(F f, const real* a, const real* b, real* y, Index n) {
  const Index i = four_of_thread();
  if (i >= n) return;
  Four<real> as = load4(a + i, n - i);
  const Four<real> bs = load4(b + i, n - i);
#pragma unroll
  for (int j = 0; j < 4; ++j) as.at[j] = f(as.at[j], bs.at[j]);
  store4(y + i, as, n - i);
}

__global__ void where_kernel(Broadcast walk, int elements, const real* mask, const real* a, const real* b, real* y,
                             Index n) {
  const Index i = elements * thread_number(), left = min(n - i, Index{elements});
  if (left <= 0) return;
  const Places at(walk, i);
  const Four<real> chosen = load4(mask + i, left), as = operand(a + at.a, walk.stride_a[walk.rank - 1], left);
  Four<real> result = operand(b + at.b, walk.stride_b[walk.rank - 1], left);
#pragma unroll
  for (int j = 0; j < 4; ++j)
    if (chosen.at[j] != 0) result.at[j] = as.at[j];
  store4(y + i, result, left);
}

template <class X, class Z>
__global__ void multiply_rounded_kernel(const X* x, const bfloat16* y, Z* z, Index n) {
  const Index i = four_of_thread();
  if (i >= n) return;
  const Four<X> four = load4(x + i, n - i);
  const Four<bfloat16> factors = load4(y + i, n - i);
  Four<Z> products;
#pragma unroll
  for (int j = 0; j < 4; ++j) store(products.at[j], to_real(four.at[j]) * to_float(factors.at[j]));
  store4(z + i, products, n - i);
}

template <class F>
void unary(const F& f, const real* x, real* y, Index n) {
  launch(F::name, unary_kernel<F>, blocks_of_fours(n), block_size, f, x, y, n);
}

template <class F>
void binary(const F& f, const Broadcast& walk, const real* a, const real* b, real* y) {
  const Index n = size_of(walk);
  if (walk.rank == 1 && walk.stride_a[0] == 1 && walk.stride_b[0] == 1)
    return launch(F::name, same_shape_kernel<F>, blocks_of_fours(n), block_size, f, a, b, y, n);
  const int elements = elements_of_thread(walk);
  launch(F::name, binary_kernel<F>, blocks(n, elements * block_size), block_size, f, walk, elements, a, b, y, n);
}

void where(const Broadcast& walk, const real* mask, const real* a, const real* b, real* y) {
  const Index n = size_of(walk);
  const int elements = elements_of_thread(walk);
  launch("where", where_kernel, blocks(n, elements * block_size), block_size, walk, elements, mask, a, b, y, n);
}

template <class X, class Z>
void multiply_rounded(const X* x, const bfloat16* y, Z* z, Index n) {
  launch("mul", multiply_rounded_kernel<X, Z>, blocks_of_fours(n), block_size, x, y, z, n);
}
template void multiply_rounded(const real*, const bfloat16*, real*, Index);
template void multiply_rounded(const real*, const bfloat16*, bfloat16*, Index);
template void multiply_rounded(const bfloat16*, const bfloat16*, real*, Index);
template void multiply_rounded(const bfloat16*, const bfloat16*, bfloat16*, Index);

namespace {

// As in tensor/cpu/elementwise.cpp: a kernel for each formula of the lists.
template <class... U, class... B>
constexpr auto kernels(formula::List<U...>, formula::List<B...>) {
  return std::tuple{&unary<U>..., &binary<B>...};
}
[[gnu::used, maybe_unused]] constexpr auto compiled = kernels(formula::Unary{}, formula::Binary{});

}  // namespace

}  // namespace bobbin::cuda
