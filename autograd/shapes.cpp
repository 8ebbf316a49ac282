// Operations that move numbers and change none: their VJPs move the gradients back.
#include <algorithm>

#include "autograd/ops.h"
#include "tensor/check.h"

namespace bobbin {

Var reshape(Var x, const Shape& shape) {
  const Shape before = x.shape();
  return record("reshape", std::move(x).value().reshape(shape),
                {{x, [before](Tensor dY) { return dY.reshape(before); }}});
}

Var flatten(Var x, int start, int end) {
  if (x.rank() == 0) return reshape(std::move(x), {1});
  const Shape shape = x.shape();
  const int first = shape.wrap(start, "flatten"), last = shape.wrap(end, "flatten");
  check(first <= last, "flatten", "axis ", start, " of the shape ", shape, " does not stand before axis ", end);
  std::vector<Index> sizes(shape.begin(), shape.begin() + first);
  sizes.push_back(shape.product(first, last + 1));
  sizes.insert(sizes.end(), shape.begin() + last + 1, shape.end());
  return reshape(std::move(x), Shape(sizes.data(), static_cast<int>(sizes.size())));
}

Var unsqueeze(Var x, int axis) {
  const Shape shape = unsqueeze(x.value(), axis).shape();
  return reshape(std::move(x), shape);
}

Var squeeze(Var x, const Axes& axes) {
  const Shape shape = squeeze(x.value(), axes).shape();
  return reshape(std::move(x), shape);
}

Var permute(const Var& x, const std::vector<int>& axes) {
  std::vector<int> inverse(axes.size());
  Tensor Y = permute(x.value(), axes);  // checks the axes
  for (std::size_t i = 0; i < axes.size(); ++i)
    inverse[static_cast<std::size_t>(x.shape().wrap(axes[i]))] = static_cast<int>(i);
  return record("permute", std::move(Y), {{x, [inverse](Tensor dY) { return permute(dY, inverse); }}});
}

Var transpose(const Var& x, int axis_a, int axis_b) {
  return record("transpose", transpose(x.value(), axis_a, axis_b),
                {{x, [=](Tensor dY) { return transpose(dY, axis_a, axis_b); }}});
}

Var broadcast_to(const Var& x, const Shape& shape) {
  check(broadcast("broadcast_to", x.shape(), shape) == shape, "broadcast_to", "the shape ", x.shape(),
        " cannot be repeated to ", shape);
  return record("broadcast_to", Tensor::zeros(shape) + x.value(),
                {{x, [before = x.shape()](Tensor dY) { return sum_to(dY, before); }}});
}

Var concat(const std::vector<Var>& parts, int axis) {
  std::vector<Tensor> values;
  for (const Var& part : parts) values.push_back(part.value());
  Tensor Y = concat(values, axis);  // checks the axis
  std::vector<Index> sizes;
  for (const Var& part : parts) sizes.push_back(part.shape()[axis]);
  return record("concat", std::move(Y), parts, [sizes, axis](Tensor dY) {
    std::vector<Tensor> gradients;
    Index start = 0;
    for (const Index size : sizes) {
      gradients.push_back(slice(dY, axis, start, start + size));
      start += size;
    }
    return gradients;
  });
}

Var stack(const std::vector<Var>& parts, int axis) {
  std::vector<Var> unsqueezed;
  for (const Var& part : parts) {
    check(part.shape() == parts[0].shape(), "stack", "the parts ", parts[0].shape(), " and ", part.shape(),
          " must have one shape");
    unsqueezed.push_back(unsqueeze(part, axis));
  }
  return concat(unsqueezed, axis);
}

Var slice(const Var& x, int axis, Index start, Index stop) {
  return record("slice", slice(x.value(), axis, start, stop),
                {{x, [=, shape = x.shape()](Tensor dY) { return slice_backward(dY, shape, axis, start); }}});
}

Var select(const Var& x, int axis, Index index) {
  const Index n = x.shape()[x.shape().wrap(axis, "select")];
  check(index >= -n && index < n, "select", "there is no index ", index, " along axis ", axis, " of ", x.shape());
  if (index < 0) index += n;
  return reshape(slice(x, axis, index, index + 1), x.shape().without(axis));
}

Var pad(const Var& x, int axis, Index before, Index after, real value) {
  return record("pad", pad(x.value(), axis, before, after, value),
                {{x, [=](Tensor dY) { return pad(dY, axis, -before, -after); }}});
}

Var pad_reflect(const Var& x, int axis, Index before, Index after) {
  return record("pad_reflect", pad_reflect(x.value(), axis, before, after),
                {{x, [=](Tensor dY) { return pad_reflect_backward(dY, axis, before, after); }}});
}

Var gather(const Var& x, const Labels& index) {
  return record("gather", gather(x.value(), index),
                {{x, [index, shape = x.shape()](Tensor dY) { return gather_backward(dY, index, shape); }}});
}

Var index_select(const Var& x, int axis, const Labels& index) {
  return record("index_select", index_select(x.value(), axis, index),
                {{x, [=, shape = x.shape()](Tensor dY) { return index_select_backward(dY, shape, axis, index); }}});
}

Var embedding(const Var& table, const Labels& index, std::optional<int> padding_idx) {
  Tensor Y = index_select(table.value(), 0, index);
  Labels learned = index;
  if (padding_idx) std::replace(learned.begin(), learned.end(), *padding_idx, -1);
  return record(
      "embedding", std::move(Y),
      {{table, [learned, shape = table.shape()](Tensor dY) { return index_select_backward(dY, shape, 0, learned); }}});
}

}  // namespace bobbin
