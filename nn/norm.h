// Normalisation: numbers brought to mean 0 and variance 1, then scaled and shifted by what is learned.
#pragma once
#include <limits>

#include "autograd/ops.h"
#include "nn/state.h"
#include "tensor/check.h"

namespace bobbin {

/// Over the last axes, of these sizes; mostly the last one: LayerNorm(512), LayerNorm(Shape{3, 32, 32}).
struct LayerNorm {
  Var weight, bias;  // (norm_shape...), ones and zeros at first
  real eps;

  explicit LayerNorm(const Shape& norm_shape, real eps = real(1e-5))
      : weight(Var::parameter(Tensor::ones(norm_shape))), bias(Var::parameter(Tensor::zeros(norm_shape))), eps(eps) {}
  explicit LayerNorm(Index norm_shape, real eps = real(1e-5)) : LayerNorm(Shape{norm_shape}, eps) {}

  Var operator()(const Var& x, ReadBy readers = ReadBy::anyone) { return layer_norm(x, weight, bias, eps, readers); }
  void visit(auto&& v) { v("weight", weight), v("bias", bias); }
};

/// Of each row of the last axis: x / √(mean of x² + eps) · weight. PyTorch's nn.RMSNorm; see rms_norm().
struct RMSNorm {
  Var weight;  // (norm_shape), ones at first
  real eps;

  explicit RMSNorm(Index norm_shape, real eps = std::numeric_limits<real>::epsilon())
      : weight(Var::parameter(Tensor::ones({norm_shape}))), eps(eps) {}

  Var operator()(const Var& x) { return rms_norm(x, weight, eps); }
  void visit(auto&& v) { v("weight", weight); }
};

/// Of each group of channels of each image (B, C, ...). PyTorch's nn.GroupNorm; see group_norm().
struct GroupNorm {
  Var weight, bias;  // (C), ones and zeros at first
  Index num_groups;
  real eps;

  GroupNorm(Index num_groups, Index num_channels, real eps = real(1e-5))
      : weight(Var::parameter(Tensor::ones({num_channels}))),
        bias(Var::parameter(Tensor::zeros({num_channels}))),
        num_groups(num_groups),
        eps(eps) {
    check(num_groups >= 1 && num_channels % num_groups == 0, "GroupNorm", num_groups, " groups do not divide ",
          num_channels, " channels");
  }

  Var operator()(const Var& x) { return group_norm(x, num_groups, weight, bias, eps); }
  void visit(auto&& v) { v("weight", weight), v("bias", bias); }
};

/// Of each channel of images (B, C, H, W): in training over the batch, whose mean and variance the running ones follow;
/// in evaluation by these. PyTorch's nn.BatchNorm2d, or where PartOfBatch says so nn.SyncBatchNorm; see batch_norm(),
/// sync_batch_norm() and batch_norm_by().
struct BatchNorm2d {
  Var weight, bias;                  // (C), ones and zeros at first
  Tensor running_mean, running_var;  // (C), zeros and ones at first
  Count num_batches_tracked;
  Training training;
  real momentum, eps;  ///< momentum is the weight of the new statistics

  explicit BatchNorm2d(Index num_features, real eps = real(1e-5), real momentum = real(0.1))
      : weight(Var::parameter(Tensor::ones({num_features}))),
        bias(Var::parameter(Tensor::zeros({num_features}))),
        running_mean(Tensor::zeros({num_features})),
        running_var(Tensor::ones({num_features})),
        momentum(momentum),
        eps(eps) {}

  /// A ReLU may follow in the same pass. Throws Error for what are no images, in training for one number a channel, and
  /// in training mode while a model is evaluated: see Evaluating.
  Var operator()(const Var& x, Then then = Then::nothing, ReadBy readers = ReadBy::anyone) {
    check(x.rank() == 4, "BatchNorm2d", "needs images (B, C, H, W), got ", x.shape());
    if (!training.on) return batch_norm_by(x, weight, bias, running_mean, running_var, eps, then, readers);
    check(!Evaluating::now(), "BatchNorm2d",
          "is in training mode while the model is evaluated: a visit() does not name it, so eval() cannot reach it");
    const PartOfBatch* const part = PartOfBatch::now();
    Var y = part && part->sync_batch_norm
                ? sync_batch_norm(x, weight, bias, running_mean, running_var, part->images.counted > 0, momentum, eps,
                                  then, readers)
                : batch_norm(x, weight, bias, running_mean, running_var, momentum, eps, then, readers);
    ++num_batches_tracked.n;
    return y;
  }
  void visit(auto&& v) {
    v("weight", weight), v("bias", bias), v("running_mean", running_mean), v("running_var", running_var);
    v("num_batches_tracked", num_batches_tracked), v("training", training);
  }
};

}  // namespace bobbin
