#pragma once
#include "autograd/tape.h"
#include "tensor/functions.h"
#include "tensor/size2.h"

/// The differentiable operations. Each is one function that holds its derivation, its forward pass and its VJPs; to add
/// one, write such a function: nothing is registered. Shapes that do not fit throw Error with the op's name and the
/// shapes. Values are computed at once, by tensor/functions.h; the same names there document shapes and formulas more
/// closely.
namespace bobbin {

// --- elementwise: broadcasting by NumPy's rule ---------------------------------------------------
Var operator+(Var a, Var b);
Var operator-(Var a, Var b);
Var operator*(const Var& a, const Var& b);
Var operator/(const Var& a, const Var& b);
Var operator+(Var a, real b);
Var operator-(Var a, real b);
Var operator*(Var a, real b);
Var operator/(Var a, real b);
Var operator+(real a, Var b);
Var operator-(real a, Var b);
Var operator*(real a, Var b);
Var operator/(real a, const Var& b);
Var operator-(Var x);
Var exp(Var x);
Var log(const Var& x);
Var sqrt(Var x);
Var tanh(Var x);
Var relu(Var x);
/// The logistic function, 1 / (1 + exp(-x)), and log(1 + exp(x)), both without overflow.
Var sigmoid(Var x);
Var softplus(const Var& x);
/// x·sigmoid(x).
Var silu(const Var& x);

// --- dropout, and functions that fuse it ---------------------------------------------------------
/// Each element is 0 with probability p, else divided by 1-p, as the draw decides; 0 <= p < 1.
Var dropout(Var x, real p, Draw draw);
/// The Gaussian error linear unit, x·Φ(x) by erf, and its approximation by tanh (PyTorch's approximate='tanh'); with
/// p > 0 followed by dropout, in the same pass over memory: dropout(gelu(x), p, draw).
Var gelu(Var x, real p = 0, Draw draw = {}, ReadBy readers = ReadBy::anyone);
Var gelu_tanh(Var x, real p = 0, Draw draw = {}, ReadBy readers = ReadBy::anyone);

// --- reduce --------------------------------------------------------------------------------------
/// Of all elements: a scalar of rank 0.
Var sum(const Var& x);
Var mean(const Var& x);
/// Along one axis, which goes away.
Var sum(const Var& x, int axis);
Var mean(const Var& x, int axis);

// --- products ------------------------------------------------------------------------------------
/// (..., m, k) x (..., k, n) -> (..., m, n); `transposed` says which operands are stored transposed.
Var matmul(const Var& a, const Var& b, Transposed transposed = {});
/// x·Wᵀ + b: (..., in), (out, in), (out) -> (..., out). b may be undefined.
Var linear(Var x, const Var& W, const Var& b, ReadBy readers = ReadBy::anyone);

// --- softmax, and the cross entropy made of it ---------------------------------------------------
/// exp(x) / Σ exp(x) along the last axis. valid_lens is empty or has a number for each row: how
/// many of its elements count; the others get the weight 0.
Var softmax(const Var& x, const std::vector<int>& valid_lens = {});
/// log softmax(x) along the last axis, and log Σ exp(x) along one, which goes away: torch.log_softmax, torch.logsumexp.
Var log_softmax(const Var& x);
Var logsumexp(const Var& x, int axis);
/// The mean over the rows of logits (N, C) of -Σ q·log softmax(logits), a scalar, as torch.nn.functional.cross_entropy:
/// q is a row of targets (N, C), a distribution; or for labels 1 - label_smoothing at the label plus label_smoothing/C
/// everywhere.
Var cross_entropy(const Var& logits, const Tensor& targets);
Var cross_entropy(const Var& logits, const Labels& labels, real label_smoothing = 0);

// --- layer_norm ----------------------------------------------------------------------------------
/// (x - mean) / sqrt(variance + eps) · gamma + beta along the last axis (Ba, Kiros, Hinton, 2016).
Var layer_norm(const Var& x, const Var& gamma, const Var& beta, real eps = real(1e-5), ReadBy readers = ReadBy::anyone);
/// The same over each group of neighbouring channels of each image of x (B, C, ...), with a gamma and a beta for each
/// channel (Wu and He, 2018): torch.nn.functional.group_norm. Made of other ops.
Var group_norm(const Var& x, Index groups, const Var& gamma, const Var& beta, real eps = real(1e-5));

// --- batch_norm ----------------------------------------------------------------------------------
/// (x - mean) / sqrt(variance + eps) · gamma + beta for each channel of x (B, C, ...) (Ioffe and Szegedy, 2015), as
/// torch.nn.functional.batch_norm in training: mean and variance are those of the batch, the variance divided by n. The
/// running ones (C) are overwritten, for all who share them: momentum of the new and 1 - momentum of the old, where the
/// new variance is the unbiased one, divided by n - 1. A ReLU may follow in the same pass over memory. Throws Error
/// where a channel has one number only.
Var batch_norm(const Var& x, const Var& gamma, const Var& beta, Tensor& running_mean, Tensor& running_var,
               real momentum = real(0.1), real eps = real(1e-5), Then then = Then::nothing,
               ReadBy readers = ReadBy::anyone);
/// The same by a given mean and variance, as in evaluation.
Var batch_norm_by(const Var& x, const Var& gamma, const Var& beta, const Tensor& mean, const Tensor& variance,
                  real eps = real(1e-5), Then then = Then::nothing, ReadBy readers = ReadBy::anyone);

// --- attention -----------------------------------------------------------------------------------
/// softmax(Q·Kᵀ/√d)·V for each head: queries (B, Tq, D), keys and values (B, Tk, D), the heads side by side in D; ->
/// (B, Tq, D). valid_lens is empty or says how many keys may be looked at: a number for each image (B), or for each
/// query (B·Tq). Dropout on the weights, with probability p, by the draw.
Var attention(Var queries, Var keys, Var values, int num_heads, const std::vector<int>& valid_lens = {}, real p = 0,
              Draw draw = {}, ReadBy readers = ReadBy::anyone);

// --- conv2d --------------------------------------------------------------------------------------
/// The cross-correlation of images X (B, C, H, W) with kernels W (out, C/groups, h, w), as torch.nn.functional.conv2d:
/// (B, out, H', W'), where H' = (H + 2·padding - dilation·(h-1) - 1)/stride + 1. b (out) may be undefined.
Var conv2d(Var X, const Var& W, const Var& b, const Conv2dOptions& options = {});
/// What the kernel sees at each place: (B, C, H, W) -> (B, C·h·w, H'·W').
Var im2col(const Var& X, const Conv2dGeometry& geometry);
/// Images cut into patches of h x w: (B, C, H, W) -> (B, number of patches, C·h·w), left to right, then down.
Var patches(const Var& X, Size2 size);

// --- pool ------------------------------------------------------------------------------------------
/// The mean over each window of images: (B, C, H, W) -> (B, C, H', W'), H' = (H - kernel)/stride + 1, rounded down.
Var avg_pool2d(const Var& X, Size2 kernel, Size2 stride);
/// The largest number in each window; the padding, half a kernel at most, counts as -inf. The gradient goes to the
/// first of the largest in the order of rows.
Var max_pool2d(const Var& X, Size2 kernel, Size2 stride, Size2 padding = 0);
/// The mean over each of `size` cells that share the image evenly: (B, C, H, W) -> (B, C, size).
Var adaptive_avg_pool2d(const Var& X, Size2 size);

// --- shapes: numbers moved, none changed ---------------------------------------------------------
/// The same numbers in another shape of the same size.
Var reshape(Var x, const Shape& shape);
/// The axes from `start` on made one: (B, C, H, W) -> (B, C·H·W), with start 2 (B, C, H·W).
Var flatten(Var x, int start = 1);
/// Axis i of the result is axis axes[i] of x.
Var permute(const Var& x, const std::vector<int>& axes);
/// Two axes swapped.
Var transpose(const Var& x, int axis_a, int axis_b);
/// Repeated along axes of size 1, by NumPy's rule: PyTorch's expand.
Var broadcast_to(const Var& x, const Shape& shape);
/// Parts that differ only along `axis`, one after the other: PyTorch's cat.
Var concat(const std::vector<Var>& parts, int axis);
/// The indices start ... stop-1 along an axis; select takes a single one, and the axis goes away.
Var slice(const Var& x, int axis, Index start, Index stop);
Var select(const Var& x, int axis, Index index);
/// `before` and `after` zeros along an axis; or the numbers next to its ends as a mirror there shows them, PyTorch's
/// mode='reflect'.
Var pad(const Var& x, int axis, Index before, Index after);
Var pad_reflect(const Var& x, int axis, Index before, Index after);
/// x[i, index[i]] for each row of x (N, C).
Var gather(const Var& x, const Labels& index);

}  // namespace bobbin
