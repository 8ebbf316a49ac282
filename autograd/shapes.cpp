// Operations that move numbers and change none: their VJPs move the gradients back.
#include "autograd/ops.h"
#include "tensor/check.h"

namespace bobbin {

Var reshape(Var x, const Shape& shape) {
  const Shape before = x.shape();
  return record("reshape", std::move(x).value().reshape(shape),
                {{x, [before](Tensor dY) { return dY.reshape(before); }}});
}

Var flatten(Var x, int start) {
  const Shape& shape = x.shape();
  check(start >= -shape.rank() && start < shape.rank(), "flatten", "there is no axis ", start, " in the shape ", shape);
  start = shape.wrap(start);
  std::vector<Index> sizes(shape.begin(), shape.begin() + start);
  sizes.push_back(shape.product(start, shape.rank()));
  return reshape(std::move(x), Shape(sizes.data(), start + 1));
}

Var permute(const Var& x, const std::vector<int>& axes) {
  std::vector<int> inverse(axes.size());
  Tensor Y = permute(x.value(), axes);  // checks the axes
  for (std::size_t i = 0; i < axes.size(); ++i) inverse[static_cast<std::size_t>(axes[i])] = static_cast<int>(i);
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

Var slice(const Var& x, int axis, Index start, Index stop) {
  return record("slice", slice(x.value(), axis, start, stop),
                {{x, [=, shape = x.shape()](Tensor dY) { return slice_backward(dY, shape, axis, start); }}});
}

Var select(const Var& x, int axis, Index index) {
  check(axis >= -x.rank() && axis < x.rank() && index >= 0 && index < x.shape()[axis], "select", "there is no index ",
        index, " along axis ", axis, " of ", x.shape());
  return reshape(slice(x, axis, index, index + 1), x.shape().without(axis));
}

Var pad(const Var& x, int axis, Index before, Index after) {
  Tensor Y = pad(x.value(), axis, before, after);  // checks the axis
  const Index stop = before + x.shape()[axis];
  return record("pad", std::move(Y), {{x, [=](Tensor dY) { return slice(dY, axis, before, stop); }}});
}

Var pad_reflect(const Var& x, int axis, Index before, Index after) {
  return record("pad_reflect", pad_reflect(x.value(), axis, before, after),
                {{x, [=](Tensor dY) { return pad_reflect_backward(dY, axis, before, after); }}});
}

Var gather(const Var& x, const Labels& index) {
  return record("gather", gather(x.value(), index),
                {{x, [index, shape = x.shape()](Tensor dY) { return gather_backward(dY, index, shape); }}});
}

}  // namespace bobbin
