// The tensor, a handle: shared numbers, an offset, a shape. The labels of a batch.
#pragma once
#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "tensor/bfloat16.h"
#include "tensor/check.h"
#include "tensor/real.h"
#include "tensor/shape.h"

namespace bobbin {

/// Class numbers, one for each image of a batch, or indices, of words for example.
using Labels = std::vector<int>;

/// Numbers in a shape: contiguous, the last axis innermost. Knows nothing of gradients.
///
/// A Tensor is a handle: a copy, a reshape() and an index share the same numbers, as in PyTorch.
/// Functions that compute return new tensors and leave their arguments alone, with one exception
/// that nobody can see: an argument that was *moved* in and has no other owner is overwritten, which
/// saves a block of memory: `y = std::move(y) + b` works in place.
class Tensor {
 public:
  /// No tensor at all; defined() is false.
  Tensor() = default;
  /// A tensor whose numbers are not set yet: whoever asks for it writes every one of them.
  explicit Tensor(const Shape& shape);
  /// Throws Error unless there is one value for each element.
  Tensor(const Shape& shape, const std::vector<real>& values);
  /// A tensor of rounded numbers alone, for what only products read. rounded_data() sets them.
  static Tensor of_rounded(const Shape& shape);

  /// A tensor of one number throughout.
  static Tensor zeros(const Shape& shape) { return full(shape, 0); }
  static Tensor ones(const Shape& shape) { return full(shape, 1); }
  static Tensor full(const Shape& shape, real value);
  /// A tensor of rank 0.
  static Tensor scalar(real value) { return full({}, value); }

  /// Whether it has a shape and numbers, as all but Tensor() have.
  bool defined() const { return numbers_ != nullptr; }
  /// The sizes of its axes, how many axes they are, and how many elements.
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  Index size() const { return shape_.size(); }
  /// Whether it has no elements, one of its sizes being 0. Kernels are not called for nothing.
  bool empty() const { return size() == 0; }

  /// Where the numbers begin, for a kernel. The program itself reads them with values() and item(), and writes
  /// with assign() and a Staging: on a GPU they lie where it cannot reach. Throws Error for an undefined tensor.
  /// If there are only rounded ones, they are converted first.
  const real* data() const { return exact() + offset_; }
  /// The same, to write. What is rounded() is forgotten now, so ask again before you write again.
  real* data();
  /// The numbers rounded to bfloat16, for products. All tensors that share the numbers share them, too: the first that
  /// asks has them made, and whoever writes, by data() or assign(), lets them be forgotten.
  std::shared_ptr<const bfloat16> rounded() const;
  /// For a kernel that overwrites all numbers: where they begin, and, if products have asked for rounded(), where to
  /// write them rounded in the same pass; otherwise Both::rounded is null.
  Both rewrite();
  /// Whether there are only rounded numbers; and where these begin, to write.
  bool only_rounded() const { return !numbers().block.load(); }
  bfloat16* rounded_data() { return const_cast<bfloat16*>(rounded().get()); }
  /// Where both begin, for a kernel that writes each number as it is and rounded: rounded() then needs no pass of its
  /// own. For a tensor that was unique().
  Both data_and_rounded();
  /// True if no other tensor shares these numbers, so that overwriting them is nobody's business.
  bool unique() const { return numbers_.use_count() == 1; }

  /// The only number of a tensor of size 1. Throws Error if there are more.
  real item() const;
  /// The i-th part along the first axis, a negative i from the back: (B, T, C)[i] is (T, C). Shares the numbers.
  Tensor operator[](Index i) const;
  /// The same numbers in another shape of the same size. Shares them. Of the sizes one may be -1, which the others
  /// tell: x.reshape({2, -1}).
  Tensor reshape(const Shape& shape) const;
  Tensor reshape(std::initializer_list<Index> sizes) const { return reshape(shape_.reshaped(sizes)); }
  /// A copy of the numbers.
  Tensor clone() const;
  /// The numbers, in order.
  std::vector<real> values() const;
  /// Overwrites the numbers, for all who share them, with those of x. Throws Error unless x has the same shape.
  void assign(const Tensor& x);

 private:
  // All of them, exact or rounded or both: one of the two is never null.
  struct Numbers {
    Index size;
    std::atomic<std::shared_ptr<real>> block;
    std::atomic<std::shared_ptr<const bfloat16>> rounded;

    Numbers(Index size, std::shared_ptr<real> block, std::shared_ptr<const bfloat16> rounded = {})
        : size(size), block(std::move(block)), rounded(std::move(rounded)) {}
  };
  Tensor(std::shared_ptr<real> block, const Shape& shape);
  Numbers& numbers() const {
    check(defined(), "Tensor", "is undefined: nothing was ever put into it");
    return *numbers_;
  }
  real* exact() const;

  friend class Staging;
  std::shared_ptr<Numbers> numbers_;
  Index offset_ = 0;
  Shape shape_;
};

/// Numbers that the program writes one by one, of a file or a picture, and then makes a tensor of.
///
///     Staging numbers({2, 3});
///     std::fill_n(numbers.data(), 6, real{1});
///     const Tensor x = std::move(numbers).tensor();
class Staging {
 public:
  explicit Staging(const Shape& shape);

  /// What the tensor will have.
  const Shape& shape() const { return shape_; }
  /// Where to write: shape().size() numbers, not set yet.
  real* data() { return block_.get(); }
  /// The tensor. On the processor it takes the memory over; to a GPU the numbers are copied while the program goes on.
  Tensor tensor() &&;

 private:
  std::shared_ptr<real> block_;
  Shape shape_;
};

}  // namespace bobbin
