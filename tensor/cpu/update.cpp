// One step of an optimizer, in one pass over the parameter and what is kept of it.
#include "tensor/formulas.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {
namespace {

template <class Step, class... Kept>
void update(const Step& step, Index n, real* w, bfloat16* rounded, const real* dW, Kept*... kept) {
  parallel_for(n, 1 << 13, [=](Index begin, Index end) {
#pragma omp simd
    for (Index i = begin; i < end; ++i) step(w[i], dW[i], kept[i]...);
    if (!rounded) return;
#pragma omp simd
    for (Index i = begin; i < end; ++i) rounded[i] = to_bfloat16(w[i]);
  });
}

}  // namespace

void sgd(const formula::Sgd& step, real* w, bfloat16* rounded, const real* dW, real* velocity, Index n) {
  if (velocity)
    update(step, n, w, rounded, dW, velocity);
  else
    update(step, n, w, rounded, dW);
}

void adamw(const formula::AdamW& step, real* w, bfloat16* rounded, const real* dW, real* m, real* v, Index n) {
  update(step, n, w, rounded, dW, m, v);
}

}  // namespace bobbin::cpu
