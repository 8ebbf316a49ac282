#include "tensor/shape.h"

#include <algorithm>
#include <ostream>

#include "tensor/check.h"

namespace bobbin {

Shape::Shape(const Index* sizes, int rank) : rank_(rank) {
  check(rank >= 0 && rank <= max_rank, "Shape", "a tensor has at most ", max_rank, " axes, got ", rank);
  for (int axis = 0; axis < rank; ++axis) {
    const Index n = sizes[axis];
    check(n >= 1, "Shape", "axis ", axis, " must have a size of 1 or more, got ", n);
    check(!__builtin_mul_overflow(size_, n, &size_), "Shape", "the sizes multiply to more than 2^63 elements, at axis ",
          axis, " of size ", n);
    sizes_[static_cast<std::size_t>(axis)] = n;
  }
}

int Shape::wrap(int axis) const {
  const int wrapped = axis < 0 ? axis + rank_ : axis;
  check(wrapped >= 0 && wrapped < rank_, "Shape", "there is no axis ", axis, " in the shape ", *this);
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

Index Shape::product(int first, int last) const {
  Index result = 1;
  for (int axis = first; axis < last; ++axis) result *= (*this)[axis];
  return result;
}

bool Shape::operator==(const Shape& other) const { return std::equal(begin(), end(), other.begin(), other.end()); }

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '(';
  for (int axis = 0; axis < shape.rank(); ++axis) out << (axis ? ", " : "") << shape[axis];
  return out << ')';
}

Shape broadcast(const char* op, const Shape& a, const Shape& b) {
  std::array<Index, Shape::max_rank> sizes{};
  const int rank = std::max(a.rank(), b.rank());
  for (int axis = 0; axis < rank; ++axis) {
    const int in_a = axis - rank + a.rank(), in_b = axis - rank + b.rank();  // aligned at the last axis
    const Index size_a = in_a < 0 ? 1 : a[in_a], size_b = in_b < 0 ? 1 : b[in_b];
    check(size_a == size_b || size_a == 1 || size_b == 1, op, "the shapes ", a, " and ", b,
          " cannot be broadcast: ", size_a, " against ", size_b);
    sizes[static_cast<std::size_t>(axis)] = std::max(size_a, size_b);
  }
  return Shape(sizes.data(), rank);
}

}  // namespace bobbin
