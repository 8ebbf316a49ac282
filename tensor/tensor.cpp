#include "tensor/tensor.h"

#include <algorithm>

#include "tensor/check.h"
#include "tensor/storage.h"

namespace bobbin {

Tensor::Tensor(const Shape& shape) : block_(memory::allocate(shape.size())), shape_(shape) {}

Tensor::Tensor(const Shape& shape, const std::vector<real>& values) : Tensor(shape) {
  check(static_cast<Index>(values.size()) == size(), "Tensor", "the shape ", shape, " has ", size(), " elements, got ",
        values.size(), " values");
  std::copy(values.begin(), values.end(), data());
}

Tensor Tensor::full(const Shape& shape, real value) {
  Tensor result(shape);
  std::fill_n(result.data(), result.size(), value);
  return result;
}

real Tensor::item() const {
  check(defined() && size() == 1, "item", "needs a tensor of one element, got the shape ", shape_);
  return *data();
}

Tensor Tensor::operator[](Index i) const {
  check(rank() >= 1 && i >= 0 && i < shape_[0], "Tensor", "there is no index ", i, " in the first axis of ", shape_);
  Tensor part = *this;
  part.shape_ = shape_.without(0);
  part.offset_ += i * part.size();
  return part;
}

Tensor Tensor::reshape(const Shape& shape) const {
  block();  // defined
  check(shape.size() == size(), "reshape", "the shapes ", shape_, " and ", shape, " have different sizes, ", size(),
        " and ", shape.size());
  Tensor result = *this;
  result.shape_ = shape;
  return result;
}

Tensor Tensor::clone() const {
  Tensor copy(shape_);
  std::copy_n(data(), size(), copy.data());
  return copy;
}

}  // namespace bobbin
