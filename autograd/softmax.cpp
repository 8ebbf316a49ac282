// Softmax, its logarithm, and the cross-entropy loss that is made of it.
#include "autograd/ops.h"
#include "tensor/check.h"

namespace bobbin {

// With y = softmax(x):  ∂y_i/∂x_j = y_i·(δ_ij - y_j),  so  dX = y ⊙ (dY - Σ y ⊙ dY).
Var softmax(const Var& x, const std::vector<int>& valid_lens) {
  const Tensor Y = softmax(x.value(), valid_lens);
  return record("softmax", Y,
                {{x, [Y, valid_lens](Tensor dY) { return softmax_backward(Y, valid_lens, std::move(dY)); }}});
}

// With y = x - log Σ exp(x):  ∂y_i/∂x_j = δ_ij - softmax(x)_j,  so  dX = dY - softmax(x)·Σ dY.
Var log_softmax(const Var& x) {
  const Tensor Y = log_softmax(x.value());
  return record("log_softmax", Y, {{x, [Y](Tensor dY) {
                                      const Tensor total = sum(dY, -1).reshape(Y.shape().with(-1, 1));
                                      return std::move(dY) - exp(Y) * total;
                                    }}});
}

// Its derivative is softmax(x).
Var logsumexp(const Var& x, int axis) {
  const Shape& shape = x.shape();
  check(axis >= -x.rank() && axis < x.rank(), "logsumexp", "there is no axis ", axis, " in the shape ", shape);
  axis = shape.wrap(axis);
  if (axis + 1 < x.rank()) {  // made the last one
    const Index outer = shape.product(0, axis), inner = shape.product(axis + 1, x.rank());
    return reshape(logsumexp(transpose(reshape(x, {outer, shape[axis], inner}), 1, 2), -1), shape.without(axis));
  }
  return record("logsumexp", logsumexp(x.value()),
                {{x, [X = x.value()](Tensor dY) { return softmax(X) * dY.reshape(X.shape().with(-1, 1)); }}});
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
