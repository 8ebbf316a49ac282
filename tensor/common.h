#pragma once
#include "tensor/check.h"
#include "tensor/functions.h"
#include "tensor/profile.h"

/// Helpers of the families of tensor/functions.h, each of which is a file.
namespace bobbin {

using profile::Timed;

/// The number of elements of all of these; of what is rounded, the number of reals that take as much memory.
constexpr double rounded_size = static_cast<double>(sizeof(bfloat16)) / sizeof(real);
double elements(const auto& x) { return static_cast<double>(x.size()) * (x.only_rounded() ? rounded_size : 1); }
template <class First, class... Rest>
double elements(const First& first, const Rest&... rest) {
  return elements(first) + elements(rest...);
}

/// A matrix of an operand, or a batch of them, which lie as in Matrix; the first begins with number `at` of the
/// operand.
struct Factor {
  const Operand& x;
  Index ld;
  bool transposed = false;
  Index stride = 0, at = 0;
};
/// The product, by the kernel of its precision: both factors are rounded, or none. Only of rounded ones the result may
/// be rounded.
void multiply(const Product& p, const Factor& a, const Factor& b, const ResultMatrix& c);
void multiply(const Product& p, const Factor& a, const Factor& b, const RoundedResultMatrix& c);

/// A tensor for a result that may take the place of x, which was moved in: x, if nobody else holds its numbers.
inline Tensor in_place_of(const Tensor& x) { return x.unique() ? x : Tensor(x.shape()); }

/// A tensor for a result that `readers` read.
inline Tensor result(const Shape& shape, ReadBy readers) {
  return rounds(readers) ? Tensor::of_rounded(shape) : Tensor(shape);
}
/// The same, which may take the place of x, which was moved in.
inline Tensor result_in_place_of(const Tensor& x, ReadBy readers) {
  return rounds(readers) ? Tensor::of_rounded(x.shape()) : in_place_of(x);
}
/// write(pointer to y's numbers), whichever they are.
void write(Tensor& y, const auto& write) { y.only_rounded() ? write(y.rounded_data()) : write(y.data()); }

/// The number of rows, with the last axis as their columns.
inline Index rows_of(const Shape& shape) { return shape.product(0, shape.rank() - 1); }

/// The axis as 0 ... rank-1. Throws Error, in the name of `op`, if there is none.
inline int wrap(const char* op, const Shape& shape, int axis) { return shape.wrap(axis, op); }

/// How to walk y = f(a, b), where a and b are broadcast to y: axes of size 1 are left out, and neighbours along which
/// both step evenly are walked as one, so that two equal shapes become a single loop.
Broadcast plan(const Shape& y, const Shape& a, const Shape& b);
/// By how much an index along each axis moves in memory.
std::array<Index, Shape::max_rank> strides(const Shape& shape);

/// Throw Error, in the name of `op`, unless these fit.
inline void check_dropout(const char* op, real p) {
  check(p >= 0 && p <= 1, op, "the dropout probability must be in [0, 1], got ", p);
}
/// A label that is to be `ignored` may be anything.
void check_labels(const char* op, const Tensor& x, const Labels& labels, std::optional<int> ignored = {});

/// The numbers for a kernel, to which none is null.
inline const int* pointer(const std::vector<int>& lens) { return lens.empty() ? nullptr : lens.data(); }

}  // namespace bobbin
