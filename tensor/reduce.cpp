// Sums and the like.
#include "tensor/backend.h"
#include "tensor/common.h"

namespace bobbin {

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

}  // namespace bobbin
