// Softmax, its logarithm, and the cross-entropy loss that is made of it.
#include "autograd/ops.h"
#include "tensor/rows.h"

namespace bobbin {

// With y = softmax(x):  ∂y_i/∂x_j = y_i·(δ_ij - y_j),  so  dX = y ⊙ (dY - Σ y ⊙ dY).
Var masked_softmax(const Var& x, const std::vector<int>& valid_lens) {
  const Tensor Y = masked_softmax(x.value(), valid_lens);
  return record("softmax", Y,
                {{x, [Y, valid_lens](Tensor dY) { return softmax_backward(Y, valid_lens, std::move(dY)); }}});
}

Var softmax(const Var& x, int axis) {
  return along("softmax", x, axis, [](const Var& rows) { return masked_softmax(rows, {}); });
}

// With y = x - log Σ exp(x):  ∂y_i/∂x_j = δ_ij - softmax(x)_j,  so  dX = dY - softmax(x)·Σ dY.
Var log_softmax(const Var& x, int axis) {
  return along("log_softmax", x, axis, [](const Var& rows) {
    const Tensor Y = log_softmax(rows.value());
    return record("log_softmax", Y, {{rows, [Y](Tensor dY) { return dY - exp(Y) * sum(dY, -1, true); }}});
  });
}

// Its derivative is softmax(x).
Var logsumexp(const Var& x, const Axes& axes, bool keepdim) {
  const Var rows = as_rows("logsumexp", x, axes);
  const Tensor X = rows.value();
  const Var Y = record("logsumexp", logsumexp(X, 1), {{rows, [X](Tensor dY) {
                                                         return softmax(X) * dY.reshape({dY.size(), 1});
                                                       }}});
  return reshape(Y, reduced("logsumexp", x.shape(), axes, keepdim));
}

// loss = -Σ_c q_c·log softmax(x)_c has the simplest of all gradients: Σq·softmax(x) - q.
Var cross_entropy(const Var& logits, const Tensor& targets, const CrossEntropyOptions& options) {
  const Tensor X = logits.value();
  return record("cross_entropy", cross_entropy(X, targets, options),
                {{logits, [=](Tensor dY) { return cross_entropy_backward(X, targets, dY, options); }}});
}

Var cross_entropy(const Var& logits, const Labels& labels, const CrossEntropyOptions& options) {
  const Tensor X = logits.value();
  return record("cross_entropy", cross_entropy(X, labels, options),
                {{logits, [=](Tensor dY) { return cross_entropy_backward(X, labels, options, dY); }}});
}

}  // namespace bobbin
