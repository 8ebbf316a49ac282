// Dropout, alone and behind the functions that fuse it.
#include "tensor/backend.h"
#include "tensor/common.h"

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
  Activated result{Tensor(x.shape()), in_place_of(x)};
  const Timed timed(F::name, elements(x, result.y, result.derivative));
  backend::dropout(f, std::as_const(x).data(), result.y.data(), result.derivative.data(), x.size(), p, draw);
  return result;
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
