// Softmax, and the cross-entropy loss that is made of it.
#include "autograd/ops.h"

namespace bobbin {

// With y = softmax(x):  ∂y_i/∂x_j = y_i·(δ_ij - y_j),  so  dX = y ⊙ (dY - Σ y ⊙ dY).
Var softmax(const Var& x, const std::vector<int>& valid_lens) {
  const Tensor Y = softmax(x.value(), valid_lens);
  return record("softmax", Y,
                {{x, [Y, valid_lens](Tensor dY) { return softmax_backward(Y, valid_lens, std::move(dY)); }}});
}

// loss = -Σ_c q_c·log softmax(x)_c with Σ q = 1 has the simplest of all gradients: softmax(x) - q.
Var cross_entropy(const Var& logits, const Tensor& targets) {
  const Tensor X = logits.value();
  return record("cross_entropy", cross_entropy(X, targets),
                {{logits, [X, targets](Tensor dY) { return cross_entropy_backward(X, targets, dY); }}});
}

Var cross_entropy(const Var& logits, const Labels& labels, real label_smoothing) {
  const Tensor X = logits.value();
  return record("cross_entropy", cross_entropy(X, labels, label_smoothing),
                {{logits, [X, labels, label_smoothing](Tensor dY) {
                    return cross_entropy_backward(X, labels, label_smoothing, dY);
                  }}});
}

}  // namespace bobbin
