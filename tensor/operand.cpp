#include "tensor/operand.h"

#include "tensor/backend.h"

namespace bobbin {

Operand::Operand(Tensor x) : shape_(x.shape()), exact_(std::move(x)) {
  if (ProductsIn::current() == Precision::bfloat16) round();
}

Operand Operand::reshape(const Shape& shape) const {
  check(shape.size() == size(), "reshape", "the shapes ", shape_, " and ", shape, " have different sizes, ", size(),
        " and ", shape.size());
  Operand result = *this;
  result.shape_ = shape;
  return result;
}

Tensor Operand::tensor() const {
  if (!only_rounded()) return exact_.reshape(shape_);
  Tensor wide(shape_);
  if (!wide.empty()) backend::widen(rounded(), wide.data(), size());
  return wide;
}

void Operand::round() {
  if (only_rounded()) return;
  rounded_ = exact_.rounded();
  exact_ = {};
}

}  // namespace bobbin
