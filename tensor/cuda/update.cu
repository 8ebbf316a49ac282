// Stochastic gradient descent, in one pass over the parameter.
#include "tensor/cuda/launch.h"
#include "tensor/formulas.h"

namespace bobbin::cuda {

__global__ void sgd_kernel(real* w, const real* dW, real* velocity, Index n, formula::Sgd step) {
  const Index i = thread_number();
  if (i >= n) return;
  if (velocity)
    step(w[i], dW[i], velocity[i]);
  else
    step(w[i], dW[i]);
}

void sgd(real* w, const real* dW, real* velocity, Index n, real lr, real momentum, real weight_decay, bool nesterov) {
  launch("sgd", sgd_kernel, blocks(n, block_size), block_size, w, dW, velocity, n,
         formula::Sgd{lr, momentum, weight_decay, nesterov});
}

}  // namespace bobbin::cuda
