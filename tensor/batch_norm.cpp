// Batch normalisation of channels.
#include "tensor/backend.h"
#include "tensor/common.h"

namespace bobbin {
namespace {

// The sizes of x (B, C, ...). Throws Error unless x has channels and each of `of_channels` has a number for each.
BatchNormSizes sizes(const char* op, const Tensor& x, std::initializer_list<const Tensor*> of_channels, Then then) {
  check(x.rank() >= 2, op, "needs channels, (B, C, ...), got ", x.shape());
  const Index channels = x.shape()[1];
  for (const Tensor* t : of_channels)
    check(t->shape() == Shape{channels}, op, "weight, bias, mean and variance must be ", Shape{channels},
          ", a number for each channel of ", x.shape(), ", got ", t->shape());
  return {x.shape()[0], channels, x.shape().product(2, x.rank()), then == Then::relu};
}

}  // namespace

BatchNormed batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, real eps, Then then, ReadBy readers) {
  const BatchNormSizes s = sizes("batch_norm", x, {&gamma, &beta}, then);
  check(s.batch * s.places != 1, "batch_norm", "needs more than one number for each channel in training, got ",
        x.shape());
  const Shape channels{s.channels};
  if (x.empty()) return {x, Tensor::zeros(channels), Tensor::zeros(channels), Tensor::zeros(channels)};
  BatchNormed made{result(x.shape(), readers), Tensor(channels), Tensor(channels), Tensor(channels)};
  const Timed timed("batch_norm", elements(x, made.y));
  write(made.y, [&](auto* y) {
    backend::batch_norm(x.data(), gamma.data(), beta.data(), eps, y, made.mean.data(), made.variance.data(),
                        made.rstd.data(), s);
  });
  return made;
}

ChannelMoments channel_moments(const Tensor& x) {
  const BatchNormSizes s = sizes("channel_moments", x, {}, Then::nothing);
  const Shape channels{s.channels};
  if (x.empty()) return {Tensor::zeros(channels), Tensor::zeros(channels)};
  ChannelMoments made{Tensor(channels), Tensor(channels)};
  Tensor rstd(channels);
  const Timed timed("channel_moments", elements(x));
  backend::batch_norm<real>(x.data(), nullptr, nullptr, 1, nullptr, made.mean.data(), made.variance.data(), rstd.data(),
                            s);
  return made;
}

Tensor batch_norm_by(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& mean, const Tensor& rstd,
                     Then then, ReadBy readers) {
  const BatchNormSizes s = sizes("batch_norm_by", x, {&gamma, &beta, &mean, &rstd}, then);
  if (x.empty()) return x;
  Tensor y = result(x.shape(), readers);
  const Timed timed("batch_norm_by", elements(x, y));
  write(y, [&](auto* to) {
    backend::batch_norm_by(x.data(), gamma.data(), beta.data(), mean.data(), rstd.data(), to, s);
  });
  return y;
}

BatchNormGradients batch_norm_backward(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                                       const Tensor& rstd, Tensor dY, bool of_batch, Then then) {
  const BatchNormSizes s = sizes("batch_norm_backward", x, {&gamma, &beta, &mean, &rstd}, then);
  check(x.shape() == dY.shape(), "batch_norm_backward", "x ", x.shape(), " and dY ", dY.shape(),
        " must have one shape");
  if (x.empty()) return {dY, Tensor::zeros(gamma.shape()), Tensor::zeros(gamma.shape())};
  BatchNormGradients result{in_place_of(dY), Tensor(gamma.shape()), Tensor(gamma.shape())};
  const Timed timed("batch_norm_backward", elements(x, dY, result.dX));
  backend::batch_norm_backward(x.data(), gamma.data(), beta.data(), mean.data(), rstd.data(), std::as_const(dY).data(),
                               of_batch, result.dX.data(), result.dgamma.data(), result.dbeta.data(), s);
  return result;
}

}  // namespace bobbin
