// Dropout, alone and behind the functions that fuse it.
#include "tensor/backend.h"
#include "tensor/common.h"

namespace bobbin {
namespace {

template <class F>
Tensor drop(const F& f, Tensor x, real p, Draw draw, ReadBy readers = ReadBy::anyone) {
  check_dropout(F::name, p);
  Tensor y = result_in_place_of(x, readers);
  if (y.empty()) return y;
  const Timed timed(F::name, elements(x, y));
  const real* const in = std::as_const(x).data();
  write(y, [&](auto* out) {
    decltype(out) no_derivative = nullptr;
    backend::dropout(f, in, out, no_derivative, x.size(), p, draw);
  });
  return y;
}
template <class F>
Activated drop_with_derivative(const F& f, Tensor x, real p, Draw draw, ReadBy readers) {
  check_dropout(F::name, p);
  if (x.empty()) return {x, Operand(x)};
  const real* const in = std::as_const(x).data();
  if (ProductsIn::current() == Precision::bfloat16) {
    Tensor y = result_in_place_of(x, readers), derivative = Tensor::of_rounded(x.shape());
    const Timed timed(F::name, elements(x, y, derivative));
    write(y, [&](auto* out) { backend::dropout(f, in, out, derivative.rounded_data(), x.size(), p, draw); });
    return {y, Operand(derivative)};
  }
  Tensor y(x.shape()), derivative = in_place_of(x);
  const Timed timed(F::name, elements(x, y, derivative));
  backend::dropout(f, in, y.data(), derivative.data(), x.size(), p, draw);
  return {y, Operand(derivative)};
}

}  // namespace

Tensor dropout(Tensor x, real p, Draw draw) { return drop(formula::Identity{}, std::move(x), p, draw); }
Tensor gelu(Tensor x, real p, Draw draw, ReadBy readers) {
  return drop(formula::Gelu{}, std::move(x), p, draw, readers);
}
Tensor gelu_tanh(Tensor x, real p, Draw draw, ReadBy readers) {
  return drop(formula::GeluTanh{}, std::move(x), p, draw, readers);
}
Activated gelu_with_derivative(Tensor x, real p, Draw draw, ReadBy readers) {
  return drop_with_derivative(formula::Gelu{}, std::move(x), p, draw, readers);
}
Activated gelu_tanh_with_derivative(Tensor x, real p, Draw draw, ReadBy readers) {
  return drop_with_derivative(formula::GeluTanh{}, std::move(x), p, draw, readers);
}

}  // namespace bobbin
