#include "tensor/functions.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "tensor/backend.h"
#include "tensor/check.h"
#include "tensor/profile.h"

namespace bobbin {
namespace {

using profile::Timed;

// How many numbers there are in all of these.
template <class... Tensors>
double elements(const Tensors&... tensors) {
  return (static_cast<double>(tensors.size()) + ...);
}

// By how much an index along each axis moves in memory.
std::array<Index, Shape::max_rank> strides(const Shape& shape) {
  std::array<Index, Shape::max_rank> result{};
  Index stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    result[static_cast<std::size_t>(axis)] = stride;
    stride *= shape[axis];
  }
  return result;
}

// How to walk y = f(a, b): axes of size 1 are left out, and neighbours along which both operands
// step evenly are walked as one, so that two equal shapes become a single loop.
Broadcast plan(const Shape& y, const Shape& a, const Shape& b) {
  const auto strides_a = strides(a), strides_b = strides(b);
  Index size[Shape::max_rank], step_a[Shape::max_rank], step_b[Shape::max_rank];  // innermost first
  int rank = 0;
  for (int back = 1; back <= y.rank(); ++back) {
    const Index n = y[-back];
    if (n == 1) continue;
    const auto step = [back](const Shape& s, const auto& strides) {
      return back > s.rank() || s[-back] == 1 ? Index{0} : strides[static_cast<std::size_t>(s.rank() - back)];
    };
    const Index sa = step(a, strides_a), sb = step(b, strides_b);
    if (rank > 0 && sa == step_a[rank - 1] * size[rank - 1] && sb == step_b[rank - 1] * size[rank - 1]) {
      size[rank - 1] *= n;
    } else {
      size[rank] = n;
      step_a[rank] = sa;
      step_b[rank] = sb;
      ++rank;
    }
  }
  if (rank == 0) {  // a single element
    size[0] = step_a[0] = step_b[0] = 1;
    rank = 1;
  }
  Broadcast walk;
  walk.rank = rank;
  std::reverse_copy(size, size + rank, walk.size);
  std::reverse_copy(step_a, step_a + rank, walk.stride_a);
  std::reverse_copy(step_b, step_b + rank, walk.stride_b);
  return walk;
}

using BinaryKernel = void (*)(const Broadcast&, const real*, const real*, real*);
Tensor binary(const char* op, BinaryKernel kernel, Tensor a, Tensor b) {
  const Shape shape = broadcast(op, a.shape(), b.shape());
  const auto reusable = [&](const Tensor& t) { return t.unique() && t.shape() == shape; };
  Tensor y = reusable(a) ? a : reusable(b) ? b : Tensor(shape);
  const Timed timed(op, elements(a, b, y));
  kernel(plan(shape, a.shape(), b.shape()), std::as_const(a).data(), std::as_const(b).data(), y.data());
  return y;
}

using UnaryKernel = void (*)(const real*, real*, Index);
Tensor unary(const char* op, UnaryKernel kernel, Tensor x) {
  Tensor y = x.unique() ? x : Tensor(x.shape());
  const Timed timed(op, elements(x, y));
  kernel(std::as_const(x).data(), y.data(), x.size());
  return y;
}

Index rows_of(const Shape& shape) { return shape.product(0, shape.rank() - 1); }

// The axis as 0 ... rank-1.
int wrap(const char* op, const Shape& shape, int axis) {
  check(axis >= -shape.rank() && axis < shape.rank(), op, "there is no axis ", axis, " in the shape ", shape);
  return shape.wrap(axis);
}

}  // namespace

