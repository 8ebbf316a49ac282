// Numbers moved, none changed.
#include <algorithm>
#include <numeric>

#include "tensor/backend.h"
#include "tensor/common.h"

namespace bobbin {

std::array<Index, Shape::max_rank> strides(const Shape& shape) {
  std::array<Index, Shape::max_rank> result{};
  Index stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    result[static_cast<std::size_t>(axis)] = stride;
    stride *= shape[axis];
  }
  return result;
}

void check_labels(const char* op, const Tensor& x, const Labels& labels, std::optional<int> ignored) {
  check(x.rank() == 2 && static_cast<Index>(labels.size()) == x.shape()[0], op,
        "needs (rows, classes) and a label for each row, got ", x.shape(), " and ", labels.size(), " labels");
  for (std::size_t i = 0; i < labels.size(); ++i)
    check(labels[i] == ignored || (labels[i] >= 0 && labels[i] < x.shape()[1]), op, "the label ", labels[i], " of row ",
          i, " is not one of the ", x.shape()[1], " classes 0 ... ", x.shape()[1] - 1);
}

Tensor permute(const Tensor& x, std::vector<int> axes) {
  for (int& axis : axes) axis = wrap("permute", x.shape(), axis);
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
  if (y.empty()) return y;
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
    if (part.empty()) continue;
    backend::copy_rows(part.data(), run, y.data() + done, total * inner, outer, run);
    done += run;
  }
  return y;
}

Tensor stack(const std::vector<Tensor>& parts, int axis) {
  std::vector<Tensor> unsqueezed;
  for (const Tensor& part : parts) {
    check(part.shape() == parts[0].shape(), "stack", "the parts ", parts[0].shape(), " and ", part.shape(),
          " must have one shape");
    unsqueezed.push_back(unsqueeze(part, axis));
  }
  return concat(unsqueezed, axis);
}

Tensor unsqueeze(const Tensor& x, int axis) {
  check(axis >= -x.rank() - 1 && axis <= x.rank(), "unsqueeze", "there is no place ", axis,
        " for an axis in the shape ", x.shape());
  return x.reshape(x.shape().unsqueezed(axis < 0 ? axis + x.rank() + 1 : axis));
}

Tensor squeeze(const Tensor& x, const Axes& axes) {
  const auto among = axes.of("squeeze", x.shape());
  std::vector<Index> sizes;
  for (int axis = 0; axis < x.rank(); ++axis)
    if (!among[static_cast<std::size_t>(axis)] || x.shape()[axis] != 1) sizes.push_back(x.shape()[axis]);
  return x.reshape(Shape(sizes.data(), static_cast<int>(sizes.size())));
}

namespace {

// An index between the n elements of an axis, as Python's slices take it: a negative one counts from the end, and there
// are none beyond the ends.
Index boundary(Index i, Index n) { return std::clamp(i < 0 ? i + n : i, Index{0}, n); }

// `value` in `shape`, but for x from `start` on along `axis`.
Tensor place(const Tensor& x, const Shape& shape, int axis, Index start, real value) {
  Tensor y = Tensor::full(shape, value);
  if (x.empty()) return y;
  const Index inner = shape.product(axis + 1, shape.rank()), run = x.shape()[axis] * inner;
  backend::copy_rows(x.data(), run, y.data() + start * inner, shape[axis] * inner, shape.product(0, axis), run);
  return y;
}

}  // namespace

Tensor slice(const Tensor& x, int axis, Index start, Index stop) {
  const Shape& shape = x.shape();
  axis = wrap("slice", shape, axis);
  start = boundary(start, shape[axis]);
  stop = std::max(start, boundary(stop, shape[axis]));
  Tensor y(shape.with(axis, stop - start));
  if (y.empty()) return y;
  const Index inner = shape.product(axis + 1, shape.rank()), run = (stop - start) * inner;
  const Timed timed("slice", 2 * elements(y));
  backend::copy_rows(x.data() + start * inner, shape[axis] * inner, y.data(), run, shape.product(0, axis), run);
  return y;
}

Tensor slice_backward(const Tensor& dY, const Shape& shape, int axis, Index start) {
  axis = wrap("slice_backward", shape, axis);
  start = boundary(start, shape[axis]);
  check(dY.rank() == shape.rank() && dY.shape().with(axis, 1) == shape.with(axis, 1) &&
            start <= shape[axis] - dY.shape()[axis],
        "slice_backward", "dY ", dY.shape(), " is no slice of ", shape, " from index ", start, " of axis ", axis);
  const Timed timed("slice_backward", elements(dY, dY) + static_cast<double>(shape.size()));
  return place(dY, shape, axis, start, 0);
}

namespace {

void check_padding(const char* op, Index before, Index after, Index most) {
  check(before >= 0 && before <= most && after >= 0 && after <= most, op, "cannot pad by ", before, " and ", after,
        ", expected 0 to ", most);
}

// Along an axis of n numbers.
Reflection reflection(const char* op, const Shape& x, int axis, Index before, Index after) {
  check_padding(op, before, after, x[axis] - 1);
  return {x.product(0, axis), x[axis], x.product(axis + 1, x.rank()), before, after};
}

}  // namespace

