// One step of an optimizer, in one pass over the parameter and what is kept of it: a thread for each number.
#include "tensor/cuda/launch.h"
#include "tensor/formulas.h"

namespace bobbin::cuda {

template <class Step, class... Kept>
__global__ void update_kernel(Step step, Index n, real* w, const real* dW, Kept*... kept) {
  if (const Index i = thread_number(); i < n) step(w[i], dW[i], kept[i]...);
}

namespace {

template <class Step, class... Kept>
void update(const char* name, const Step& step, Index n, real* w, const real* dW, Kept*... kept) {
  launch(name, update_kernel<Step, Kept...>, blocks(n, block_size), block_size, step, n, w, dW, kept...);
}

}  // namespace

void sgd(const formula::Sgd& step, real* w, const real* dW, real* velocity, Index n) {
  if (velocity)
    update("sgd", step, n, w, dW, velocity);
  else
    update("sgd", step, n, w, dW);
}

void adamw(const formula::AdamW& step, real* w, const real* dW, real* m, real* v, Index n) {
  update("adamw", step, n, w, dW, m, v);
}

}  // namespace bobbin::cuda