Tensor operator+(Tensor a, Tensor b) { return binary("add", backend::add, std::move(a), std::move(b)); }
Tensor operator-(Tensor a, Tensor b) { return binary("sub", backend::sub, std::move(a), std::move(b)); }
Tensor operator*(Tensor a, Tensor b) { return binary("mul", backend::mul, std::move(a), std::move(b)); }
Tensor operator/(Tensor a, Tensor b) { return binary("div", backend::div, std::move(a), std::move(b)); }
Tensor operator+(Tensor a, real b) { return std::move(a) + Tensor::scalar(b); }
Tensor operator-(Tensor a, real b) { return std::move(a) - Tensor::scalar(b); }
Tensor operator*(Tensor a, real b) { return std::move(a) * Tensor::scalar(b); }
Tensor operator/(Tensor a, real b) { return std::move(a) / Tensor::scalar(b); }
Tensor operator+(real a, Tensor b) { return Tensor::scalar(a) + std::move(b); }
Tensor operator-(real a, Tensor b) { return Tensor::scalar(a) - std::move(b); }
Tensor operator*(real a, Tensor b) { return Tensor::scalar(a) * std::move(b); }
Tensor operator/(real a, Tensor b) { return Tensor::scalar(a) / std::move(b); }
Tensor operator-(Tensor x) { return std::move(x) * real{-1}; }

Tensor exp(Tensor x) { return unary("exp", backend::exp, std::move(x)); }
Tensor log(Tensor x) { return unary("log", backend::log, std::move(x)); }
Tensor sqrt(Tensor x) { return unary("sqrt", backend::sqrt, std::move(x)); }
Tensor tanh(Tensor x) { return unary("tanh", backend::tanh, std::move(x)); }
Tensor relu(Tensor x) { return unary("relu", backend::relu, std::move(x)); }

Tensor relu_backward(const Tensor& x, Tensor dY) {
  check(x.shape() == dY.shape(), "relu_backward", "x ", x.shape(), " and dY ", dY.shape(), " must have one shape");
  Tensor dX = dY.unique() ? dY : Tensor(x.shape());
  const Timed timed("relu_backward", elements(x, dY, dX));
  backend::relu_backward(x.data(), std::as_const(dY).data(), dX.data(), x.size());
  return dX;
}

namespace {

void check_dropout(const char* op, real p) {
  check(p >= 0 && p < 1, op, "the dropout probability must be in [0, 1), got ", p);
}

using ActivationKernel = void (*)(const real*, real*, real*, Index, real, Draw);
Tensor activate(const char* op, ActivationKernel kernel, Tensor x, real p, Draw draw) {
  check_dropout(op, p);
  Tensor y = x.unique() ? x : Tensor(x.shape());
  const Timed timed(op, elements(x, y));
  kernel(std::as_const(x).data(), y.data(), nullptr, x.size(), p, draw);
  return y;
}
Activated activate_with_derivative(const char* op, ActivationKernel kernel, Tensor x, real p, Draw draw) {
  check_dropout(op, p);
  Activated result{Tensor(x.shape()), x.unique() ? x : Tensor(x.shape())};
  const Timed timed(op, elements(x, result.y, result.derivative));
  kernel(std::as_const(x).data(), result.y.data(), result.derivative.data(), x.size(), p, draw);
  return result;
}

}  // namespace

Tensor dropout(Tensor x, real p, Draw draw) {
  check_dropout("dropout", p);
  Tensor y = x.unique() ? x : Tensor(x.shape());
  const Timed timed("dropout", elements(x, y));
  backend::dropout(std::as_const(x).data(), y.data(), x.size(), p, draw);
  return y;
}

Tensor gelu(Tensor x, real p, Draw draw) { return activate("gelu", backend::gelu, std::move(x), p, draw); }
Tensor gelu_tanh(Tensor x, real p, Draw draw) {
  return activate("gelu_tanh", backend::gelu_tanh, std::move(x), p, draw);
}
Activated gelu_with_derivative(Tensor x, real p, Draw draw) {
  return activate_with_derivative("gelu", backend::gelu, std::move(x), p, draw);
}
Activated gelu_tanh_with_derivative(Tensor x, real p, Draw draw) {
  return activate_with_derivative("gelu_tanh", backend::gelu_tanh, std::move(x), p, draw);
}

Tensor sum(const Tensor& x) { return sum_to(x, {}); }
Tensor mean(const Tensor& x) { return sum(x) / static_cast<real>(x.size()); }

