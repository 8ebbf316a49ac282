#pragma once
#include <array>
#include <initializer_list>
#include <iosfwd>

#include "tensor/real.h"

namespace bobbin {

/// The sizes of a tensor's axes, outermost first: (B, T, C). At most six axes, each of size 1 or
/// more; no axes at all, (), is a scalar. Lives on the stack, is copied freely.
class Shape {
 public:
  static constexpr int max_rank = 6;

  Shape() = default;
  /// Throws Error if there are too many axes, one is smaller than 1, or the product overflows.
  Shape(std::initializer_list<Index> sizes) : Shape(sizes.begin(), static_cast<int>(sizes.size())) {}
  Shape(const Index* sizes, int rank);

  int rank() const { return rank_; }
  /// The number of elements: the product of all sizes.
  Index size() const { return size_; }
  /// The size of one axis; negative axes count from the back, so shape[-1] is the innermost.
  Index operator[](int axis) const { return sizes_[static_cast<std::size_t>(wrap(axis))]; }
  const Index* begin() const { return sizes_.data(); }
  const Index* end() const { return sizes_.data() + rank_; }

  /// The axis as 0 ... rank-1. Throws Error if there is no such axis.
  int wrap(int axis) const;
  /// The same shape with one axis of another size.
  Shape with(int axis, Index size) const;
  /// The same shape without one axis.
  Shape without(int axis) const;
  /// The product of the sizes of the axes first ... last-1.
  Index product(int first, int last) const;

  bool operator==(const Shape& other) const;

 private:
  std::array<Index, max_rank> sizes_{};
  Index size_ = 1;
  int rank_ = 0;
};

/// Prints (2, 3, 4).
std::ostream& operator<<(std::ostream& out, const Shape& shape);

/// The shape of a op b by NumPy's rule: aligned at the last axis, an axis of size 1 is repeated.
/// Throws Error, naming `op` and both shapes, where two sizes differ and neither is 1.
Shape broadcast(const char* op, const Shape& a, const Shape& b);

}  // namespace bobbin
