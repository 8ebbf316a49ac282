// Dropout, alone and behind the functions that fuse it.
#include "tensor/backend.h"
#include "tensor/common.h"
#include "tensor/storage.h"

namespace bobbin {
namespace {

template <class F>
Tensor drop(const F& f, Tensor x, real p, Draw draw) {
  check_dropout(F::name, p);
  Tensor y = in_place_of(x);
  const Timed timed(F::name, elements(x, y));
  backend::dropout(f, std::as_const(x).data(), y.data(), nullptr, x.size(), p, draw);
  return y;
}
template <class F>
Activated drop_with_derivative(const F& f, Tensor x, real p, Draw draw) {
  check_dropout(F::name, p);
  const real* const in = std::as_const(x).data();
  if (ProductsIn::current() == Precision::bfloat16) {
    Tensor y = in_place_of(x);
    const std::shared_ptr<bfloat16> numbers = memory::allocate_as<bfloat16>(x.size());
    const Operand derivative(x.shape(), numbers);
    const Timed timed(F::name, elements(x, y, derivative));
    backend::dropout_rounded(f, in, y.data(), numbers.get(), x.size(), p, draw);
    return {y, derivative};
  }
  Tensor y(x.shape()), derivative = in_place_of(x);
  const Timed timed(F::name, elements(x, y, derivative));
  backend::dropout(f, in, y.data(), derivative.data(), x.size(), p, draw);
  return {y, Operand(derivative)};
}

}  // namespace

Tensor dropout(Tensor x, real p, Draw draw) { return drop(formula::Identity{}, std::move(x), p, draw); }
Tensor gelu(Tensor x, real p, Draw draw) { return drop(formula::Gelu{}, std::move(x), p, draw); }
Tensor gelu_tanh(Tensor x, real p, Draw draw) { return drop(formula::GeluTanh{}, std::move(x), p, draw); }
Activated gelu_with_derivative(Tensor x, real p, Draw draw) {
  return drop_with_derivative(formula::Gelu{}, std::move(x), p, draw);
}
Activated gelu_tanh_with_derivative(Tensor x, real p, Draw draw) {
  return drop_with_derivative(formula::GeluTanh{}, std::move(x), p, draw);
}

}  // namespace bobbin
