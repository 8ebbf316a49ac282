#pragma once
#include <limits>
#include <optional>

#include "autograd/tape.h"
#include "tensor/functions.h"
#include "tensor/size2.h"

/// The differentiable operations. Each is one function that holds its derivation, its forward pass and its VJPs; to add
/// one, write such a function: nothing is registered. Shapes that do not fit throw Error with the op's name and the
/// shapes. Values are computed at once, by tensor/functions.h; the same names there document shapes and formulas more
/// closely.
namespace bobbin {

// --- elementwise: broadcasting by NumPy's rule ---------------------------------------------------
/// a + b, a - b, a ⊙ b and a / b of two variables, or of one and a number; -x; and of each element eˣ, ln x, √x, tanh x
/// and max(x, 0), whose gradient at 0 is 0.
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
/// The error function, 1/√x and x².
Var erf(const Var& x);
Var rsqrt(Var x);
Var square(const Var& x);
/// |x| and its sign, -1, 0 or 1; the gradient of |x| at 0 is 0, that of the sign everywhere.
Var abs(const Var& x);
Var sign(const Var& x);
/// x within bounds, of which one may be left out; at them and beyond the gradient is 0: torch.clamp of PyTorch 2.15.
Var clamp(const Var& x, std::optional<real> low, std::optional<real> high = {});
/// x to the power p. The gradient of p where x = 0 and p >= 0 is 0, as in PyTorch.
Var pow(const Var& x, real p);
Var pow(const Var& x, const Var& p);
inline Var pow(real x, const Var& p) { return pow(Var(Tensor::scalar(x)), p); }
/// The larger of two numbers, and the smaller; the gradient of equal ones is shared by halves.
Var maximum(const Var& a, const Var& b);
Var minimum(const Var& a, const Var& b);
/// a where the mask is not 0, b where it is; all three broadcast. Tensors are compared to make one:
///
///     where(x.value() > 0, x, exp(x) - 1)
Var where(const Tensor& mask, const Var& a, const Var& b);
inline Var masked_fill(const Var& x, const Tensor& mask, real value) {
  return where(mask, Var(Tensor::scalar(value)), x);
}

// --- dropout, and functions that fuse it ---------------------------------------------------------
/// Each element is 0 with probability p, else divided by 1-p, as the draw decides; 0 <= p <= 1.
Var dropout(Var x, real p, Draw draw);
/// The Gaussian error linear unit, x·Φ(x) by erf, and its approximation by tanh (PyTorch's approximate='tanh'); with
/// p > 0 followed by dropout, in the same pass over memory: dropout(gelu(x), p, draw).
Var gelu(Var x, real p = 0, Draw draw = {}, ReadBy readers = ReadBy::anyone);
Var gelu_tanh(Var x, real p = 0, Draw draw = {}, ReadBy readers = ReadBy::anyone);

// --- reduce --------------------------------------------------------------------------------------
/// Over some axes, or all; these go away, or with `keepdim` stay with size 1: sum(x), sum(x, -1), mean(x, {0, 2},
/// true). The variance is the unbiased estimate, as torch.var's; with correction 0 the sum of squares is divided by n.
Var sum(const Var& x, const Axes& axes = {}, bool keepdim = false);
Var mean(const Var& x, const Axes& axes = {}, bool keepdim = false);
Var var(const Var& x, const Axes& axes = {}, real correction = 1, bool keepdim = false);
/// The largest and the smallest number: where several are, they share the gradient.
Var amax(const Var& x, const Axes& axes = {}, bool keepdim = false);
Var amin(const Var& x, const Axes& axes = {}, bool keepdim = false);
/// As torch.max(x), where several share the gradient, and the values of torch.max(x, axis), where the first has it all.
Var max(const Var& x);
Var min(const Var& x);
Var max(const Var& x, int axis, bool keepdim = false);
Var min(const Var& x, int axis, bool keepdim = false);

// --- products ------------------------------------------------------------------------------------
/// (..., m, k) x (..., k, n) -> (..., m, n), the leading axes broadcast by NumPy's rule, and vectors as torch.matmul
/// takes them; `transposed` says which matrices are stored transposed.
Var matmul(const Var& a, const Var& b, Transposed transposed = {});
/// x·Wᵀ + b: (..., in), (out, in), (out) -> (..., out). b may be undefined.
Var linear(Var x, const Var& W, const Var& b, ReadBy readers = ReadBy::anyone);

// --- softmax, and the cross entropy made of it ---------------------------------------------------
/// exp(x) / Σ exp(x) along an axis. And of the first numbers of each row only, along the last axis: valid_lens, d2l's,
/// is empty or says for each row how many; the others get the weight 0.
Var softmax(const Var& x, int axis = -1);
Var masked_softmax(const Var& x, const std::vector<int>& valid_lens);
/// log softmax(x) along an axis, and log Σ exp(x) over some ({} are all): torch.log_softmax, torch.logsumexp.
Var log_softmax(const Var& x, int axis = -1);
Var logsumexp(const Var& x, const Axes& axes, bool keepdim = false);
/// The mean over the rows of logits (N, C) of -Σ q·log softmax(logits), a scalar, as torch.nn.functional.cross_entropy:
/// q is a row of targets (N, C), a distribution; or for labels 1 - label_smoothing at the label plus label_smoothing/C
/// everywhere. The options are weights of the classes, a label that does not count, smoothing, and what is made of the
/// losses:
///
///     cross_entropy(logits, labels, {.weight = Tensor({3}, {1, 2, 5}), .ignore_index = 0})
Var cross_entropy(const Var& logits, const Tensor& targets, const CrossEntropyOptions& options = {});
Var cross_entropy(const Var& logits, const Labels& labels, const CrossEntropyOptions& options = {});
inline Var cross_entropy(const Var& logits, const Labels& labels, real label_smoothing) {
  return cross_entropy(logits, labels, CrossEntropyOptions{.label_smoothing = label_smoothing});
}

// --- losses ---------------------------------------------------------------------------------------
/// Those of torch.nn.functional with these names, for x and y of one shape; options as there. y may be a constant.
/// (x - y)² and |x - y|.
Var mse_loss(const Var& x, const Var& y, Reduction reduction = Reduction::mean);
Var l1_loss(const Var& x, const Var& y, Reduction reduction = Reduction::mean);
/// With d = |x - y|: d²/2 where d < delta, delta·(d - delta/2) beyond (Huber, 1964); and the same divided by beta.
Var huber_loss(const Var& x, const Var& y, real delta = 1, Reduction reduction = Reduction::mean);
Var smooth_l1_loss(const Var& x, const Var& y, real beta = 1, Reduction reduction = Reduction::mean);
/// -w·(p·y·log σ(x) + (1 - y)·log(1 - σ(x))) for targets y in 0 ... 1, right for large x, too. The weights w and p, of
/// all and of the positive targets, broadcast to x; undefined is 1.
struct BCEOptions {
  Tensor weight = {}, pos_weight = {};
  Reduction reduction = Reduction::mean;
};
Var binary_cross_entropy_with_logits(const Var& x, const Tensor& y, const BCEOptions& options = {});
/// -w·x at the label of each row of x (N, C), log-probabilities such as log_softmax() gives: cross_entropy without the
/// softmax. No label_smoothing.
Var nll_loss(const Var& x, const Labels& labels, const CrossEntropyOptions& options = {});

// --- layer_norm ----------------------------------------------------------------------------------
/// (x - mean) / sqrt(variance + eps) · gamma + beta along the last axes, those that gamma and beta have (Ba, Kiros,
/// Hinton, 2016).
Var layer_norm(const Var& x, const Var& gamma, const Var& beta, real eps = real(1e-5), ReadBy readers = ReadBy::anyone);
/// The same over each group of neighbouring channels of each image of x (B, C, ...), with a gamma and a beta for each
/// channel (Wu and He, 2018): torch.nn.functional.group_norm. Made of other ops.
Var group_norm(const Var& x, Index groups, const Var& gamma, const Var& beta, real eps = real(1e-5));

/// x / √(mean of x² + eps) · weight along the last axis (Zhang and Sennrich, 2019): torch.nn.functional.rms_norm. Made
/// of other ops.
Var rms_norm(const Var& x, const Var& weight, real eps = std::numeric_limits<real>::epsilon());

// --- batch_norm ----------------------------------------------------------------------------------
/// (x - mean) / sqrt(variance + eps) · gamma + beta for each channel of x (B, C, ...) (Ioffe and Szegedy, 2015), as
/// torch.nn.functional.batch_norm in training: mean and variance are those of the batch, the variance divided by n. The
/// running ones (C) are overwritten, for all who share them: momentum of the new and 1 - momentum of the old, where the
/// new variance is the unbiased one, divided by n - 1. A ReLU may follow in the same pass over memory. Throws Error
/// where a channel has one number only.
Var batch_norm(const Var& x, const Var& gamma, const Var& beta, Tensor& running_mean, Tensor& running_var,
               real momentum = real(0.1), real eps = real(1e-5), Then then = Then::nothing,
               ReadBy readers = ReadBy::anyone);
/// The same where x are the images of this rank and mean and variance are those of all ranks' (tensor/comm.h), however
/// many each has: torch.nn.SyncBatchNorm. All ranks call it, and the backward pass that follows. The images of one that
/// does not `count` are normalised as the others, change nothing, and have no gradient of x. Throws Error where a
/// channel has one number only on all ranks together.
Var sync_batch_norm(const Var& x, const Var& gamma, const Var& beta, Tensor& running_mean, Tensor& running_var,
                    bool counts = true, real momentum = real(0.1), real eps = real(1e-5), Then then = Then::nothing,
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
/// softmax(Q·Kᵀ/√d + bias)·V, where qkv (B, T, 3·D) has the queries, the keys and the values side by side, as one
/// product makes them; -> (B, T, D). bias (G, heads, T, T), where G divides B, has in number b % G what is added to the
/// scores of image b. On a GPU this is made of other ops, and the thirds are copied apart.
Var biased_attention(Var qkv, int num_heads, const Var& bias, ReadBy readers = ReadBy::anyone);

// --- conv2d --------------------------------------------------------------------------------------
/// The cross-correlation of images X (B, C, H, W) with kernels W (out, C/groups, h, w), as torch.nn.functional.conv2d:
/// (B, out, H', W'), where H' = (H + 2·padding - dilation·(h-1) - 1)/stride + 1; of one image (C, H, W) likewise. b
/// (out) may be undefined.
Var conv2d(Var X, const Var& W, const Var& b, const Conv2dOptions& options = {});
/// What the kernel sees at each place: (B, C, H, W) -> (B, C·h·w, H'·W').
Var im2col(const Var& X, const Conv2dGeometry& geometry);
/// Images cut into patches of h x w: (B, C, H, W) -> (B, number of patches, C·h·w), left to right, then down.
Var patches(const Var& X, Size2 size);

// --- pool ------------------------------------------------------------------------------------------
/// The mean over each window of images: (B, C, H, W) -> (B, C, H', W'), H' = (H + 2·padding - kernel)/stride + 1,
/// rounded down; the padding, half a kernel at most, counts as zeros. Of one image (C, H, W) likewise, here and below.
/// A stride that is not named is the kernel's size.
Var avg_pool2d(const Var& X, Size2 kernel, Size2 stride, Size2 padding = 0);
inline Var avg_pool2d(const Var& X, Size2 kernel) { return avg_pool2d(X, kernel, kernel); }
/// The largest number in each window; the padding, half a kernel at most, counts as -inf. The gradient goes to the
/// first of the largest in the order of rows. With ceil_mode H' and W' are rounded up, where that window still begins
/// in the image or in front of it.
Var max_pool2d(const Var& X, Size2 kernel, Size2 stride, Size2 padding = 0, bool ceil_mode = false);
inline Var max_pool2d(const Var& X, Size2 kernel) { return max_pool2d(X, kernel, kernel); }
/// The mean over each of `size` cells that share the image evenly: (B, C, H, W) -> (B, C, size).
Var adaptive_avg_pool2d(const Var& X, Size2 size);

// --- shapes: numbers moved, none changed ---------------------------------------------------------
/// The same numbers in another shape of the same size. Of the sizes one may be -1, which the others tell.
Var reshape(Var x, const Shape& shape);
inline Var reshape(Var x, std::initializer_list<Index> sizes) {
  const Shape shape = x.shape().reshaped(sizes);
  return reshape(std::move(x), shape);
}
/// The axes start ... end made one, as torch.flatten: of (B, C, H, W) all, or with start 1 (B, C·H·W).
Var flatten(Var x, int start = 0, int end = -1);
/// An axis of size 1 more, before this one (or with -1 at the end), and without those of size 1 among these.
Var unsqueeze(Var x, int axis);
Var squeeze(Var x, const Axes& axes = {});
/// Axis i of the result is axis axes[i] of x. Here and below a negative axis counts from the back.
Var permute(const Var& x, const std::vector<int>& axes);
/// Two axes swapped.
Var transpose(const Var& x, int axis_a, int axis_b);
/// Repeated along axes of size 1, by NumPy's rule: PyTorch's expand.
Var broadcast_to(const Var& x, const Shape& shape);
/// Parts that differ only along `axis`, one after the other: PyTorch's cat.
Var concat(const std::vector<Var>& parts, int axis = 0);
/// Parts of one shape, one after the other along a new axis, which becomes axis `axis`. split() and chunk() of
/// tensor/functions.h undo it and concat().
Var stack(const std::vector<Var>& parts, int axis = 0);
/// The indices start ... stop-1 along an axis, as Python's x[start:stop]; select takes a single one, and the axis goes
/// away. Negative ones count from the end.
Var slice(const Var& x, int axis, Index start, Index stop = to_the_end);
Var select(const Var& x, int axis, Index index);
/// `before` and `after` times `value` along an axis, of which a negative number cuts off as many; or the numbers next
/// to its ends as a mirror there shows them, PyTorch's mode='reflect'.
Var pad(const Var& x, int axis, Index before, Index after, real value = 0);
Var pad_reflect(const Var& x, int axis, Index before, Index after);
/// x[i, index[i]] for each row of x (N, C).
Var gather(const Var& x, const Labels& index);
/// The given indices along an axis, in their order; the gradient of one that came again adds up.
Var index_select(const Var& x, int axis, const Labels& index);
/// The rows of a table (words, C) that the indices name: (N, C), torch.nn.functional.embedding. Row padding_idx, if
/// there is one, gets no gradient.
Var embedding(const Var& table, const Labels& index, std::optional<int> padding_idx = {});

}  // namespace bobbin
