#pragma once
#include "tensor/device.h"
#include "tensor/tensor.h"

namespace bobbin {

/// Who reads a result. What only products read is made rounded at once in Precision::bfloat16: they would round it
/// anyway, so nothing else changes but time and memory. Whoever reads it in another way gets the rounded numbers.
enum class ReadBy { anyone, products };
inline bool rounds(ReadBy readers) {
  return readers == ReadBy::products && ProductsIn::current() == Precision::bfloat16;
}

/// What a product reads of a tensor: the tensor itself, or in Precision::bfloat16 its numbers rounded, which are half
/// as large. A VJP that multiplies by a tensor keeps an Operand of it, and so lets the tensor go.
class Operand {
 public:
  /// None at all.
  Operand() = default;
  /// As the current precision (ProductsIn) wants it. A tensor is rounded once, however many operands are made of it
  /// before its numbers change.
  explicit Operand(Tensor x);

  /// The shape, its number of axes, and its number of elements.
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  Index size() const { return shape_.size(); }
  /// The same numbers in another shape of the same size.
  Operand reshape(const Shape& shape) const;

  /// Which of the next two there is.
  bool only_rounded() const { return rounded_ != nullptr; }
  const Tensor& exact() const { return exact_; }
  const bfloat16* rounded() const { return rounded_.get(); }
  /// The numbers as a tensor, whichever there are.
  Tensor tensor() const;
  /// Rounds it, if it is not.
  void round();

 private:
  Shape shape_;
  Tensor exact_;
  std::shared_ptr<const bfloat16> rounded_;
};

/// Of the factors of one product either all are rounded or none: if one is, this rounds the others.
void round_alike(auto&... operands) {
  if ((operands.only_rounded() || ...)) (operands.round(), ...);
}

}  // namespace bobbin
