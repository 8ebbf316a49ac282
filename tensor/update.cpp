// One step of an optimizer.
#include "tensor/backend.h"
#include "tensor/common.h"

namespace bobbin {
namespace {

// What an optimizer keeps of w: zeros before the first step.
void begin_as_zeros(const char* op, Tensor& kept, const Tensor& w) {
  if (!kept.defined()) kept = Tensor::zeros(w.shape());
  check(kept.shape() == w.shape(), op, "what was kept of the steps before, ", kept.shape(), ", does not fit w ",
        w.shape());
}
void check_gradient(const char* op, const Tensor& w, const Tensor& dW) {
  check(w.shape() == dW.shape(), op, "w ", w.shape(), " and dW ", dW.shape(), " must have one shape");
}

}  // namespace

void sgd(Tensor& w, const Tensor& dW, Tensor& velocity, const formula::Sgd& step) {
  check_gradient("sgd", w, dW);
  const bool keeps = step.momentum != 0;
  if (keeps) begin_as_zeros("sgd", velocity, w);
  if (w.empty()) return;
  const Timed timed("sgd", (keeps ? 5 : 3) * elements(w));
  const auto [at, rounded] = w.rewrite();
  backend::sgd(step, at, rounded, dW.data(), keeps ? velocity.data() : nullptr, w.size());
}

void adamw(Tensor& w, const Tensor& dW, Tensor& m, Tensor& v, const formula::AdamW& step) {
  check_gradient("adamw", w, dW);
  begin_as_zeros("adamw", m, w);
  begin_as_zeros("adamw", v, w);
  if (w.empty()) return;
  const Timed timed("adamw", 7 * elements(w));
  const auto [at, rounded] = w.rewrite();
  backend::adamw(step, at, rounded, dW.data(), m.data(), v.data(), w.size());
}

}  // namespace bobbin
