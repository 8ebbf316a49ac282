// Layer normalisation over rows.
#include <algorithm>

#include "tensor/backend.h"
#include "tensor/common.h"

namespace bobbin {
namespace {

// The number of rows of x, of which each has the last axes, those of weight and bias.
Index rows_like(const char* op, const Shape& x, const Shape& weight, const Shape& bias) {
  const int outer = x.rank() - weight.rank();
  check(
      weight.rank() >= 1 && outer >= 0 && std::equal(weight.begin(), weight.end(), x.begin() + outer) && bias == weight,
      op, "the weight ", weight, " and the bias ", bias, " must have the sizes of the last axes of ", x);
  return x.product(0, outer);
}

}  // namespace

LayerNormed layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, real eps, ReadBy readers) {
  const Index rows = rows_like("layer_norm", x.shape(), gamma.shape(), beta.shape());
  LayerNormed normed{result(x.shape(), readers), Tensor({rows}), Tensor({rows})};
  if (x.empty()) return normed;
  const Timed timed("layer_norm", elements(x, normed.y));
  write(normed.y, [&](auto* y) {
    backend::layer_norm(x.data(), gamma.data(), beta.data(), eps, y, normed.mean.data(), normed.rstd.data(), rows,
                        gamma.size());
  });
  return normed;
}

LayerNormGradients layer_norm_backward(const Tensor& x, const Tensor& gamma, const LayerNormed& forward,
                                       const Tensor& dY) {
  const Index rows = rows_like("layer_norm_backward", x.shape(), gamma.shape(), gamma.shape());
  check(x.shape() == dY.shape(), "layer_norm_backward", "x ", x.shape(), " and dY ", dY.shape(),
        " must have one shape");
  check(forward.mean.shape() == Shape{rows} && forward.rstd.shape() == Shape{rows}, "layer_norm_backward", "the mean ",
        forward.mean.shape(), " and rstd ", forward.rstd.shape(), " do not fit the ", rows, " rows of x ", x.shape());
  if (x.empty()) return {dY, Tensor::zeros(gamma.shape()), Tensor::zeros(gamma.shape())};
  LayerNormGradients result{Tensor(x.shape()), Tensor(gamma.shape()), Tensor(gamma.shape())};
  const Timed timed("layer_norm_backward", elements(x, dY, result.dX));
  backend::layer_norm_backward(x.data(), gamma.data(), forward.mean.data(), forward.rstd.data(), dY.data(),
                               result.dX.data(), result.dgamma.data(), result.dbeta.data(), rows, gamma.size());
  return result;
}

}  // namespace bobbin
