// Any axes of a tensor as the last one, for functions that work along that: T is Tensor, or Var.
#pragma once
#include <utility>

#include "tensor/functions.h"

namespace bobbin {

/// f(x) along another axis than the last: made the last one, and put back. f keeps the shape. A scalar is its only row,
/// as in PyTorch. Throws Error, in the name of `op`, if there is no such axis.
template <class T>
T along(const char* op, T x, int axis, const auto& f) {
  if (x.rank() == 0) return reshape(along(op, reshape(std::move(x), {1}), axis, f), {});
  const Shape shape = x.shape();
  axis = shape.wrap(axis, op);
  if (axis == x.rank() - 1) return f(std::move(x));
  const Shape blocks{shape.product(0, axis), shape[axis], shape.product(axis + 1, shape.rank())};
  return reshape(transpose(f(transpose(reshape(std::move(x), blocks), 1, 2)), 1, 2), shape);
}

/// x with the numbers along these axes as columns, and the other axes, in their order, as rows: (rows, columns).
template <class T>
T as_rows(const char* op, const T& x, const Axes& axes) {
  const Rows rows(op, x.shape(), axes);
  return reshape(rows.in_order() ? x : permute(x, rows.order), {rows.rows, rows.columns});
}

}  // namespace bobbin
