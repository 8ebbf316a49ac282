// Stochastic gradient descent, in one pass over the parameter.
#include "tensor/formulas.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {

void sgd(real* w, const real* dW, real* velocity, Index n, real lr, real momentum, real weight_decay, bool nesterov) {
  const formula::Sgd step{lr, momentum, weight_decay, nesterov};
  parallel_for(n, 1 << 13, [=](Index begin, Index end) {
    if (!velocity) {
#pragma omp simd
      for (Index i = begin; i < end; ++i) step(w[i], dW[i]);
      return;
    }
#pragma omp simd
    for (Index i = begin; i < end; ++i) step(w[i], dW[i], velocity[i]);
  });
}

}  // namespace bobbin::cpu
