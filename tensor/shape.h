#pragma once
#include <array>
#include <concepts>
#include <initializer_list>
#include <iosfwd>
#include <vector>

#include "tensor/real.h"

namespace bobbin {

/// The sizes of a tensor's axes, outermost first: (B, T, C). At most six axes; no axes at all, (), is a scalar. A size
/// may be 0, and then there are no elements: the images of an empty batch. Lives on the stack, is copied freely.
class Shape {
 public:
  static constexpr int max_rank = 6;

  Shape() = default;
  /// Throws Error if there are too many axes, a size is negative, or the product overflows.
  Shape(std::initializer_list<Index> sizes) : Shape(sizes.begin(), static_cast<int>(sizes.size())) {}
  Shape(const Index* sizes, int rank);

  /// The number of axes.
  int rank() const { return rank_; }
  /// The number of elements: the product of all sizes.
  Index size() const { return size_; }
  /// The size of one axis; negative axes count from the back, so shape[-1] is the innermost.
  Index operator[](int axis) const { return sizes_[static_cast<std::size_t>(wrap(axis))]; }
  const Index* begin() const { return sizes_.data(); }
  const Index* end() const { return sizes_.data() + rank_; }

  /// The axis as 0 ... rank-1. Throws Error, in the name of `op`, if there is no such axis.
  int wrap(int axis, const char* op = "Shape") const;
  /// The same shape with one axis of another size.
  Shape with(int axis, Index size) const;
  /// The same shape without one axis; and with one more, of size 1, in front of this one, 0 ... rank.
  Shape without(int axis) const;
  Shape unsqueezed(int axis) const;
  /// The product of the sizes of the axes first ... last-1.
  Index product(int first, int last) const;
  /// The shape of as many elements with these sizes, of which one may be -1: what is left for it. Throws Error, naming
  /// reshape, if there is none.
  Shape reshaped(std::initializer_list<Index> sizes) const;

  bool operator==(const Shape& other) const;

 private:
  std::array<Index, max_rank> sizes_{};
  Index size_ = 1;
  int rank_ = 0;
};

/// Prints (2, 3, 4).
std::ostream& operator<<(std::ostream& out, const Shape& shape);

/// Some axes of a tensor, each once, in any order; negative ones count from the back: 1, or {0, -1}. None, {}, stands
/// for all, as PyTorch's dim=None and dim=().
class Axes {
 public:
  Axes() = default;
  Axes(int axis) : axes_{axis} {}
  template <std::same_as<bool> B>
  Axes(B) = delete;  // of sum(x, true), where sum(x, {}, true) is meant
  Axes(std::initializer_list<int> axes) : axes_(axes) {}

  /// Of each axis of `shape` whether it is one of these. Throws Error, in the name of `op`, for one that is not there,
  /// or twice; but a scalar may be taken for its only row, as in PyTorch.
  std::array<bool, Shape::max_rank> of(const char* op, const Shape& shape) const;

 private:
  std::vector<int> axes_;
};

/// The shape of a reduction of `shape` over these axes: without them, or with `keepdim` of size 1 along them.
Shape reduced(const char* op, const Shape& shape, const Axes& axes, bool keepdim);

/// How a reduction over these axes becomes one over columns: `order`, for permute(), has the other axes first.
struct Rows {
  std::vector<int> order;
  Index rows = 1, columns = 1;

  Rows(const char* op, const Shape& shape, const Axes& axes);
  /// Whether they are the last axes already.
  bool in_order() const;
};

/// The shape of a op b by NumPy's rule: aligned at the last axis, an axis of size 1 is repeated.
/// Throws Error, naming `op` and both shapes, or of what they are the shapes, where two sizes differ and neither is 1.
Shape broadcast(const char* op, const Shape& a, const Shape& b, const char* what = "shapes");

}  // namespace bobbin
