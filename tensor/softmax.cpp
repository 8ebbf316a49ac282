// Softmax over rows, and the loss that is made of it.
#include "tensor/functions.h"

#include "tensor/backend.h"
#include "tensor/check.h"
#include "tensor/common.h"

namespace bobbin {
namespace {

void check_lens(const char* op, const Tensor& x, const std::vector<int>& valid_lens) {
  check(x.rank() >= 1, op, "needs one axis or more, got ", x.shape());
  check(valid_lens.empty() || static_cast<Index>(valid_lens.size()) == rows_of(x.shape()), op,
        "needs a valid length for each of the ", rows_of(x.shape()), " rows of ", x.shape(), ", got ",
        valid_lens.size());
}

}  // namespace

Tensor softmax(Tensor x, const std::vector<int>& valid_lens) {
  check_lens("softmax", x, valid_lens);
  Tensor y = in_place_of(x);
  const Timed timed("softmax", elements(x, y));
  backend::softmax(std::as_const(x).data(), pointer(valid_lens), y.data(), rows_of(x.shape()), x.shape()[-1]);
  return y;
}

Tensor softmax_backward(const Tensor& y, const std::vector<int>& valid_lens, Tensor dY) {
  check_lens("softmax_backward", y, valid_lens);
  check(y.shape() == dY.shape(), "softmax_backward", "y ", y.shape(), " and dY ", dY.shape(), " must have one shape");
  Tensor dX = in_place_of(dY);
  const Timed timed("softmax_backward", elements(y, dY, dX));
  backend::softmax_backward(y.data(), pointer(valid_lens), std::as_const(dY).data(), dX.data(), rows_of(y.shape()),
                            y.shape()[-1]);
  return dX;
}

Tensor cross_entropy(const Tensor& logits, const Labels& labels, real smoothing) {
  check_labels("cross_entropy", logits, labels);
  check(smoothing >= 0 && smoothing <= 1, "cross_entropy", "label smoothing must be in [0, 1], got ", smoothing);
  Tensor losses({logits.shape()[0]});
  {
    const Timed timed("cross_entropy", elements(logits));
    backend::cross_entropy(logits.data(), labels.data(), smoothing, losses.data(), logits.shape()[0],
                           logits.shape()[1]);
  }
  return mean(losses);
}

Tensor cross_entropy_backward(const Tensor& logits, const Labels& labels, real smoothing, const Tensor& dloss) {
  check_labels("cross_entropy_backward", logits, labels);
  check(dloss.size() == 1, "cross_entropy_backward", "the loss is one number, its gradient has the shape ",
        dloss.shape());
  Tensor dlogits(logits.shape());
  const Timed timed("cross_entropy_backward", elements(logits, dlogits));
  backend::cross_entropy_backward(logits.data(), labels.data(), smoothing, dloss.data(), dlogits.data(),
                                  logits.shape()[0], logits.shape()[1]);
  return dlogits;
}

}  // namespace bobbin
