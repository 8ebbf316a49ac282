#include "tensor/shape.h"

#include <algorithm>
#include <ostream>

#include "tensor/check.h"

namespace bobbin {

Shape::Shape(const Index* sizes, int rank) : rank_(rank) {
  check(rank >= 0 && rank <= max_rank, "Shape", "a tensor has at most ", max_rank, " axes, got ", rank);
  for (int axis = 0; axis < rank; ++axis) {
    const Index n = sizes[axis];
    check(n >= 0, "Shape", "axis ", axis, " must have a size of 0 or more, got ", n);
    check(!__builtin_mul_overflow(size_, n, &size_), "Shape", "the sizes multiply to more than 2^63 elements, at axis ",
          axis, " of size ", n);
    sizes_[static_cast<std::size_t>(axis)] = n;
  }
}

int Shape::wrap(int axis, const char* op) const {
  const int wrapped = axis < 0 ? axis + rank_ : axis;
  check(wrapped >= 0 && wrapped < rank_, op, "there is no axis ", axis, " in the shape ", *this);
  return wrapped;
}

Shape Shape::with(int axis, Index size) const {
  std::array<Index, max_rank> sizes = sizes_;
  sizes[static_cast<std::size_t>(wrap(axis))] = size;
  return Shape(sizes.data(), rank_);
}

Shape Shape::without(int axis) const {
  std::array<Index, max_rank> sizes{};
  const int skipped = wrap(axis);
  std::copy(begin(), begin() + skipped, sizes.begin());
  std::copy(begin() + skipped + 1, end(), sizes.begin() + skipped);
  return Shape(sizes.data(), rank_ - 1);
}

Shape Shape::unsqueezed(int axis) const {
  std::array<Index, max_rank + 1> sizes{};
  check(axis >= 0 && axis <= rank_, "Shape", "cannot put an axis in front of axis ", axis, " of the shape ", *this);
  std::copy(begin(), begin() + axis, sizes.begin());
  sizes[static_cast<std::size_t>(axis)] = 1;
  std::copy(begin() + axis, end(), sizes.begin() + axis + 1);
  return Shape(sizes.data(), rank_ + 1);
}

Index Shape::product(int first, int last) const {
  Index result = 1;
  for (int axis = first; axis < last; ++axis) result *= (*this)[axis];
  return result;
}

Shape Shape::reshaped(std::initializer_list<Index> sizes) const {
  std::vector<Index> all(sizes);
  const auto unknown = std::find(all.begin(), all.end(), -1);
  if (unknown != all.end()) {
    check(std::count(unknown, all.end(), -1) == 1, "reshape", "only one size can be -1, to be told from the others");
    *unknown = 1;  // the product of the others
    const Index known = Shape(all.data(), static_cast<int>(all.size())).size();
    check(known > 0 && size_ % known == 0, "reshape", "no size for -1 makes ", size_, " elements, those of ", *this,
          ", with the other sizes, whose product is ", known);
    *unknown = size_ / known;
  }
  return Shape(all.data(), static_cast<int>(all.size()));
}

bool Shape::operator==(const Shape& other) const { return std::equal(begin(), end(), other.begin(), other.end()); }

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '(';
  for (int axis = 0; axis < shape.rank(); ++axis) out << (axis ? ", " : "") << shape[axis];
  return out << ')';
}

std::array<bool, Shape::max_rank> Axes::of(const char* op, const Shape& shape) const {
  std::array<bool, Shape::max_rank> among{};
  const int rank = std::max(shape.rank(), 1);
  for (const int axis : axes_) {
    check(axis >= -rank && axis < rank, op, "there is no axis ", axis, " in the shape ", shape);
    bool& seen = among[static_cast<std::size_t>(axis < 0 ? axis + rank : axis)];
    check(!seen, op, "axis ", axis, " of the shape ", shape, " is named twice");
    seen = true;
  }
  if (axes_.empty()) among.fill(true);
  return among;
}

Shape reduced(const char* op, const Shape& shape, const Axes& axes, bool keepdim) {
  const auto among = axes.of(op, shape);
  std::vector<Index> sizes;
  for (int axis = 0; axis < shape.rank(); ++axis)
    if (const bool gone = among[static_cast<std::size_t>(axis)]; keepdim || !gone)
      sizes.push_back(gone ? 1 : shape[axis]);
  return Shape(sizes.data(), static_cast<int>(sizes.size()));
}

Rows::Rows(const char* op, const Shape& shape, const Axes& axes) {
  const auto among = axes.of(op, shape);
  for (const bool column : {false, true})
    for (int axis = 0; axis < shape.rank(); ++axis)
      if (among[static_cast<std::size_t>(axis)] == column) {
        order.push_back(axis);
        (column ? columns : rows) *= shape[axis];
      }
}

bool Rows::in_order() const { return std::is_sorted(order.begin(), order.end()); }

Shape broadcast(const char* op, const Shape& a, const Shape& b, const char* what) {
  std::array<Index, Shape::max_rank> sizes{};
  const int rank = std::max(a.rank(), b.rank());
  for (int axis = 0; axis < rank; ++axis) {
    const int in_a = axis - rank + a.rank(), in_b = axis - rank + b.rank();  // aligned at the last axis
    const Index size_a = in_a < 0 ? 1 : a[in_a], size_b = in_b < 0 ? 1 : b[in_b];
    check(size_a == size_b || size_a == 1 || size_b == 1, op, "the ", what, " ", a, " and ", b,
          " cannot be broadcast: ", size_a, " against ", size_b);
    sizes[static_cast<std::size_t>(axis)] = size_a == 1 ? size_b : size_a;
  }
  return Shape(sizes.data(), rank);
}

}  // namespace bobbin
