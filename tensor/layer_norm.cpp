// Layer normalisation over rows.
#include "tensor/backend.h"
#include "tensor/common.h"

namespace bobbin {

LayerNormed layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, real eps, ReadBy readers) {
  check(x.rank() >= 1 && gamma.shape() == Shape{x.shape()[-1]} && beta.shape() == gamma.shape(), "layer_norm",
        "the weight ", gamma.shape(), " and the bias ", beta.shape(), " must have the size of the last axis of ",
        x.shape());
  const Index rows = rows_of(x.shape());
  LayerNormed normed{result(x.shape(), readers), Tensor({rows}), Tensor({rows})};
  const Timed timed("layer_norm", elements(x, normed.y));
  write(normed.y, [&](auto* y) {
    backend::layer_norm(x.data(), gamma.data(), beta.data(), eps, y, normed.mean.data(), normed.rstd.data(), rows,
                        x.shape()[-1]);
  });
  return normed;
}

LayerNormGradients layer_norm_backward(const Tensor& x, const Tensor& gamma, const LayerNormed& forward,
                                       const Tensor& dY) {
  check(x.shape() == dY.shape(), "layer_norm_backward", "x ", x.shape(), " and dY ", dY.shape(),
        " must have one shape");
  check(x.rank() >= 1 && gamma.shape() == Shape{x.shape()[-1]} && forward.mean.shape() == Shape{rows_of(x.shape())} &&
            forward.rstd.shape() == forward.mean.shape(),
        "layer_norm_backward", "the weight ", gamma.shape(), ", mean ", forward.mean.shape(), " and rstd ",
        forward.rstd.shape(), " do not fit x ", x.shape());
  LayerNormGradients result{Tensor(x.shape()), Tensor(gamma.shape()), Tensor(gamma.shape())};
  const Timed timed("layer_norm_backward", elements(x, dY, result.dX));
  backend::layer_norm_backward(x.data(), gamma.data(), forward.mean.data(), forward.rstd.data(), dY.data(),
                               result.dX.data(), result.dgamma.data(), result.dbeta.data(), rows_of(x.shape()),
                               x.shape()[-1]);
  return result;
}

}  // namespace bobbin
