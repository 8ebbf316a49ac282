// Stochastic gradient descent, in one pass over the parameter.
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {

void sgd(real* w, const real* dW, real* velocity, Index n, real lr, real momentum, real weight_decay, bool nesterov) {
  parallel_for(n, 1 << 13, [=](Index begin, Index end) {
    if (!velocity) {
#pragma omp simd
      for (Index i = begin; i < end; ++i) w[i] -= lr * (dW[i] + weight_decay * w[i]);
      return;
    }
#pragma omp simd
    for (Index i = begin; i < end; ++i) {
      const real g = dW[i] + weight_decay * w[i];
      velocity[i] = momentum * velocity[i] + g;
      w[i] -= lr * (nesterov ? g + momentum * velocity[i] : velocity[i]);
    }
  });
}

}  // namespace bobbin::cpu
