#pragma once
#include <vector>

#include "tensor/bfloat16.h"
#include "tensor/draw.h"
#include "tensor/formulas.h"
#include "tensor/host_device.h"
#include "tensor/real.h"
#include "tensor/shape.h"

/// The kernels: every loop over numbers that the library runs, declared once, over bare pointers and
/// sizes. Arrays are contiguous and row-major unless a leading dimension says otherwise; results are
/// overwritten, never added to, unless it says so. A result may be the same array as an operand of
/// its size in the elementwise kernels and in none else. Forward and backward stand in pairs:
/// dY is the gradient that arrives for the result y, dX the one handed on to x.
///
/// Nothing is checked here: the functions of tensor/functions.h do that and are what one calls.
namespace bobbin {

/// An operand of a product, its rows `ld` numbers apart: a head of attention is a few columns of many. `transposed`
/// says that the product reads it by columns. Those of a batch lie `stride` apart; 0 is one matrix for all.
template <class T>
struct MatrixOf {
  const T* at;
  Index ld;
  bool transposed = false;
  Index stride = 0;
};
using Matrix = MatrixOf<real>;
using RoundedMatrix = MatrixOf<bfloat16>;
template <class T>
struct ResultMatrixOf {
  T* at;
  Index ld;
  Index stride = 0;
};
using ResultMatrix = ResultMatrixOf<real>;
using RoundedResultMatrix = ResultMatrixOf<bfloat16>;
/// `batch` products of m x k by k x n matrices, these sizes after transposition. `bias` is null, or n numbers that are
/// added to each row.
struct Product {
  Index m, n, k;
  real alpha = 1;
  Index batch = 1;
  const real* bias = nullptr;
};

/// How a binary elementwise kernel walks: nested loops of these sizes, innermost last, and by how far a step of each
/// moves in a and in b: 0 where the operand is repeated.
struct Broadcast {
  int rank = 0;
  Index size[Shape::max_rank], stride_a[Shape::max_rank], stride_b[Shape::max_rank];
};

/// The geometry of a convolution of images (C, H, W) with kernels of kernel_h x kernel_w.
struct Conv2dGeometry {
  Index channels, height, width;
  Index kernel_h, kernel_w;
  Index stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;

  /// Height and width of the result.
  BOBBIN_HD Index out_h() const { return (height + 2 * padding_h - dilation_h * (kernel_h - 1) - 1) / stride_h + 1; }
  BOBBIN_HD Index out_w() const { return (width + 2 * padding_w - dilation_w * (kernel_w - 1) - 1) / stride_w + 1; }
};

/// The convolution of a batch of images with `out` kernels, which see, each of `groups` groups of them, their own part
/// of the channels.
struct Conv2dSizes {
  Index batch, out, groups;
  Conv2dGeometry geometry;
};

/// The sizes of multi-head attention: queries (B, Tq, H·d), keys and values (B, Tk, H·d), of which head h owns the
/// columns h·d ... h·d + d-1; weights (B, H, Tq, Tk).
struct AttentionSizes {
  Index batch, heads, queries, keys, head_size;
};

/// The range of an array: the smallest and largest of the finite ones (infinity and -infinity if there are none), and
/// how many are NaN or infinite.
struct Range {
  real min, max;
  Index nan, inf;

  /// Whether all of them are finite.
  bool finite() const { return nan == 0 && inf == 0; }
};

/// Planes (height, width) that are cut into out_h x out_w cells.
struct AdaptivePool {
  Index planes, height, width, out_h, out_w;

  /// The numbers begin ... end-1 along one axis.
  struct Span {
    Index begin, end;
  };
  /// Which of an axis of n numbers cell i of m has: floor(i·n/m) ... ceil((i+1)·n/m) - 1. And, as
  /// floor(i·n/m) <= r where i < (r+1)·m/n, cell(r, m, n) are those of the m cells that have number r of n.
  BOBBIN_HD static Span cell(Index i, Index n, Index m) { return {i * n / m, ((i + 1) * n + m - 1) / m}; }
};

/// The sizes of batch normalisation: x (batch, channels, places), of which each channel is normalised for itself.
struct BatchNormSizes {
  Index batch, channels, places;
  bool relu = false;  ///< whether max(0, ·) follows
};

/// x (outer, n, inner), reflected at its ends along the axis in the middle: y (outer, before + n + after, inner).
struct Reflection {
  Index outer, n, inner, before, after;

