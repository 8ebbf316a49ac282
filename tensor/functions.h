#pragma once
#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "tensor/kernels.h"
#include "tensor/operand.h"
#include "tensor/rng.h"
#include "tensor/size2.h"
#include "tensor/tensor.h"

/// The mathematics of tensors: checked, shape-aware functions over the kernels. Every one throws Error when the shapes
/// do not fit, naming itself and them. Arguments taken by value are overwritten in place of a new tensor if they are
/// moved in and nobody else holds them.
namespace bobbin {

// --- elementwise: broadcasting by NumPy's rule ---------------------------------------------------
/// a + b, a - b, a ⊙ b and a / b of two tensors, or of one and a number; and -x.
Tensor operator+(Tensor a, Tensor b);
Tensor operator-(Tensor a, Tensor b);
Tensor operator*(Tensor a, Tensor b);
Tensor operator/(Tensor a, Tensor b);
Tensor operator+(Tensor a, real b);
Tensor operator-(Tensor a, real b);
Tensor operator*(Tensor a, real b);
Tensor operator/(Tensor a, real b);
Tensor operator+(real a, Tensor b);
Tensor operator-(real a, Tensor b);
Tensor operator*(real a, Tensor b);
Tensor operator/(real a, Tensor b);
Tensor operator-(Tensor x);
/// a ⊙ b, of one shape, by the numbers that b has, rounded or not. Only of rounded ones the result may be rounded.
Tensor mul(Tensor a, const Operand& b, ReadBy readers);

/// eˣ, ln x, √x, tanh x and max(x, 0) of each element.
Tensor exp(Tensor x);
Tensor log(Tensor x);
Tensor sqrt(Tensor x);
Tensor tanh(Tensor x);
Tensor relu(Tensor x);
/// The logistic function, 1 / (1 + exp(-x)).
Tensor sigmoid(Tensor x);
/// log(1 + exp(x)), which is x for large x and exp(x) for small ones: torch.nn.functional.softplus, without overflow.
/// Error up to 2.2 ulp.
Tensor softplus(Tensor x);
/// x·sigmoid(x), the sigmoid linear unit (Hendrycks and Gimpel, 2016), also called swish: torch.nn.functional.silu.
Tensor silu(Tensor x);
/// dX from dY for y = silu(x), both of one shape.
Tensor silu_backward(const Tensor& x, Tensor dY);
/// dX from dY for y = relu(x), all of one shape. It tells the same from y as from x.
Tensor relu_backward(const Tensor& x, Tensor dY);
/// 2/√π ∫₀ˣ exp(-s²) ds, the error function.
Tensor erf(Tensor x);
/// 1 / √x.
Tensor rsqrt(Tensor x);
Tensor abs(Tensor x);
/// 1, -1, or 0 where x is 0 or NaN.
Tensor sign(Tensor x);
/// x, but `low` where it is below, and `high` where it is above; either may be left out: torch.clamp.
///
///     clamp(x, 0, 6);  clamp(x, 0);  clamp(x, {}, 6);
Tensor clamp(Tensor x, std::optional<real> low, std::optional<real> high = {});
/// dX from dY for y = clamp(x, low, high): dY between the bounds, 0 at them and beyond.
Tensor clamp_backward(const Tensor& x, Tensor dY, std::optional<real> low, std::optional<real> high = {});
/// x to the power p, and a number's to each power of p. NaN for a negative x and a p that is not whole.
Tensor pow(Tensor x, Tensor p);
Tensor pow(Tensor x, real p);
inline Tensor pow(real x, Tensor p) { return pow(Tensor::scalar(x), std::move(p)); }
/// The larger of two numbers, and the smaller; NaN if one is NaN.
Tensor maximum(Tensor a, Tensor b);
Tensor minimum(Tensor a, Tensor b);
/// da from dY for y = maximum(a, b), in the shape of dY; with a and b exchanged, of minimum(b, a) to b. Where both are
/// equal it is half of dY. db is maximum_backward(b, a, dY).
Tensor maximum_backward(Tensor a, Tensor b, Tensor dY);

/// 1 where it is true, 0 where it is not: the mask for where().
Tensor operator<(Tensor a, Tensor b);
Tensor operator<=(Tensor a, Tensor b);
Tensor operator>(Tensor a, Tensor b);
Tensor operator>=(Tensor a, Tensor b);
/// NaN is equal to none, or to NaN if `nans`.
Tensor eq(Tensor a, Tensor b, bool nans = false);
Tensor ne(Tensor a, Tensor b);
inline Tensor operator<(Tensor a, real b) { return std::move(a) < Tensor::scalar(b); }
inline Tensor operator<=(Tensor a, real b) { return std::move(a) <= Tensor::scalar(b); }
inline Tensor operator>(Tensor a, real b) { return std::move(a) > Tensor::scalar(b); }
inline Tensor operator>=(Tensor a, real b) { return std::move(a) >= Tensor::scalar(b); }
inline Tensor eq(Tensor a, real b) { return eq(std::move(a), Tensor::scalar(b)); }
inline Tensor ne(Tensor a, real b) { return ne(std::move(a), Tensor::scalar(b)); }
/// a where the mask is not 0, b where it is; all three broadcast. What is not chosen may be anything.
Tensor where(const Tensor& mask, Tensor a, Tensor b);
/// `value` where the mask is not 0, x elsewhere: masked_fill(scores, mask, -infinity).
inline Tensor masked_fill(Tensor x, const Tensor& mask, real value) {
  return where(mask, Tensor::scalar(value), std::move(x));
}

// --- dropout, and functions that fuse it ---------------------------------------------------------
/// x / (1-p) where the draw keeps an element, 0 elsewhere; 0 <= p <= 1.
Tensor dropout(Tensor x, real p, Draw draw);

/// The Gaussian error linear unit x·Φ(x) (Hendrycks and Gimpel, 2016), and its approximation by tanh; with p > 0
/// followed by dropout.
Tensor gelu(Tensor x, real p = 0, Draw draw = {}, ReadBy readers = ReadBy::anyone);
Tensor gelu_tanh(Tensor x, real p = 0, Draw draw = {}, ReadBy readers = ReadBy::anyone);

/// The same, and the derivative of both together: all that its VJP needs. In bfloat16 the derivative is rounded: its
/// product with dY is an operand of the products next to it, which would round that anyway.
struct Activated {
  Tensor y;
  Operand derivative;
};
Activated gelu_with_derivative(Tensor x, real p = 0, Draw draw = {}, ReadBy readers = ReadBy::anyone);
Activated gelu_tanh_with_derivative(Tensor x, real p = 0, Draw draw = {}, ReadBy readers = ReadBy::anyone);

// --- reduce --------------------------------------------------------------------------------------
/// The sum over some axes, or all, and the mean. These axes go away, or with `keepdim` stay with size 1. Sums of any
/// number of floats are right to 3e-7 of the sum of their absolute values, on a GPU to 1e-6. The sum of no numbers is
/// 0, their mean NaN.
///
///     sum(x), sum(x, -1), sum(x, {0, 2}), mean(x, 1, true)
Tensor sum(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
Tensor mean(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
/// The mean of the squares of x - mean(x), divided by n - correction instead of n, as torch.var: at first the unbiased
/// estimate; with correction 0 the variance of these n numbers. Right to its last digits, however large the mean. NaN
/// for one number alone. And x - mean(x) itself.
Tensor var(const Tensor& x, const Axes& axes = {}, real correction = 1, bool keepdim = false);
Tensor centered(Tensor x, const Axes& axes = {});
/// The gradient of broadcasting: x summed over the axes in which `shape` is 1 or has none.
Tensor sum_to(const Tensor& x, const Shape& shape);
/// The Euclidean norm of all elements, summed in double: no square overflows or vanishes.
double norm(const Tensor& x);
/// That of each tensor: on a GPU the program waits once for all of them.
std::vector<double> norms(const std::vector<Tensor>& tensors);
/// The largest and the smallest number along some axes, or of all. NaN is larger, and smaller, than all numbers, as in
/// PyTorch. Throws Error for those of no numbers.
Tensor amax(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
Tensor amin(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
/// The same, of all or along one axis: torch.max(x), and of torch.max(x, axis) the values; the indices are argmax(x,
/// axis).
inline Tensor max(const Tensor& x) { return amax(x); }
inline Tensor min(const Tensor& x) { return amin(x); }
inline Tensor max(const Tensor& x, int axis, bool keepdim = false) { return amax(x, axis, keepdim); }
inline Tensor min(const Tensor& x, int axis, bool keepdim = false) { return amin(x, axis, keepdim); }
/// Where along an axis it stands, the first of several, for all indices of the other axes in their order: for (N, C)
/// and axis 1 the column of the largest in each row. Without an axis where among all numbers.
Labels argmax(const Tensor& x, int axis);
Labels argmin(const Tensor& x, int axis);
Index argmax(const Tensor& x);
Index argmin(const Tensor& x);
/// The smallest and largest finite number, and how many are none.
Range range(const Tensor& x);

// --- products ------------------------------------------------------------------------------------
/// Which operands of a product are stored transposed (their last two axes swapped).
struct Transposed {
  bool trans_a = false, trans_b = false;
};
/// (..., m, k) x (..., k, n) -> (..., m, n), as torch.matmul. The leading axes are broadcast by NumPy's rule; a vector
/// is a row on the left and a column on the right, whose axis of size 1 goes away again, and is not transposed.
Tensor matmul(Operand a, Operand b, Transposed transposed = {}, ReadBy readers = ReadBy::anyone);
inline Tensor matmul(const Tensor& a, const Tensor& b, Transposed transposed = {}) {
  return matmul(Operand(a), Operand(b), transposed);
}
/// x·Wᵀ + b: (..., in), (out, in), (out) -> (..., out). b may be undefined.
Tensor linear(Operand x, Operand W, const Tensor& b, ReadBy readers = ReadBy::anyone);
inline Tensor linear(const Tensor& x, const Tensor& W, const Tensor& b) { return linear(Operand(x), Operand(W), b); }

// --- softmax, and the cross entropy made of it ---------------------------------------------------
/// exp(x) / Σ exp(x) along an axis. A weight is right to 4e-7 of itself, in rows of any width, and to 1e-7 less for
/// each unit of x below the largest. The same of the first numbers of each row only, along the last axis: valid_lens,
/// d2l's, is empty or says for each row of x how many of its elements count; the rest get 0. (d2l.ai sets scores to
/// -10^6 instead; that is 0 in floating point, and equal weights for a row of which none counts: so here.)
Tensor softmax(Tensor x, int axis = -1);
Tensor masked_softmax(Tensor x, const std::vector<int>& valid_lens);
/// Along the last axis.
Tensor softmax_backward(const Tensor& y, const std::vector<int>& valid_lens, Tensor dY);

/// log softmax(x) along an axis, as torch.log_softmax: x - max - log Σ exp(x - max), right where a softmax of 0 or 1
/// would have lost its logarithm. Error up to 1e-7 of the result and of x - max. NaN for a row with NaN or inf, or of
/// -inf alone.
Tensor log_softmax(Tensor x, int axis = -1);
/// log Σ exp(x) over some axes, as torch.logsumexp; {} are all. Error up to 1e-7 of the result or of the largest x.
/// -inf where all numbers are, or there are none; inf where there is an inf.
Tensor logsumexp(const Tensor& x, const Axes& axes, bool keepdim = false);

/// What is made of the losses of a batch: their mean, their sum, or none of it, so that each stands for itself.
enum class Reduction { mean, sum, none };
/// The options of torch.nn.functional.cross_entropy, and of nll_loss.
struct CrossEntropyOptions {
  Tensor weight = {};        ///< of each class (C); undefined is 1
  int ignore_index = -100;   ///< rows with this label do not count
  real label_smoothing = 0;  ///< this share of each target is spread over all classes; 0 ... 1
  Reduction reduction = Reduction::mean;
};
/// -Σ w·q·log softmax(logits) for each row of logits (N, C), where w are the weights of the classes, and q, for a label
/// 0 ... C-1, is 1 - label_smoothing there plus label_smoothing/C everywhere. Their mean is their sum divided by the
/// sum of the labels' weights: NaN if all are ignored.
Tensor cross_entropy(const Tensor& logits, const Labels& labels, const CrossEntropyOptions& options);
/// dloss is the gradient of that loss, and has its shape.
Tensor cross_entropy_backward(const Tensor& logits, const Labels& labels, const CrossEntropyOptions& options,
                              const Tensor& dloss);
/// The same, where q is a row of targets (N, C), a distribution, smoothed; the mean is that of the N rows. A class with
/// q = 0 may have the logit -inf.
Tensor cross_entropy(const Tensor& logits, const Tensor& targets, const CrossEntropyOptions& options = {});
Tensor cross_entropy_backward(const Tensor& logits, const Tensor& targets, const Tensor& dloss,
                              const CrossEntropyOptions& options = {});
inline Tensor cross_entropy(const Tensor& logits, const Labels& labels, real smoothing) {
  return cross_entropy(logits, labels, CrossEntropyOptions{.label_smoothing = smoothing});
}
inline Tensor cross_entropy_backward(const Tensor& logits, const Labels& labels, real smoothing, const Tensor& dloss) {
  return cross_entropy_backward(logits, labels, CrossEntropyOptions{.label_smoothing = smoothing}, dloss);
}

// --- layer_norm ----------------------------------------------------------------------------------
/// Layer normalisation along the last axes, which gamma and beta have: PyTorch's normalized_shape. Mean and variance
/// are right to their last digits; but the mean is kept as a real, and half its last digit, times rstd, is the error of
/// x̂ where the mean is large. A row of one number, however large, has x̂ = 0.
struct LayerNormed {
  Tensor y, mean, rstd;  ///< rstd = 1 / sqrt(variance + eps); mean and rstd have a number a row
};
LayerNormed layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, real eps,
                       ReadBy readers = ReadBy::anyone);
struct LayerNormGradients {
  Tensor dX, dgamma, dbeta;
};
LayerNormGradients layer_norm_backward(const Tensor& x, const Tensor& gamma, const LayerNormed& forward,
                                       const Tensor& dY);

// --- batch_norm ----------------------------------------------------------------------------------
/// Batch normalisation of x (B, C, ...): each channel, over all images and places, is brought to mean 0 and variance 1,
/// then scaled by gamma and shifted by beta, both (C). Mean and variance are right to their last digits, and the same
/// bits for any number of threads. Throws Error where a channel has one number only: it would have no variance. Of no
/// images all is 0. `Then` is what follows in the same pass over memory.
enum class Then { nothing, relu };
struct BatchNormed {
  Tensor y, mean, variance, rstd;  ///< of each channel; the variance is the biased one, rstd = 1 / sqrt(variance + eps)
};
BatchNormed batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, real eps, Then then = Then::nothing,
                       ReadBy readers = ReadBy::anyone);
/// Mean and variance alone, also of one number a channel, whose variance is 0.
struct ChannelMoments {
  Tensor mean, variance;  ///< (C)
};
ChannelMoments channel_moments(const Tensor& x);
/// The same with mean and rstd (C) given: (x - mean)·rstd·gamma + beta.
Tensor batch_norm_by(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& mean, const Tensor& rstd,
                     Then then = Then::nothing, ReadBy readers = ReadBy::anyone);
struct BatchNormGradients {
  Tensor dX, dgamma, dbeta;
};
/// `of_batch`: mean and rstd are those of x, and a part of the gradient goes through them.
BatchNormGradients batch_norm_backward(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                                       const Tensor& rstd, Tensor dY, bool of_batch, Then then = Then::nothing);

// --- attention -----------------------------------------------------------------------------------
/// softmax(Q·Kᵀ/√d)·V for each head: queries (B, Tq, D), keys and values (B, Tk, D), heads side by side in D.
/// valid_lens is empty, has a number for each image (B), or for each query (B·Tq): how many keys it may look at.
/// Dropout at p on the weights.
struct Attended {
  Tensor y;       ///< (B, Tq, D)
  Tensor kept;    ///< what backward needs of the weights; on the processor these, before dropout: (B, heads, Tq, Tk)
  Tensor kept_y;  ///< y, where backward needs it, that is on a GPU; else undefined
};
Attended attention(Operand queries, Operand keys, Operand values, int num_heads, const std::vector<int>& valid_lens,
                   real p, Draw draw, ReadBy readers = ReadBy::anyone);
inline Attended attention(const Tensor& queries, const Tensor& keys, const Tensor& values, int num_heads,
                          const std::vector<int>& valid_lens, real p, Draw draw) {
  return attention(Operand(queries), Operand(keys), Operand(values), num_heads, valid_lens, p, draw);
}
/// The valid_lens (B·Tq) by which query i sees the keys 0 ... i alone, and no more than `valid_lens` allow, which is as
/// above: the mask of a language model.
std::vector<int> causal_lens(Index batch, Index queries, const std::vector<int>& valid_lens = {});
struct AttentionGradients {
  Tensor dqueries, dkeys, dvalues;
};
AttentionGradients attention_backward(Operand queries, Operand keys, Operand values, int num_heads,
                                      const std::vector<int>& valid_lens, real p, Draw draw, const Attended& forward,
                                      Operand dY, ReadBy readers = ReadBy::anyone);
inline AttentionGradients attention_backward(const Tensor& queries, const Tensor& keys, const Tensor& values,
                                             int num_heads, const std::vector<int>& valid_lens, real p, Draw draw,
                                             const Attended& forward, const Tensor& dY) {
  return attention_backward(Operand(queries), Operand(keys), Operand(values), num_heads, valid_lens, p, draw, forward,
                            Operand(dY));
}
/// softmax(Q·Kᵀ/√d + bias)·V, where qkv (B, T, 3·D) has the queries, the keys and the values side by side: y (B, T, D).
/// bias (G, heads, T, T), where G divides B: what is added to the scores of image b is that of number b % G. On the
/// processor only.
Attended biased_attention(Operand qkv, int num_heads, const Tensor& bias, ReadBy readers = ReadBy::anyone);
struct BiasedAttentionGradients {
  Tensor dqkv;
  Tensor dbias;  ///< of each image, (B, heads, T, T), to be summed over those of one bias
};
BiasedAttentionGradients biased_attention_backward(Operand qkv, int num_heads, const Attended& forward, Operand dY,
                                                   const Tensor& bias, ReadBy readers = ReadBy::anyone);

// --- conv2d --------------------------------------------------------------------------------------
/// Options of a convolution, each for height and width: torch.nn.functional.conv2d.
struct Conv2dOptions {
  Size2 stride = 1, padding = 0, dilation = 1;
  Index groups = 1;
};
/// The cross-correlation of images x (B, C, H, W) with kernels W (out, C/groups, h, w), as torch.nn.functional.conv2d:
/// (B, out, H', W'), where H' = (H + 2·padding - dilation·(h-1) - 1)/stride + 1, rounded down. b (out) may be
/// undefined.
Tensor conv2d(Operand x, Operand W, const Tensor& b, const Conv2dOptions& options);
inline Tensor conv2d(const Tensor& x, const Tensor& W, const Tensor& b, const Conv2dOptions& options = {}) {
  return conv2d(Operand(x), Operand(W), b, options);
}
/// The gradients of x, of shape `x`, and of W. That of b is the sum of dY over all but its channels.
Tensor conv2d_backward_x(Operand W, Operand dY, const Shape& x, const Conv2dOptions& options);
Tensor conv2d_backward_w(Operand x, Operand dY, const Shape& W, const Conv2dOptions& options);
inline Tensor conv2d_backward_x(const Tensor& W, const Tensor& dY, const Shape& x, const Conv2dOptions& options = {}) {
  return conv2d_backward_x(Operand(W), Operand(dY), x, options);
}
inline Tensor conv2d_backward_w(const Tensor& x, const Tensor& dY, const Shape& W, const Conv2dOptions& options = {}) {
  return conv2d_backward_w(Operand(x), Operand(dY), W, options);
}

/// Throws Error, in the name of `op`, unless kernels of this geometry fit into its images.
void check_geometry(const char* op, const Conv2dGeometry& g);
/// x (B, C, H, W) -> (B, C·kernel_h·kernel_w, out_h·out_w), what each place of the kernel sees.
Tensor im2col(const Tensor& x, const Conv2dGeometry& g);
Tensor col2im(const Tensor& dcolumns, const Conv2dGeometry& g);
/// x (B, C, H, W) -> (B, patches, C·height·width), the patches from left to right and top to bottom.
Tensor patches(const Tensor& x, Size2 size);
Tensor patches_backward(const Tensor& dY, const Shape& shape, Size2 size);

// --- pool ------------------------------------------------------------------------------------------
/// The mean over each window of images (B, C, H, W), as torch.nn.functional.avg_pool2d: (B, C, H', W'), where
/// H' = (H - kernel)/stride + 1, rounded down. Windows may overlap.
Tensor avg_pool2d(const Tensor& x, Size2 kernel, Size2 stride);
Tensor avg_pool2d_backward(const Tensor& dY, const Shape& shape, Size2 kernel, Size2 stride);
/// The largest number in each window, as torch.nn.functional.max_pool2d: H' = (H + 2·padding - kernel)/stride + 1,
/// rounded down. The padding, half a kernel at most, counts as -inf. A NaN is larger than all numbers.
Tensor max_pool2d(const Tensor& x, Size2 kernel, Size2 stride, Size2 padding = 0);
/// dY goes to the number that was the largest, of several to the first in the order of rows.
Tensor max_pool2d_backward(const Tensor& x, const Tensor& dY, Size2 kernel, Size2 stride, Size2 padding = 0);
/// The mean over each of `size` cells that share images (B, C, H, W) as evenly as pixels allow, as
/// torch.nn.functional.adaptive_avg_pool2d: (B, C, size). Cell i of m has the rows floor(i·H/m) ... ceil((i+1)·H/m) -
/// 1, so cells may overlap, and there may be more of them than rows.
Tensor adaptive_avg_pool2d(const Tensor& x, Size2 size);
Tensor adaptive_avg_pool2d_backward(const Tensor& dY, const Shape& shape);

// --- shapes: numbers moved, none changed ---------------------------------------------------------
/// The end of any axis, for slice.
constexpr Index to_the_end = std::numeric_limits<Index>::max();
/// The same numbers in another shape of the same size. Of the sizes one may be -1, which the others tell.
inline Tensor reshape(const Tensor& x, const Shape& shape) { return x.reshape(shape); }
inline Tensor reshape(const Tensor& x, std::initializer_list<Index> sizes) { return x.reshape(sizes); }
/// Axis i of the result is axis axes[i] of x: (B, T, C) with axes 0, 2, 1 is (B, C, T). A copy. Here and below a
/// negative axis counts from the back.
Tensor permute(const Tensor& x, std::vector<int> axes);
/// x with two axes swapped. A copy.
Tensor transpose(const Tensor& x, int axis_a, int axis_b);
/// Parts that differ only along `axis`, one after the other.
Tensor concat(const std::vector<Tensor>& parts, int axis = 0);
inline Tensor concat(std::initializer_list<Tensor> parts, int axis = 0) {
  return concat(std::vector<Tensor>(parts), axis);
}
/// Parts of one shape, one after the other along a new axis, which becomes axis `axis` (negative: from the back).
Tensor stack(const std::vector<Tensor>& parts, int axis = 0);
inline Tensor stack(std::initializer_list<Tensor> parts, int axis = 0) {
  return stack(std::vector<Tensor>(parts), axis);
}
/// A new axis of size 1, which becomes axis `axis`; and those of size 1 among the axes, {} for all, gone. They share
/// the numbers.
Tensor unsqueeze(const Tensor& x, int axis);
Tensor squeeze(const Tensor& x, const Axes& axes = {});
/// The indices start ... stop-1 along one axis, as Python's x[start:stop]: negative ones count from the end, what is
/// beyond the ends is not there, and there may be none.
Tensor slice(const Tensor& x, int axis, Index start, Index stop = to_the_end);
/// The gradient of slice: zeros in `shape` but for dY at `start` ... along `axis`.
Tensor slice_backward(const Tensor& dY, const Shape& shape, int axis, Index start);
/// Parts of `size` along one axis, the last of what is left; of these sizes, which must fill the axis; or `chunks`
/// equal parts, where the last may have less, and there may be fewer: of a Tensor or a Var.
template <class T>
std::vector<T> split(const T& x, const std::vector<Index>& sizes, int axis = 0) {
  const Index n = x.shape()[axis];
  check(std::accumulate(sizes.begin(), sizes.end(), Index{0}) == n, "split", "the sizes do not add up to the ", n,
        " indices of axis ", axis, " of ", x.shape());
  std::vector<T> parts;
  Index start = 0;
  for (const Index size : sizes) parts.push_back(slice(x, axis, start, start + size)), start += size;
  return parts;
}
template <class T>
std::vector<T> split(const T& x, Index size, int axis = 0) {
  check(size >= 1, "split", "needs parts of 1 or more, got ", size);
  std::vector<Index> sizes;
  for (Index left = x.shape()[axis]; left > 0; left -= size) sizes.push_back(std::min(size, left));
  return split(x, sizes, axis);
}
template <class T>
std::vector<T> chunk(const T& x, Index chunks, int axis = 0) {
  check(chunks >= 1, "chunk", "needs one part or more, got ", chunks);
  return split(x, (x.shape()[axis] + chunks - 1) / chunks, axis);
}
/// `before` and `after` times `value` along one axis, of which a negative number cuts off as many; or the numbers next
/// to its ends, as a mirror there shows them, which must be as many: torch.nn.functional.pad, an axis at a time. Images
/// (B, C, H, W) get a frame by pad(pad(x, 2, 1, 1), 3, 1, 1).
Tensor pad(const Tensor& x, int axis, Index before, Index after, real value = 0);
Tensor pad_reflect(const Tensor& x, int axis, Index before, Index after);
Tensor pad_reflect_backward(const Tensor& dY, int axis, Index before, Index after);
/// y[i] = x[i, index[i]] for x (N, C): torch.gather along the last axis, one for each row.
Tensor gather(const Tensor& x, const Labels& index);
Tensor gather_backward(const Tensor& dY, const Labels& index, const Shape& shape);
/// The given indices along one axis, in their order; one may come again: torch.index_select.
Tensor index_select(const Tensor& x, int axis, const Labels& index);
/// Its gradient, in `shape`: what came several times adds up, in the order of the indices, so to the same bits for any
/// number of threads. An index of -1 gives nothing.
Tensor index_select_backward(const Tensor& dY, const Shape& shape, int axis, const Labels& index);

// --- update --------------------------------------------------------------------------------------
/// One step of an optimizer, by the formulas of tensor/formulas.h: dW moves w. What the optimizer keeps of the steps
/// before is overwritten, too: undefined before the first step, it begins as zeros in w's shape. Without momentum SGD
/// keeps nothing.
///
///     sgd(w, dW, velocity, {.lr = 0.1, .momentum = 0.9});
///     adamw(w, dW, m, v, {lr, beta1, beta2, eps, weight_decay, t});
void sgd(Tensor& w, const Tensor& dW, Tensor& velocity, const formula::Sgd& step);
void adamw(Tensor& w, const Tensor& dW, Tensor& m, Tensor& v, const formula::AdamW& step);

}  // namespace bobbin
