#include "tensor/tensor.h"

#include <algorithm>

#include "tensor/backend.h"
#include "tensor/common.h"
#include "tensor/storage.h"

namespace bobbin {

Tensor::Tensor(std::shared_ptr<real> block, const Shape& shape)
    : numbers_(std::make_shared<Numbers>(shape.size(), std::move(block))), shape_(shape) {}

Tensor::Tensor(const Shape& shape) : Tensor(memory::allocate(shape.size()), shape) {}

Tensor::Tensor(const Shape& shape, const std::vector<real>& values) : shape_(shape) {
  check(static_cast<Index>(values.size()) == size(), "Tensor", "the shape ", shape, " has ", size(), " elements, got ",
        values.size(), " values");
  Staging numbers(shape);
  std::copy(values.begin(), values.end(), numbers.data());
  *this = std::move(numbers).tensor();
}

Tensor Tensor::full(const Shape& shape, real value) {
  Tensor result(shape);
  if (!result.empty()) backend::fill(result.data(), value, result.size());
  return result;
}

Tensor Tensor::of_rounded(const Shape& shape) {
  Tensor result;
  result.numbers_ = std::make_shared<Numbers>(shape.size(), nullptr, memory::allocate_as<bfloat16>(shape.size()));
  result.shape_ = shape;
  return result;
}

real* Tensor::data() {
  real* const result = exact() + offset_;
  numbers().rounded.store(nullptr);
  return result;
}

Both Tensor::data_and_rounded() {
  real* const exact = data();
  const std::shared_ptr<bfloat16> made = memory::allocate_as<bfloat16>(numbers().size);
  numbers().rounded.store(made);
  return {exact, made.get() + offset_};
}

real* Tensor::exact() const {
  Numbers& all = numbers();
  std::shared_ptr<real> block = all.block.load();
  if (!block) {
    const Timed timed("to_float", static_cast<double>(all.size) * (1 + rounded_size));
    std::shared_ptr<real> made = memory::allocate(all.size);
    if (all.size > 0) backend::widen(all.rounded.load().get(), made.get(), all.size);
    if (all.block.compare_exchange_strong(block, made)) block = made;  // else another thread was faster
  }
  return block.get();
}

std::shared_ptr<const bfloat16> Tensor::rounded() const {
  Numbers& all = numbers();
  std::shared_ptr<const bfloat16> result = all.rounded.load();
  if (!result) {
    const Timed timed("to_bfloat16", static_cast<double>(all.size) * (1 + rounded_size));
    const std::shared_ptr<bfloat16> made = memory::allocate_as<bfloat16>(all.size);
    if (all.size > 0) backend::round_to_bfloat16(all.block.load().get(), made.get(), all.size);
    all.rounded.store(result = made);
  }
  return {result, result.get() + offset_};
}

Both Tensor::rewrite() {
  real* const at = exact() + offset_;  // which may be made of the rounded ones
  std::shared_ptr<const bfloat16> rounded = numbers().rounded.exchange(nullptr);
  if (!rounded || size() != numbers().size) return {at, nullptr};
  if (rounded.use_count() > 1) rounded = memory::allocate_as<bfloat16>(size());  // who holds the old keeps it
  numbers().rounded.store(rounded);
  return {at, const_cast<bfloat16*>(rounded.get())};
}

real Tensor::item() const {
  check(defined() && size() == 1, "item", "needs a tensor of one element, got the shape ", shape_);
  return values().front();
}

Tensor Tensor::operator[](Index i) const {
  check(rank() >= 1 && i >= -shape_[0] && i < shape_[0], "Tensor", "there is no index ", i, " in the first axis of ",
        shape_);
  if (i < 0) i += shape_[0];
  Tensor part = *this;
  part.shape_ = shape_.without(0);
  part.offset_ += i * part.size();
  return part;
}

Tensor Tensor::reshape(const Shape& shape) const {
  numbers();  // defined
  check(shape.size() == size(), "reshape", "the shapes ", shape_, " and ", shape, " have different sizes, ", size(),
        " and ", shape.size());
  Tensor result = *this;
  result.shape_ = shape;
  return result;
}

Tensor Tensor::clone() const {
  Tensor copy(shape_);
  copy.assign(*this);
  return copy;
}

std::vector<real> Tensor::values() const {
  std::vector<real> result(static_cast<std::size_t>(size()));
  if (!empty()) backend::to_host(data(), result.data(), size());
  return result;
}

void Tensor::assign(const Tensor& x) {
  check(x.shape() == shape_, "assign", "the shape ", x.shape(), " is not that of the tensor, ", shape_);
  if (!empty()) backend::copy_rows(x.data(), size(), data(), size(), 1, size());
}

Staging::Staging(const Shape& shape) : block_(backend::host_block(shape.size())), shape_(shape) {}

Tensor Staging::tensor() && { return {backend::to_device(std::move(block_), shape_.size()), shape_}; }

}  // namespace bobbin