  /// The number of places along the axis in y.
  BOBBIN_HD Index padded() const { return before + n + after; }
  /// Which index of x index i of y shows: the ends are mirrors, and are not repeated.
  BOBBIN_HD Index source(Index i) const {
    const Index j = i < before ? before - i : i - before;
    return j < n ? j : 2 * (n - 1) - j;
  }
};

/// What index_select takes of x (outer, n, inner): `count` indices along the axis in the middle.
struct Selection {
  Index outer, n, inner, count;
};

namespace cpu {

// --- elementwise ---------------------------------------------------------------------------------
/// y = f(x) and y = f(a, b), for each formula of formula::Unary and formula::Binary.
template <class F>
void unary(const F& f, const real* x, real* y, Index n);
template <class F>
void binary(const F& f, const Broadcast& walk, const real* a, const real* b, real* y);
/// y = mask ? a : b, where the mask has y's shape, and 0 means no.
void where(const Broadcast& walk, const real* mask, const real* a, const real* b, real* y);
/// z = x ⊙ y, where y is rounded; x and z are `real` or bfloat16. z may be x.
template <class X, class Z>
void multiply_rounded(const X* x, const bfloat16* y, Z* z, Index n);

// --- dropout -------------------------------------------------------------------------------------
/// y = f(x) / (1-p) where the draw's word i is p·2^32 or more, else 0; and, unless null, derivative = f'(x) / (1-p)
/// with the same mask. For each formula of formula::Dropped. x may be y or derivative. Dropout is its own backward.
/// In Precision::bfloat16 the derivative is rounded, and y may be; in the others D and Y are `real`.
template <class Y, class D, class F>
void dropout(const F& f, const real* x, Y* y, D* derivative, Index n, real p, Draw draw);

// --- reduce --------------------------------------------------------------------------------------
/// x (outer, n, inner) -> y (outer, inner), summed over n. The same result for any number of threads. X is `real` or
/// bfloat16.
template <class X>
void sum(const X* x, real* y, Index outer, Index n, Index inner);
/// y[i] is the square root of the sum of the squares of x[i][0] ... x[i][n[i]-1]; in double.
void norms(const std::vector<const real*>& x, const std::vector<Index>& n, double* y);
/// For each row of (rows, cols) the column of the first largest number; a NaN is larger than all.
void argmax(const real* x, int* y, Index rows, Index cols);
Range range(const real* x, Index n);

// --- products ------------------------------------------------------------------------------------
/// C = alpha · op(A)·op(B) + bias.
void gemm(const Product& p, const Matrix& a, const Matrix& b, const ResultMatrix& c);
/// The same of rounded operands, in Precision::bfloat16. The sums are `real`; the result may be rounded, and then a
/// backend may round the bias, too.
void gemm_rounded(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const ResultMatrix& c);
void gemm_rounded(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const RoundedResultMatrix& c);
/// y = x, each number rounded, and its backward pass.
void round_to_bfloat16(const real* x, bfloat16* y, Index n);
void widen(const bfloat16* x, real* y, Index n);

// --- softmax -------------------------------------------------------------------------------------
/// Softmax over each row of (rows, cols). `lens` is null or has a number for each row: how many of
/// its columns count; the others get the weight 0. A row of which none counts gets equal weights.
void softmax(const real* x, const int* lens, real* y, Index rows, Index cols);
void softmax_backward(const real* y, const int* lens, const real* dY, real* dX, Index rows, Index cols);
/// log softmax(x) over each row of (rows, cols), and log Σ exp(x), a number for each row.
void log_softmax(const real* x, real* y, Index rows, Index cols);
void logsumexp(const real* x, real* y, Index rows, Index cols);
/// loss[i] = -Σ_c q_c · log softmax(logits_i)_c, where q is row i of targets. What has q_c = 0 costs nothing, even if
/// its logit is -inf.
void cross_entropy(const real* logits, const real* targets, real* loss, Index rows, Index cols);
/// dlogits_i = dloss[i] · (Σq · softmax(logits_i) - q).
void cross_entropy_backward(const real* logits, const real* targets, const real* dloss, real* dlogits, Index rows,
                            Index cols);
/// The same for q_c = w_c · (smoothing/cols + (1 - smoothing where c is the row's label)). `weights` is null, which
/// makes each 1, or has cols numbers. A row whose label is below 0 has neither loss nor gradient.
void cross_entropy_of_labels(const real* logits, const int* labels, const real* weights, real smoothing, real* loss,
                             Index rows, Index cols);
void cross_entropy_of_labels_backward(const real* logits, const int* labels, const real* weights, real smoothing,
                                      const real* dloss, real* dlogits, Index rows, Index cols);

// --- layer_norm ----------------------------------------------------------------------------------
/// y = (x - mean) · rstd · gamma + beta over each row, rstd = 1 / sqrt(variance + eps).
/// mean and rstd (rows) are kept for backward. Y is `real` or bfloat16.
template <class Y>
void layer_norm(const real* x, const real* gamma, const real* beta, real eps, Y* y, real* mean, real* rstd, Index rows,
                Index cols);
void layer_norm_backward(const real* x, const real* gamma, const real* mean, const real* rstd, const real* dY, real* dX,
                         real* dgamma, real* dbeta, Index rows, Index cols);

// --- batch_norm ----------------------------------------------------------------------------------
/// y = (x - mean) · rstd · gamma + beta, where mean and variance are those of each channel, over all images and places,
/// and rstd = 1 / sqrt(variance + eps). The variance is the biased one, Σ (x - mean)² / n. Y is real or bfloat16. Of y,
/// gamma and beta null, only mean, variance and rstd are made.
template <class Y>
void batch_norm(const real* x, const real* gamma, const real* beta, real eps, Y* y, real* mean, real* variance,
                real* rstd, const BatchNormSizes& s);
/// The same with mean and rstd given.
template <class Y>
void batch_norm_by(const real* x, const real* gamma, const real* beta, const real* mean, const real* rstd, Y* y,
                   const BatchNormSizes& s);
/// `of_batch` says that mean and rstd are those of x, and so depend on it. dX may be dY.
void batch_norm_backward(const real* x, const real* gamma, const real* beta, const real* mean, const real* rstd,
                         const real* dY, bool of_batch, real* dX, real* dgamma, real* dbeta, const BatchNormSizes& s);

// --- attention -----------------------------------------------------------------------------------
/// For each image and head: weights = softmax(Q·Kᵀ/√d), y = dropout(weights)·V.  lens is null or
/// (B, Tq): how many keys each query sees. Dropout at p = 0 is none.
/// `kept` is what backward needs of the weights, in the shape that attention_keeps() says: here all of them,
/// (B, H, Tq, Tk); a backend that makes them again keeps less.
/// attention_keeps_y() says whether it needs y as well; else that may be null.
Shape attention_keeps(const AttentionSizes& s);
bool attention_keeps_y();
void attention(const real* q, const real* k, const real* v, const int* lens, real p, Draw draw, real* kept, real* y,
               const AttentionSizes& s);
void attention_backward(const real* q, const real* k, const real* v, const int* lens, real p, Draw draw,
                        const real* kept, const real* y, const real* dY, real* dQ, real* dK, real* dV,
                        const AttentionSizes& s);
/// The same of rounded operands, in Precision::bfloat16. The weights are rounded where they are multiplied, and so is
/// dS. Of y and of each gradient either place may be null.
void attention_rounded(const bfloat16* q, const bfloat16* k, const bfloat16* v, const int* lens, real p, Draw draw,
                       real* kept, Both y, const AttentionSizes& s);
void attention_rounded_backward(const bfloat16* q, const bfloat16* k, const bfloat16* v, const int* lens, real p,
                                Draw draw, const real* kept, const real* y, const bfloat16* dY, Both dQ, Both dK,
                                Both dV, const AttentionSizes& s);
/// Self-attention with numbers that are added to the scores, weights = softmax(Q·Kᵀ/√d + bias), without lens and
/// dropout; queries == keys. A row of qkv (B, T, 3·D), D = H·d, has a query, a key and a value side by side: a layer
/// makes them in one product. Image b has the (H, T, T) numbers b % count of `at`. Backward writes their gradient for
/// each image, dS (B, H, T, T). On the processor only.
struct ScoreBias {
  const real* at = nullptr;  ///< null: there is none
  Index count = 1;
  real* dS = nullptr;  ///< in backward
};
void biased_attention(const real* qkv, real* kept, real* y, const AttentionSizes& s, const ScoreBias& bias);
void biased_attention_backward(const real* qkv, const real* kept, const real* dY, real* dqkv, const AttentionSizes& s,
                               const ScoreBias& bias);
void biased_attention_rounded(const bfloat16* qkv, real* kept, Both y, const AttentionSizes& s, const ScoreBias& bias);
void biased_attention_rounded_backward(const bfloat16* qkv, const real* kept, const bfloat16* dY, Both dqkv,
                                       const AttentionSizes& s, const ScoreBias& bias);

// --- conv2d --------------------------------------------------------------------------------------
/// x (batch, C, H, W) and W (out, C/groups, kernel_h, kernel_w) -> y (batch, out, out_h, out_w). `bias` is null, or
/// `out` numbers.
void conv2d(const real* x, const real* W, const real* bias, real* y, const Conv2dSizes& s);
void conv2d_backward_x(const real* W, const real* dY, real* dX, const Conv2dSizes& s);
void conv2d_backward_w(const real* x, const real* dY, real* dW, const Conv2dSizes& s);
/// The same of rounded operands, in Precision::bfloat16.
void conv2d_rounded(const bfloat16* x, const bfloat16* W, const real* bias, real* y, const Conv2dSizes& s);
void conv2d_rounded_backward_x(const bfloat16* W, const bfloat16* dY, real* dX, const Conv2dSizes& s);
void conv2d_rounded_backward_w(const bfloat16* x, const bfloat16* dY, real* dW, const Conv2dSizes& s);
/// x (batch, C, H, W) -> columns (batch, C·kernel_h·kernel_w, out_h·out_w): column p holds what the
/// kernel sees at place p, with 0 for the padding, so that a convolution is a product.
void im2col(const real* x, real* columns, Index batch, const Conv2dGeometry& g);
/// Its gradient: dX is the sum of all the places in dcolumns that read it.
void col2im(const real* dcolumns, real* dX, Index batch, const Conv2dGeometry& g);
/// x (batch, C, H, W) -> y (batch, H/kernel_h · W/kernel_w, C·kernel_h·kernel_w): each patch a row, for kernel =
/// stride. A reordering: patches_backward is its inverse.
void patches(const real* x, real* y, Index batch, const Conv2dGeometry& g);
void patches_backward(const real* dY, real* dX, Index batch, const Conv2dGeometry& g);

// --- pool ----------------------------------------------------------------------------------------
/// x (batch, C, H, W) -> y (batch, C, out_h, out_w): the mean of what the kernel sees at each place; for a geometry
/// without padding and dilation.
void avg_pool2d(const real* x, real* y, Index batch, const Conv2dGeometry& g);
/// Its gradient: dX is the sum of its shares in all the places in dY that saw it.
void avg_pool2d_backward(const real* dY, real* dX, Index batch, const Conv2dGeometry& g);
/// The largest number that each place sees, the padding counting for none; for a geometry without dilation, padded by
/// half a kernel at most. NaN is larger than all.
void max_pool2d(const real* x, real* y, Index batch, const Conv2dGeometry& g);
/// Its gradient: dX is 0 but where x was the largest, of several the first in the order of rows; of NaN the last.
void max_pool2d_backward(const real* x, const real* dY, real* dX, Index batch, const Conv2dGeometry& g);
/// x (planes, height, width) -> y (planes, out_h, out_w): the mean of each cell.
void adaptive_avg_pool2d(const real* x, real* y, const AdaptivePool& p);
void adaptive_avg_pool2d_backward(const real* dY, real* dX, const AdaptivePool& p);

// --- shapes --------------------------------------------------------------------------------------
/// y_i = value.
void fill(real* y, real value, Index n);
/// y, of the given sizes, from x: stride[i] says how far a step along axis i of y moves in x.
void permute(const real* x, real* y, int rank, const Index* sizes, const Index* strides);
/// `rows` runs of `cols` numbers, from x to y, that lie ldx and ldy apart.
void copy_rows(const real* x, Index ldx, real* y, Index ldy, Index rows, Index cols);
/// y from x; and dX, the sum of what all the places in dY that show a number bring it.
void pad_reflect(const real* x, real* y, const Reflection& r);
void pad_reflect_backward(const real* dY, real* dX, const Reflection& r);
/// y[i] = x[i, index[i]] for x (rows, cols).
void gather(const real* x, const int* index, real* y, Index rows, Index cols);
/// Its gradient: dX is 0 but for dX[i, index[i]] = dY[i].
void gather_backward(const real* dY, const int* index, real* dX, Index rows, Index cols);
/// x (outer, n, inner) -> y (outer, count, inner): y[o, i] = x[o, index[i]].
void index_select(const real* x, const int* index, real* y, const Selection& s);
/// Its gradient: dX[o, j] is the sum of dY[o, i] over all i with index[i] = j, in their order. An index below 0 gives
/// nothing.
void index_select_backward(const real* dY, const int* index, real* dX, const Selection& s);

// --- update --------------------------------------------------------------------------------------
/// One step of an optimizer over a parameter w: w and what is kept of the steps before are overwritten. The formulas
/// stand in tensor/formulas.h. velocity is null without momentum. Unless `rounded` is null it becomes w in bfloat16.
void sgd(const formula::Sgd& step, real* w, bfloat16* rounded, const real* dW, real* velocity, Index n);
void adamw(const formula::AdamW& step, real* w, bfloat16* rounded, const real* dW, real* m, real* v, Index n);

}  // namespace cpu
}  // namespace bobbin
