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

void check_options(const char* op, const Tensor& logits, const CrossEntropyOptions& o) {
  check(o.label_smoothing >= 0 && o.label_smoothing <= 1, op, "label smoothing must be in [0, 1], got ",
        o.label_smoothing);
  check(!o.weight.defined() || o.weight.shape() == Shape{logits.shape()[-1]}, op, "needs a weight for each of the ",
        logits.shape()[-1], " classes, got ", o.weight.shape());
}

// w·q for each row of logits.
Tensor weighted_targets(const char* op, const Tensor& logits, Tensor q, const CrossEntropyOptions& o) {
  check(logits.rank() == 2 && q.shape() == logits.shape(), op, "needs logits (rows, classes) and as many targets, got ",
        logits.shape(), " and ", q.shape());
  check_options(op, logits, o);
  check(o.ignore_index < 0, op, "of targets that are probabilities no label can be ignored");
  if (o.label_smoothing > 0) q = q * (1 - o.label_smoothing) + o.label_smoothing / static_cast<real>(logits.shape()[1]);
  return o.weight.defined() ? q * o.weight : q;
}

// The labels for the kernels: -1 where one is to be ignored.
Labels counted_labels(const char* op, const Tensor& logits, Labels labels, const CrossEntropyOptions& o) {
  check_labels(op, logits, labels, o.ignore_index);
  check_options(op, logits, o);
  std::replace(labels.begin(), labels.end(), o.ignore_index, -1);
  return labels;
}

// What the sum of the losses is divided by for their mean: the sum of the weights of the labels that count.
Tensor sum_of_weights(Labels labels, const Tensor& weight) {
  labels.erase(std::remove(labels.begin(), labels.end(), -1), labels.end());
  if (labels.empty() || !weight.defined()) return Tensor::scalar(static_cast<real>(labels.size()));
  return sum(index_select(weight, 0, labels));
}

Tensor reduced(const Tensor& losses, Reduction reduction, const auto& divisor) {
  if (reduction == Reduction::none) return losses;
  return reduction == Reduction::sum ? sum(losses) : sum(losses) / divisor();
}

// The gradient of each row's loss from that of what became of them.
Tensor for_each_row(const char* op, const Tensor& dloss, Index rows, Reduction reduction, const auto& divisor) {
  if (reduction == Reduction::none) {
    check(dloss.shape() == Shape{rows}, op, "there are ", rows, " losses, their gradient has the shape ",
          dloss.shape());
    return dloss;
  }
  check(dloss.size() == 1, op, "the loss is one number, its gradient has the shape ", dloss.shape());
  const Tensor each = dloss.reshape({});
  return Tensor::zeros({rows}) + (reduction == Reduction::sum ? each : each / divisor());
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

Tensor cross_entropy(const Tensor& logits, const Tensor& targets, const CrossEntropyOptions& options) {
  const Tensor q = weighted_targets("cross_entropy", logits, targets, options);
  const Index rows = logits.shape()[0];
  Tensor losses = Tensor::zeros({rows});
  if (!logits.empty()) {
    const Timed timed("cross_entropy", elements(logits, q));
    backend::cross_entropy(logits.data(), q.data(), losses.data(), rows, logits.shape()[1]);
  }
  return reduced(losses, options.reduction, [=] { return Tensor::scalar(static_cast<real>(rows)); });
}

Tensor cross_entropy_backward(const Tensor& logits, const Tensor& targets, const Tensor& dloss,
                              const CrossEntropyOptions& options) {
  const Tensor q = weighted_targets("cross_entropy_backward", logits, targets, options);
  const Index rows = logits.shape()[0];
  const Tensor scales = for_each_row("cross_entropy_backward", dloss, rows, options.reduction,
                                     [=] { return Tensor::scalar(static_cast<real>(rows)); });
  Tensor dlogits(logits.shape());
  if (dlogits.empty()) return dlogits;
  const Timed timed("cross_entropy_backward", elements(logits, q, dlogits));
  backend::cross_entropy_backward(logits.data(), q.data(), scales.data(), dlogits.data(), rows, logits.shape()[1]);
  return dlogits;
}

Tensor cross_entropy(const Tensor& logits, const Labels& labels, const CrossEntropyOptions& options) {
  const Labels counted = counted_labels("cross_entropy", logits, labels, options);
  const Tensor& w = options.weight;
  Tensor losses = Tensor::zeros({logits.shape()[0]});
  if (!logits.empty()) {
    const Timed timed("cross_entropy", elements(logits, losses));
    backend::cross_entropy_of_labels(logits.data(), counted.data(), w.defined() ? w.data() : nullptr,
                                     options.label_smoothing, losses.data(), losses.size(), logits.shape()[1]);
  }
  return reduced(losses, options.reduction, [&] { return sum_of_weights(counted, w); });
}

Tensor cross_entropy_backward(const Tensor& logits, const Labels& labels, const CrossEntropyOptions& options,
                              const Tensor& dloss) {
  const Labels counted = counted_labels("cross_entropy_backward", logits, labels, options);
  const Tensor& w = options.weight;
  const Tensor scales = for_each_row("cross_entropy_backward", dloss, logits.shape()[0], options.reduction,
                                     [&] { return sum_of_weights(counted, w); });
  Tensor dlogits(logits.shape());
  if (dlogits.empty()) return dlogits;
  const Timed timed("cross_entropy_backward", elements(logits, dlogits));
  backend::cross_entropy_of_labels_backward(logits.data(), counted.data(), w.defined() ? w.data() : nullptr,
                                            options.label_smoothing, scales.data(), dlogits.data(), scales.size(),
                                            logits.shape()[1]);
  return dlogits;
}

}  // namespace bobbin