Tensor sum(const Tensor& x, int axis) {
  const Shape& shape = x.shape();
  axis = wrap("sum", shape, axis);
  Tensor y(shape.without(axis));
  const Timed timed("sum", elements(x, y));
  backend::sum(x.data(), y.data(), shape.product(0, axis), shape[axis], shape.product(axis + 1, shape.rank()));
  return y;
}
Tensor mean(const Tensor& x, int axis) {
  axis = wrap("mean", x.shape(), axis);
  return sum(x, axis) / static_cast<real>(x.shape()[axis]);
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  check(broadcast("sum_to", x.shape(), shape) == x.shape(), "sum_to", "the shape ", shape,
        " cannot have been broadcast to ", x.shape());
  // Neighbouring axes that are summed over go in one pass.
  Tensor y = x;
  const int extra = x.rank() - shape.rank();
  const auto summed = [&](int axis) { return axis < extra || (shape[axis - extra] == 1 && x.shape()[axis] > 1); };
  for (int end = x.rank(); end > 0; --end) {
    if (!summed(end - 1)) continue;
    int begin = end - 1;
    while (begin > 0 && summed(begin - 1)) --begin;
    const Index outer = x.shape().product(0, begin), n = x.shape().product(begin, end);
    const Index inner = y.size() / (outer * n);  // the axes behind may have shrunk already
    y = sum(y.reshape({outer, n, inner}), 1);
    end = begin + 1;
  }
  return y.reshape(shape);
}

double norm(const Tensor& x) {
  const Timed timed("norm", elements(x));
  return backend::norm(x.data(), x.size());
}

Labels argmax(const Tensor& x) {
  check(x.rank() == 2, "argmax", "needs (rows, columns), got ", x.shape());
  Labels result(static_cast<std::size_t>(x.shape()[0]));
  const Timed timed("argmax", elements(x));
  backend::argmax(x.data(), result.data(), x.shape()[0], x.shape()[1]);
  return result;
}

Range range(const Tensor& x) {
  const Timed timed("range", elements(x));
  return backend::range(x.data(), x.size());
}

