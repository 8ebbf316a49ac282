// Softmax over rows, its logarithm, and the loss that is made of it.
#include <algorithm>
#include <limits>

#include "tensor/backend.h"
#include "tensor/common.h"
#include "tensor/rows.h"

namespace bobbin {
namespace {

void check_lens(const char* op, const Tensor& x, const std::vector<int>& valid_lens) {
  check(x.rank() >= 1, op, "needs one axis or more, got ", x.shape());
  check(valid_lens.empty() || static_cast<Index>(valid_lens.size()) == rows_of(x.shape()), op,
        "needs a valid length for each of the ", rows_of(x.shape()), " rows of ", x.shape(), ", got ",
        valid_lens.size());
}

void check_targets(const char* op, const Tensor& logits, const Tensor& targets) {
  check(logits.rank() == 2 && targets.shape() == logits.shape(), op,
        "needs logits (rows, classes) and as many targets, got ", logits.shape(), " and ", targets.shape());
}

// For each row of logits the distribution that its label stands for.
Tensor distributions(const char* op, const Tensor& logits, const Labels& labels, real smoothing) {
  check_labels(op, logits, labels);
  const Index cols = logits.shape()[1];
  Staging q(logits.shape());
  std::fill_n(q.data(), logits.size(), smoothing / static_cast<real>(cols));
  for (std::size_t row = 0; row < labels.size(); ++row)
    q.data()[static_cast<Index>(row) * cols + labels[row]] += 1 - smoothing;
  return std::move(q).tensor();
}

}  // namespace

Tensor masked_softmax(Tensor x, const std::vector<int>& valid_lens) {
  check_lens("softmax", x, valid_lens);
  Tensor y = in_place_of(x);
  if (y.empty()) return y;
  const Timed timed("softmax", elements(x, y));
  backend::softmax(std::as_const(x).data(), pointer(valid_lens), y.data(), rows_of(x.shape()), x.shape()[-1]);
  return y;
}

Tensor softmax(Tensor x, int axis) {
  return along("softmax", std::move(x), axis, [](Tensor rows) { return masked_softmax(std::move(rows), {}); });
}

Tensor softmax_backward(const Tensor& y, const std::vector<int>& valid_lens, Tensor dY) {
  check_lens("softmax_backward", y, valid_lens);
  check(y.shape() == dY.shape(), "softmax_backward", "y ", y.shape(), " and dY ", dY.shape(), " must have one shape");
  Tensor dX = in_place_of(dY);
  if (dX.empty()) return dX;
  const Timed timed("softmax_backward", elements(y, dY, dX));
  backend::softmax_backward(y.data(), pointer(valid_lens), std::as_const(dY).data(), dX.data(), rows_of(y.shape()),
                            y.shape()[-1]);
  return dX;
}

Tensor log_softmax(Tensor x, int axis) {
  return along("log_softmax", std::move(x), axis, [](const Tensor& rows) {
    Tensor y(rows.shape());
    if (y.empty()) return y;
    const Timed timed("log_softmax", elements(rows, y));
    backend::log_softmax(rows.data(), y.data(), rows_of(rows.shape()), rows.shape()[-1]);
    return y;
  });
}

Tensor logsumexp(const Tensor& x, const Axes& axes, bool keepdim) {
  const Shape shape = reduced("logsumexp", x.shape(), axes, keepdim);
  if (x.empty()) return Tensor::full(shape, -std::numeric_limits<real>::infinity());
  const Tensor rows = as_rows("logsumexp", x, axes);
  Tensor y(shape);
  const Timed timed("logsumexp", elements(rows, y));
  backend::logsumexp(rows.data(), y.data(), y.size(), rows.shape()[1]);
  return y;
}

Tensor cross_entropy(const Tensor& logits, const Tensor& targets) {
  check_targets("cross_entropy", logits, targets);
  Tensor losses({logits.shape()[0]});
  if (logits.empty()) return mean(Tensor::zeros(losses.shape()));
  {
    const Timed timed("cross_entropy", elements(logits, targets));
    backend::cross_entropy(logits.data(), targets.data(), losses.data(), logits.shape()[0], logits.shape()[1]);
  }
  return mean(losses);
}

Tensor cross_entropy_backward(const Tensor& logits, const Tensor& targets, const Tensor& dloss) {
  check_targets("cross_entropy_backward", logits, targets);
  check(dloss.size() == 1, "cross_entropy_backward", "the loss is one number, its gradient has the shape ",
        dloss.shape());
  Tensor dlogits(logits.shape());
  if (dlogits.empty()) return dlogits;
  const Timed timed("cross_entropy_backward", elements(logits, targets, dlogits));
  backend::cross_entropy_backward(logits.data(), targets.data(), dloss.data(), dlogits.data(), logits.shape()[0],
                                  logits.shape()[1]);
  return dlogits;
}

Tensor cross_entropy(const Tensor& logits, const Labels& labels, real smoothing) {
  check(smoothing >= 0 && smoothing <= 1, "cross_entropy", "label smoothing must be in [0, 1], got ", smoothing);
  return cross_entropy(logits, distributions("cross_entropy", logits, labels, smoothing));
}

Tensor cross_entropy_backward(const Tensor& logits, const Labels& labels, real smoothing, const Tensor& dloss) {
  return cross_entropy_backward(logits, distributions("cross_entropy_backward", logits, labels, smoothing), dloss);
}

}  // namespace bobbin
