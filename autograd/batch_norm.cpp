// Batch normalisation.
#include <algorithm>

#include "autograd/ops.h"
#include "tensor/comm.h"

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

// The running ones follow mean and variance (C) of a batch, of n numbers for each channel.
void follow(Tensor& running_mean, Tensor& running_var, const Tensor& mean, const Tensor& variance, real n,
            real momentum) {
  running_mean.assign(running_mean * (1 - momentum) + mean * momentum);
  running_var.assign(running_var * (1 - momentum) + variance * (n / (n - 1)) * momentum);
}

}  // namespace

Var batch_norm(const Var& x, const Var& gamma, const Var& beta, Tensor& running_mean, Tensor& running_var,
               real momentum, real eps, Then then, ReadBy readers) {
  BatchNormed forward = batch_norm(x.value(), gamma.value(), beta.value(), eps, then, readers);
  if (!x.value().empty())  // no images say nothing of the mean
    follow(running_mean, running_var, forward.mean, forward.variance, static_cast<real>(x.size() / gamma.size()),
           momentum);
  return record_batch_norm(x, gamma, beta, std::move(forward.y), forward.mean, forward.rstd, true, then);
}

// Forward, the ranks add up their n, Σ x and Σ x², in double. Backward, with x̂ = (x - mean)·rstd,
//     dX = gamma · rstd · (dY - Σ dY/n - x̂ · Σ dY·x̂/n),
// where the sums, of all ranks, are what theirs of dbeta and dgamma add up to. The first term is that of a given mean
// and rstd; the others are a line in x, as such a forward pass is. gamma's and beta's own gradients are the rank's, as
// those of other parameters are, which are summed later.
Var sync_batch_norm(const Var& x, const Var& gamma, const Var& beta, Tensor& running_mean, Tensor& running_var,
                    bool counts, real momentum, real eps, Then then, ReadBy readers) {
  const Shape& channels = gamma.shape();
  const auto C = static_cast<std::size_t>(gamma.size());
  std::vector<double> sums(1 + 2 * C);
  if (counts) {
    const ChannelMoments own = channel_moments(x.value());
    const std::vector<real> means = own.mean.values(), variances = own.variance.values();
    check(means.size() == C, "sync_batch_norm", "weight and bias must be ", Shape{x.shape()[1]},
          ", a number for each channel of ", x.shape(), ", got ", channels);
    const double n = sums[0] = static_cast<double>(x.size() / gamma.size());
    for (std::size_t c = 0; c < C; ++c) {
      const double m = double{means[c]};
      sums[1 + c] = n * m;
      sums[1 + C + c] = n * (double{variances[c]} + m * m);
    }
  }
  sums = comm::sum_of_all_ranks(std::move(sums));
  const double n = sums[0];
  check(n != 1, "sync_batch_norm", "needs more than one number for each channel in training, on all ranks together; ",
        "this one has ", x.shape());
  std::vector<real> means(C), variances(C);
  for (std::size_t c = 0; c < C && n > 0; ++c) {
    const double m = sums[1 + c] / n;
    means[c] = static_cast<real>(m);
    variances[c] = static_cast<real>(std::max(sums[1 + C + c] / n - m * m, 0.0));
  }
  const Tensor mean(channels, means), variance(channels, variances), rstd = 1 / sqrt(variance + eps);
  if (n > 0) follow(running_mean, running_var, mean, variance, static_cast<real>(n), momentum);
  Tensor Y = batch_norm_by(x.value(), gamma.value(), beta.value(), mean, rstd, then, readers);
  return record("sync_batch_norm", std::move(Y), {x, gamma, beta},
                [X = x.value(), g = gamma.value(), b = beta.value(), mean, rstd, n, counts, then](Tensor dY) {
                  auto [dX, dgamma, dbeta] = batch_norm_backward(X, g, b, mean, rstd, std::move(dY), false, then);
                  const std::vector<real> own = concat({dgamma, dbeta}).values();
                  const auto all = comm::sum_of_all_ranks({own.begin(), own.end()});
                  if (counts) {
                    const Tensor of_all({2, g.size()}, {all.begin(), all.end()});
                    const Tensor scale = g * rstd * static_cast<real>(-1 / n);
                    dX = std::move(dX) + batch_norm_by(X, scale * of_all[0], scale * of_all[1], mean, rstd);
                  }
                  return std::vector<Tensor>{dX, dgamma, dbeta};
                });
}

Var batch_norm_by(const Var& x, const Var& gamma, const Var& beta, const Tensor& mean, const Tensor& variance, real eps,
                  Then then, ReadBy readers) {
  const Tensor now = mean.clone(), rstd = 1 / sqrt(variance + eps);  // what training may change before backward
  Tensor Y = batch_norm_by(x.value(), gamma.value(), beta.value(), now, rstd, then, readers);
  return record_batch_norm(x, gamma, beta, std::move(Y), now, rstd, false, then);
}

}  // namespace bobbin