namespace {

// OpenBLAS counts rows and columns in 32 bits.
void check_countable(const char* op, std::initializer_list<Index> sizes) {
  for (const Index n : sizes)
    check(n <= std::numeric_limits<int>::max(), op, "a matrix of ", n, " rows or columns is more than BLAS can count");
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, Transposed transposed) {
  const auto [trans_a, trans_b] = transposed;
  const Shape &sa = a.shape(), &sb = b.shape();
  check(a.rank() >= 2 && b.rank() >= 2, "matmul", "both operands need two axes or more, got ", sa, " x ", sb);
  const Index m = trans_a ? sa[-1] : sa[-2], k = trans_a ? sa[-2] : sa[-1];
  const Index k_b = trans_b ? sb[-1] : sb[-2], n = trans_b ? sb[-2] : sb[-1];
  check(k == k_b, "matmul", "inner sizes differ, ", k, " and ", k_b, ": ", sa, trans_a ? "ᵀ" : "", " x ", sb,
        trans_b ? "ᵀ" : "");
  check(a.rank() == 2 || b.rank() == 2 || (a.rank() == b.rank() && std::equal(sa.begin(), sa.end() - 2, sb.begin())),
        "matmul", "the leading axes differ: ", sa, " x ", sb);
  check_countable("matmul", {a.size() / k, m, n, k});
  Tensor y((a.rank() == 2 ? sb : sa).with(-2, m).with(-1, n));
  const Timed timed("matmul", elements(a, b, y), 2 * elements(y) * static_cast<double>(k));
  if (b.rank() == 2 && !trans_a) {  // one matrix for all rows: a single product
    backend::gemm({a.size() / k, n, k}, {a.data(), k}, {b.data(), sb[-1], trans_b}, {y.data(), n});
    return y;
  }
  backend::gemm({.m = m, .n = n, .k = k, .batch = y.size() / (m * n)},
                {a.data(), sa[-1], trans_a, a.rank() == 2 ? 0 : m * k},
                {b.data(), sb[-1], trans_b, b.rank() == 2 ? 0 : k * n}, {y.data(), n, m * n});
  return y;
}

Tensor linear(const Tensor& x, const Tensor& W, const Tensor& b) {
  check(x.rank() >= 1 && W.rank() == 2 && x.shape()[-1] == W.shape()[1], "linear", "the input ", x.shape(),
        " does not fit the weight ", W.shape(), ": its last axis must be ", W.rank() == 2 ? W.shape()[1] : 0);
  check(!b.defined() || b.shape() == Shape{W.shape()[0]}, "linear", "the bias ", b.shape(), " does not fit the weight ",
        W.shape());
  const Index in = W.shape()[1], out = W.shape()[0];
  const Index rows = x.size() / in;
  check_countable("linear", {rows, in, out});
  Tensor y(x.shape().with(-1, out));
  const Timed timed("linear", elements(x, W, y), 2 * elements(y) * static_cast<double>(in));
  // A product that overwrites begins with zeros and adds to them: beginning with the bias costs nothing more.
  if (b.defined()) backend::copy_rows(b.data(), 0, y.data(), out, rows, out);
  backend::gemm({.m = rows, .n = out, .k = in, .beta = b.defined() ? real{1} : real{0}}, {x.data(), in},
                {W.data(), in, true}, {y.data(), out});
  return y;
}

namespace {

void check_lens(const char* op, const Tensor& x, const std::vector<int>& valid_lens) {
  check(x.rank() >= 1, op, "needs one axis or more, got ", x.shape());
  check(valid_lens.empty() || static_cast<Index>(valid_lens.size()) == rows_of(x.shape()), op,
        "needs a valid length for each of the ", rows_of(x.shape()), " rows of ", x.shape(), ", got ",
        valid_lens.size());
}
const int* pointer(const std::vector<int>& lens) { return lens.empty() ? nullptr : lens.data(); }

}  // namespace

Tensor softmax(Tensor x, const std::vector<int>& valid_lens) {
  check_lens("softmax", x, valid_lens);
  Tensor y = x.unique() ? x : Tensor(x.shape());
  const Timed timed("softmax", elements(x, y));
  backend::softmax(std::as_const(x).data(), pointer(valid_lens), y.data(), rows_of(x.shape()), x.shape()[-1]);
  return y;
}

Tensor softmax_backward(const Tensor& y, const std::vector<int>& valid_lens, Tensor dY) {
  check_lens("softmax_backward", y, valid_lens);
  check(y.shape() == dY.shape(), "softmax_backward", "y ", y.shape(), " and dY ", dY.shape(), " must have one shape");
  Tensor dX = dY.unique() ? dY : Tensor(y.shape());
  const Timed timed("softmax_backward", elements(y, dY, dX));
  backend::softmax_backward(y.data(), pointer(valid_lens), std::as_const(dY).data(), dX.data(), rows_of(y.shape()),
                            y.shape()[-1]);
  return dX;
}

LayerNormed layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, real eps) {
  check(x.rank() >= 1 && gamma.shape() == Shape{x.shape()[-1]} && beta.shape() == gamma.shape(), "layer_norm",
        "the weight ", gamma.shape(), " and the bias ", beta.shape(), " must have the size of the last axis of ",
        x.shape());
  const Index rows = rows_of(x.shape());
  LayerNormed result{Tensor(x.shape()), Tensor({rows}), Tensor({rows})};
  const Timed timed("layer_norm", elements(x, result.y));
  backend::layer_norm(x.data(), gamma.data(), beta.data(), eps, result.y.data(), result.mean.data(), result.rstd.data(),
                      rows, x.shape()[-1]);
  return result;
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

namespace {

void check_labels(const char* op, const Tensor& logits, const Labels& labels) {
  check(logits.rank() == 2 && static_cast<Index>(labels.size()) == logits.shape()[0], op,
        "needs (rows, classes) and a label for each row, got ", logits.shape(), " and ", labels.size(), " labels");
  for (std::size_t i = 0; i < labels.size(); ++i)
    check(labels[i] >= 0 && labels[i] < logits.shape()[1], op, "the label ", labels[i], " of row ", i,
          " is not one of the ", logits.shape()[1], " classes 0 ... ", logits.shape()[1] - 1);
}

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Labels& labels, real smoothing) {
  check_labels("cross_entropy", logits, labels);
  check(smoothing >= 0 && smoothing <= 1, "cross_entropy", "label smoothing must be in [0, 1], got ", smoothing);
  Tensor losses({logits.shape()[0]});
  {
    const Timed timed("cross_entropy", elements(logits));
    backend::cross_entropy(logits.data(), labels.data(), smoothing, losses.data(), logits.shape()[0],
                           logits.shape()[1]);
  }
  return mean(losses);
}

Tensor cross_entropy_backward(const Tensor& logits, const Labels& labels, real smoothing, const Tensor& dloss) {
  check_labels("cross_entropy_backward", logits, labels);
  check(dloss.size() == 1, "cross_entropy_backward", "the loss is one number, its gradient has the shape ",
        dloss.shape());
  Tensor dlogits(logits.shape());
  const Timed timed("cross_entropy_backward", elements(logits, dlogits));
  backend::cross_entropy_backward(logits.data(), labels.data(), smoothing, dloss.data(), dlogits.data(),
                                  logits.shape()[0], logits.shape()[1]);
  return dlogits;
}

Tensor permute(const Tensor& x, const std::vector<int>& axes) {
  std::vector<int> sorted = axes;
  std::sort(sorted.begin(), sorted.end());
  std::vector<int> all(static_cast<std::size_t>(x.rank()));
  std::iota(all.begin(), all.end(), 0);
  check(sorted == all, "permute", "needs each axis of ", x.shape(), " once, as 0 ... ", x.rank() - 1);
  if (x.rank() == 0) return x.clone();
  const auto strides_x = strides(x.shape());
  Index sizes[Shape::max_rank], steps[Shape::max_rank];
  for (std::size_t i = 0; i < axes.size(); ++i) {
    sizes[i] = x.shape()[axes[i]];
    steps[i] = strides_x[static_cast<std::size_t>(axes[i])];
  }
  Tensor y(Shape(sizes, x.rank()));
  const Timed timed("permute", elements(x, y));
  backend::permute(x.data(), y.data(), x.rank(), sizes, steps);
  return y;
}

Tensor transpose(const Tensor& x, int axis_a, int axis_b) {
  std::vector<int> axes(static_cast<std::size_t>(x.rank()));
  std::iota(axes.begin(), axes.end(), 0);
  std::swap(axes[static_cast<std::size_t>(wrap("transpose", x.shape(), axis_a))],
            axes[static_cast<std::size_t>(wrap("transpose", x.shape(), axis_b))]);
  return permute(x, axes);
}

Tensor concat(const std::vector<Tensor>& parts, int axis) {
  check(!parts.empty(), "concat", "needs one part or more, got none");
  const Shape& first = parts[0].shape();
  axis = wrap("concat", first, axis);
  Index total = 0;
  for (const Tensor& part : parts) {
    check(part.rank() == first.rank() && part.shape().with(axis, 1) == first.with(axis, 1), "concat", "the parts ",
          first, " and ", part.shape(), " differ in more than axis ", axis);
    total += part.shape()[axis];
  }
  Tensor y(first.with(axis, total));
  const Index outer = first.product(0, axis), inner = first.product(axis + 1, first.rank());
  Index done = 0;
  const Timed timed("concat", 2 * elements(y));
  for (const Tensor& part : parts) {
    const Index run = part.shape()[axis] * inner;
    backend::copy_rows(part.data(), run, y.data() + done, total * inner, outer, run);
    done += run;
  }
  return y;
}

Tensor slice(const Tensor& x, int axis, Index start, Index stop) {
  const Shape& shape = x.shape();
  axis = wrap("slice", shape, axis);
  check(start >= 0 && start < stop && stop <= shape[axis], "slice", "there are no indices ", start, " ... ", stop - 1,
        " along axis ", axis, " of ", shape);
  Tensor y(shape.with(axis, stop - start));
  const Index inner = shape.product(axis + 1, shape.rank()), run = (stop - start) * inner;
  const Timed timed("slice", 2 * elements(y));
  backend::copy_rows(x.data() + start * inner, shape[axis] * inner, y.data(), run, shape.product(0, axis), run);
  return y;
}

Tensor slice_backward(const Tensor& dY, const Shape& shape, int axis, Index start) {
  axis = wrap("slice_backward", shape, axis);
  check(dY.rank() == shape.rank() && dY.shape().with(axis, 1) == shape.with(axis, 1) && start >= 0 &&
            start <= shape[axis] - dY.shape()[axis],
        "slice_backward", "dY ", dY.shape(), " is no slice of ", shape, " from index ", start, " of axis ", axis);
  const Timed timed("slice_backward", elements(dY, dY) + static_cast<double>(shape.size()));
  Tensor dX = Tensor::zeros(shape);
  const Index inner = shape.product(axis + 1, shape.rank()), run = dY.shape()[axis] * inner;
  backend::copy_rows(dY.data(), run, dX.data() + start * inner, shape[axis] * inner, shape.product(0, axis), run);
  return dX;
}

Tensor gather(const Tensor& x, const Labels& index) {
  check_labels("gather", x, index);
  Tensor y({x.shape()[0]});
  const Timed timed("gather", 2 * elements(y));
  backend::gather(x.data(), index.data(), y.data(), x.shape()[0], x.shape()[1]);
  return y;
}

Tensor gather_backward(const Tensor& dY, const Labels& index, const Shape& shape) {
  check(dY.shape() == Shape{static_cast<Index>(index.size())}, "gather_backward", "dY ", dY.shape(),
        " does not have a number for each of the ", index.size(), " indices");
  Tensor dX(shape);
  check_labels("gather_backward", dX, index);
  const Timed timed("gather_backward", elements(dY, dX));
  backend::gather_backward(dY.data(), index.data(), dX.data(), shape[0], shape[1]);
  return dX;
}

void check_geometry(const char* op, const Conv2dGeometry& g) {
  constexpr Index most = 1 << 30;  // beyond any image, and no product of two overflows
  const auto within = [](Index low, std::initializer_list<Index> numbers) {
    return std::all_of(numbers.begin(), numbers.end(), [low](Index n) { return n >= low && n <= most; });
  };
  check(within(1, {g.kernel_h, g.kernel_w, g.stride_h, g.stride_w, g.dilation_h, g.dilation_w}) &&
            within(0, {g.padding_h, g.padding_w}),
        op, "kernel, stride and dilation must be 1 or more, padding 0 or more, and none beyond ", most);
  check(g.dilation_h * (g.kernel_h - 1) < g.height + 2 * g.padding_h &&
            g.dilation_w * (g.kernel_w - 1) < g.width + 2 * g.padding_w,
        op, "a kernel of ", g.kernel_h, " x ", g.kernel_w, " with dilation ", g.dilation_h, ", ", g.dilation_w,
        " does not fit into images of ", g.height, " x ", g.width, " with padding ", g.padding_h, ", ", g.padding_w);
}

namespace {

Shape columns_shape(const char* op, Index batch, const Conv2dGeometry& g) {
  check_geometry(op, g);
  return {batch, g.channels * g.kernel_h * g.kernel_w, g.out_h() * g.out_w()};
}

}  // namespace

Tensor im2col(const Tensor& x, const Conv2dGeometry& g) {
  check(x.rank() == 4 && x.shape() == Shape{x.shape()[0], g.channels, g.height, g.width}, "im2col",
        "needs images (B, C, H, W) = (B, ", g.channels, ", ", g.height, ", ", g.width, "), got ", x.shape());
  const Index batch = x.shape()[0];
  Tensor columns(columns_shape("im2col", batch, g));
  const Timed timed("im2col", elements(x, columns));
  backend::im2col(x.data(), columns.data(), batch, g);
  return columns;
}

Tensor col2im(const Tensor& dcolumns, const Conv2dGeometry& g) {
  check(dcolumns.rank() == 3, "col2im", "needs columns (B, C·h·w, places), got ", dcolumns.shape());
  const Index batch = dcolumns.shape()[0];
  const Shape columns = columns_shape("col2im", batch, g);
  check(dcolumns.shape() == columns, "col2im", "the columns must be ", columns, ", got ", dcolumns.shape());
  Tensor dX({batch, g.channels, g.height, g.width});
  const Timed timed("col2im", elements(dcolumns, dX));
  backend::col2im(dcolumns.data(), dX.data(), batch, g);
  return dX;
}

namespace {

// The geometry of patches side by side, in images of `shape` (B, C, H, W).
Conv2dGeometry side_by_side(const char* op, const Shape& shape, Size2 size) {
  check(shape.rank() == 4, op, "needs images (B, C, H, W), got ", shape);
  const auto [h, w] = size;
  check(h >= 1 && w >= 1 && shape[2] % h == 0 && shape[3] % w == 0, op, "images of ", shape[2], " x ", shape[3],
        " cannot be cut into patches of ", h, " x ", w, ": the patch size must divide the image size");
  return {shape[1], shape[2], shape[3], h, w, h, w, 0, 0, 1, 1};
}

}  // namespace

Tensor patches(const Tensor& x, Size2 size) {
  const Conv2dGeometry g = side_by_side("patches", x.shape(), size);
  Tensor y({x.shape()[0], g.out_h() * g.out_w(), g.channels * size.height * size.width});
  const Timed timed("patches", elements(x, y));
  backend::patches(x.data(), y.data(), x.shape()[0], g);
  return y;
}

Tensor patches_backward(const Tensor& dY, const Shape& shape, Size2 size) {
  const Conv2dGeometry g = side_by_side("patches_backward", shape, size);
  check(dY.shape() == Shape{shape[0], g.out_h() * g.out_w(), g.channels * size.height * size.width}, "patches_backward",
        "dY ", dY.shape(), " are not the patches of ", size.height, " x ", size.width, " of images ", shape);
  Tensor dX(shape);
  const Timed timed("patches_backward", elements(dY, dX));
  backend::patches_backward(dY.data(), dX.data(), shape[0], g);
  return dX;
}

namespace {

AttentionSizes attention_sizes(const char* op, const Shape& q, const Shape& k, const Shape& v, Index num_heads,
                               const std::vector<int>& valid_lens, real p) {
  check(q.rank() == 3 && k.rank() == 3 && k == v && q[0] == k[0] && q[2] == k[2], op,
        "needs queries (B, Tq, D) and keys and values (B, Tk, D), got ", q, ", ", k, " and ", v);
  check(num_heads >= 1 && q[2] % num_heads == 0, op, num_heads, " heads do not divide the ", q[2],
        " columns of the queries ", q);
  check_dropout(op, p);
  const Index lens = static_cast<Index>(valid_lens.size());
  check(lens == 0 || lens == q[0] || lens == q[0] * q[1], op, "valid_lens must have a number for each of the ", q[0],
        " images or of the ", q[0] * q[1], " queries, got ", lens);
  return {q[0], num_heads, q[1], k[1], q[2] / num_heads};
}

// One number for each query; a number for each image holds for all its queries.
std::vector<int> for_each_query(const std::vector<int>& valid_lens, const AttentionSizes& s) {
  if (static_cast<Index>(valid_lens.size()) == s.batch * s.queries) return valid_lens;
  std::vector<int> lens;
  for (const int len : valid_lens) lens.insert(lens.end(), static_cast<std::size_t>(s.queries), len);
  return lens;
}

// Of the two products of the forward pass; the way back has four.
double flops_of_attention(const AttentionSizes& s) {
  return 4 * static_cast<double>(s.batch * s.heads * s.queries * s.keys * s.head_size);
}

}  // namespace

Attended attention(const Tensor& queries, const Tensor& keys, const Tensor& values, int num_heads,
                   const std::vector<int>& valid_lens, real p, Draw draw) {
  const AttentionSizes s =
      attention_sizes("attention", queries.shape(), keys.shape(), values.shape(), num_heads, valid_lens, p);
  Attended result{Tensor(queries.shape()), Tensor(backend::attention_keeps(s))};
  const Timed timed("attention", elements(queries, keys, values, result.kept, result.y), flops_of_attention(s));
  backend::attention(queries.data(), keys.data(), values.data(), pointer(for_each_query(valid_lens, s)), p, draw,
                     result.kept.data(), result.y.data(), s);
  return result;
}

AttentionGradients attention_backward(const Tensor& queries, const Tensor& keys, const Tensor& values, int num_heads,
                                      const std::vector<int>& valid_lens, real p, Draw draw, const Attended& forward,
                                      const Tensor& dY) {
  const AttentionSizes s =
      attention_sizes("attention_backward", queries.shape(), keys.shape(), values.shape(), num_heads, valid_lens, p);
  const Shape kept = backend::attention_keeps(s);
  check(forward.kept.shape() == kept && forward.y.shape() == queries.shape() && dY.shape() == queries.shape(),
        "attention_backward", "what was kept ", forward.kept.shape(), ", y ", forward.y.shape(), " or dY ", dY.shape(),
        " does not fit the queries ", queries.shape(), " and keys ", keys.shape(), ": expected ", kept, " and ",
        queries.shape());
  AttentionGradients result{Tensor(queries.shape()), Tensor(keys.shape()), Tensor(keys.shape())};
  const Timed timed("attention_backward", 2 * elements(queries, keys, values) + elements(forward.kept, dY),
                    2 * flops_of_attention(s));
  backend::attention_backward(queries.data(), keys.data(), values.data(), pointer(for_each_query(valid_lens, s)), p,
                              draw, forward.kept.data(), forward.y.data(), dY.data(), result.dqueries.data(),
                              result.dkeys.data(), result.dvalues.data(), s);
  return result;
}

namespace {

// What an optimizer keeps of w: zeros before the first step.
void begin_as_zeros(const char* op, Tensor& kept, const Tensor& w) {
  if (!kept.defined()) kept = Tensor::zeros(w.shape());
  check(kept.shape() == w.shape(), op, "what was kept of the steps before, ", kept.shape(), ", does not fit w ",
        w.shape());
}
void check_gradient(const char* op, const Tensor& w, const Tensor& dW) {
  check(w.shape() == dW.shape(), op, "w ", w.shape(), " and dW ", dW.shape(), " must have one shape");
}

}  // namespace

void sgd(Tensor& w, const Tensor& dW, Tensor& velocity, const formula::Sgd& step) {
  check_gradient("sgd", w, dW);
  const bool keeps = step.momentum != 0;
  if (keeps) begin_as_zeros("sgd", velocity, w);
  const Timed timed("sgd", (keeps ? 5 : 3) * elements(w));
  backend::sgd(step, w.data(), dW.data(), keeps ? velocity.data() : nullptr, w.size());
}

void adamw(Tensor& w, const Tensor& dW, Tensor& m, Tensor& v, const formula::AdamW& step) {
  check_gradient("adamw", w, dW);
  begin_as_zeros("adamw", m, w);
  begin_as_zeros("adamw", v, w);
  const Timed timed("adamw", 7 * elements(w));
  backend::adamw(step, w.data(), dW.data(), m.data(), v.data(), w.size());
}

}  // namespace bobbin