Tensor pad(const Tensor& x, int axis, Index before, Index after, real value) {
  axis = wrap("pad", x.shape(), axis);
  const Index n = x.shape()[axis];
  constexpr Index most = Index{1} << 40;
  check(std::abs(before) <= most && std::abs(after) <= most && before + n + after >= 0, "pad", "cannot pad axis ", axis,
        " of ", x.shape(), " by ", before, " and ", after);
  const Index start = std::max(-before, Index{0}), stop = std::max(n - std::max(-after, Index{0}), Index{0});
  const Tensor kept = start == 0 && stop == n ? x : slice(x, axis, start, stop);
  const Timed timed("pad", 2 * elements(kept) + static_cast<double>(before + n + after));
  return place(kept, x.shape().with(axis, before + n + after), axis, std::max(before, Index{0}), value);
}

Tensor pad_reflect(const Tensor& x, int axis, Index before, Index after) {
  axis = wrap("pad_reflect", x.shape(), axis);
  const Reflection r = reflection("pad_reflect", x.shape(), axis, before, after);
  Tensor y(x.shape().with(axis, r.padded()));
  if (y.empty()) return y;
  const Timed timed("pad_reflect", elements(x, y));
  backend::pad_reflect(x.data(), y.data(), r);
  return y;
}

Tensor pad_reflect_backward(const Tensor& dY, int axis, Index before, Index after) {
  axis = wrap("pad_reflect_backward", dY.shape(), axis);
  const Index n = dY.shape()[axis] - before - after;
  check(n >= 1, "pad_reflect_backward", "dY ", dY.shape(), " is not padded by ", before, " and ", after, " along axis ",
        axis);
  Tensor dX(dY.shape().with(axis, n));
  const Reflection r = reflection("pad_reflect_backward", dX.shape(), axis, before, after);
  if (dX.empty()) return dX;
  const Timed timed("pad_reflect_backward", elements(dY, dX));
  backend::pad_reflect_backward(dY.data(), dX.data(), r);
  return dX;
}

Tensor gather(const Tensor& x, const Labels& index) {
  check_labels("gather", x, index);
  Tensor y({x.shape()[0]});
  if (y.empty()) return y;
  const Timed timed("gather", 2 * elements(y));
  backend::gather(x.data(), index.data(), y.data(), x.shape()[0], x.shape()[1]);
  return y;
}

Tensor gather_backward(const Tensor& dY, const Labels& index, const Shape& shape) {
  check(dY.shape() == Shape{static_cast<Index>(index.size())}, "gather_backward", "dY ", dY.shape(),
        " does not have a number for each of the ", index.size(), " indices");
  Tensor dX(shape);
  check_labels("gather_backward", dX, index);
  if (dX.empty()) return dX;
  const Timed timed("gather_backward", elements(dY, dX));
  backend::gather_backward(dY.data(), index.data(), dX.data(), shape[0], shape[1]);
  return dX;
}

namespace {

Selection selection(const Shape& x, int axis, const Labels& index) {
  return {x.product(0, axis), x[axis], x.product(axis + 1, x.rank()), static_cast<Index>(index.size())};
}

// Indices of `lowest` ... n-1.
void check_index(const char* op, const Labels& index, int lowest, Index n) {
  for (std::size_t i = 0; i < index.size(); ++i)
    check(index[i] >= lowest && index[i] < n, op, "the index ", index[i], ", number ", i, ", is not one of 0 ... ",
          n - 1);
}

}  // namespace

Tensor index_select(const Tensor& x, int axis, const Labels& index) {
  axis = wrap("index_select", x.shape(), axis);
  check_index("index_select", index, 0, x.shape()[axis]);
  Tensor y(x.shape().with(axis, static_cast<Index>(index.size())));
  if (y.empty()) return y;
  const Timed timed("index_select", 2 * elements(y));
  backend::index_select(x.data(), index.data(), y.data(), selection(x.shape(), axis, index));
  return y;
}

Tensor index_select_backward(const Tensor& dY, const Shape& shape, int axis, const Labels& index) {
  axis = wrap("index_select_backward", shape, axis);
  check(dY.shape() == shape.with(axis, static_cast<Index>(index.size())), "index_select_backward", "dY ", dY.shape(),
        " are not ", index.size(), " indices along axis ", axis, " of ", shape);
  check_index("index_select_backward", index, -1, shape[axis]);
  if (dY.empty()) return Tensor::zeros(shape);
  Tensor dX(shape);
  const Timed timed("index_select_backward", elements(dY, dX));
  backend::index_select_backward(dY.data(), index.data(), dX.data(), selection(shape, axis, index));
  return dX;
}

}  // namespace bobbin
