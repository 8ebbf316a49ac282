// Batch normalisation.
#include "autograd/ops.h"

namespace bobbin {
namespace {

// The derivation stands beside the loops, in tensor/cpu/batch_norm.cpp. One pass makes all three gradients.
Var record_batch_norm(const Var& x, const Var& gamma, const Var& beta, Tensor Y, const Tensor& mean, const Tensor& rstd,
                      bool of_batch, Then then) {
  return record("batch_norm", std::move(Y), {x, gamma, beta},
                [X = x.value(), g = gamma.value(), b = beta.value(), mean, rstd, of_batch, then](Tensor dY) {
                  auto [dX, dgamma, dbeta] = batch_norm_backward(X, g, b, mean, rstd, std::move(dY), of_batch, then);
                  return std::vector<Tensor>{dX, dgamma, dbeta};
                });
}

}  // namespace

Var batch_norm(const Var& x, const Var& gamma, const Var& beta, Tensor& running_mean, Tensor& running_var,
               real momentum, real eps, Then then, ReadBy readers) {
  BatchNormed forward = batch_norm(x.value(), gamma.value(), beta.value(), eps, then, readers);
  if (!x.value().empty()) {  // no images say nothing of the mean
    const auto n = static_cast<real>(x.size() / gamma.size());
    running_mean.assign(running_mean * (1 - momentum) + forward.mean * momentum);
    running_var.assign(running_var * (1 - momentum) + forward.variance * (n / (n - 1)) * momentum);
  }
  return record_batch_norm(x, gamma, beta, std::move(forward.y), forward.mean, forward.rstd, true, then);
}

Var batch_norm_by(const Var& x, const Var& gamma, const Var& beta, const Tensor& mean, const Tensor& variance, real eps,
                  Then then, ReadBy readers) {
  const Tensor now = mean.clone(), rstd = 1 / sqrt(variance + eps);  // what training may change before backward
  Tensor Y = batch_norm_by(x.value(), gamma.value(), beta.value(), now, rstd, then, readers);
  return record_batch_norm(x, gamma, beta, std::move(Y), now, rstd, false, then);
}

}  // namespace bobbin
