// One thread for each element: read, compute, write.
#include "tensor/cuda/launch.h"
#include "tensor/formulas.h"

namespace bobbin::cuda {

template <class F>
__global__ void map_kernel(F f, const real* x, real* y, Index n) {
  if (const Index i = thread_number(); i < n) y[i] = f(x[i]);
}

__global__ void relu_backward_kernel(const real* x, const real* dY, real* dX, Index n) {
  if (const Index i = thread_number(); i < n) dX[i] = formula::ReluBackward{}(x[i], dY[i]);
}

// Element i of y has the indices i / (size of the axes behind) % size, of which each moves in a and in b as far as the
// stride says. The outermost needs no remainder.
template <class F>
__global__ void broadcast_kernel(F f, Broadcast walk, const real* a, const real* b, real* y, Index n) {
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

namespace {

template <class F>
void map(const char* name, const F& f, const real* x, real* y, Index n) {
  launch(name, map_kernel<F>, blocks(n, block_size), block_size, f, x, y, n);
}

template <class F>
void broadcast(const char* name, const F& f, const Broadcast& walk, const real* a, const real* b, real* y) {
  Index n = 1;
  for (int axis = 0; axis < walk.rank; ++axis) n *= walk.size[axis];
  launch(name, broadcast_kernel<F>, blocks(n, block_size), block_size, f, walk, a, b, y, n);
}

}  // namespace

void add(const Broadcast& w, const real* a, const real* b, real* y) { broadcast("add", formula::Add{}, w, a, b, y); }
void sub(const Broadcast& w, const real* a, const real* b, real* y) { broadcast("sub", formula::Sub{}, w, a, b, y); }
void mul(const Broadcast& w, const real* a, const real* b, real* y) { broadcast("mul", formula::Mul{}, w, a, b, y); }
void div(const Broadcast& w, const real* a, const real* b, real* y) { broadcast("div", formula::Div{}, w, a, b, y); }

void exp(const real* x, real* y, Index n) { map("exp", formula::Exp{}, x, y, n); }
void log(const real* x, real* y, Index n) { map("log", formula::Log{}, x, y, n); }
void sqrt(const real* x, real* y, Index n) { map("sqrt", formula::Sqrt{}, x, y, n); }
void tanh(const real* x, real* y, Index n) { map("tanh", formula::Tanh{}, x, y, n); }
void relu(const real* x, real* y, Index n) { map("relu", formula::Relu{}, x, y, n); }

void relu_backward(const real* x, const real* dY, real* dX, Index n) {
  launch("relu_backward", relu_backward_kernel, blocks(n, block_size), block_size, x, dY, dX, n);
}

}  // namespace bobbin::cuda
