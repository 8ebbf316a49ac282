// Dropout, alone and behind the functions that fuse it.
#include "tensor/functions.h"

#include "tensor/backend.h"
#include "tensor/check.h"
#include "tensor/common.h"

namespace bobbin {
namespace {

using ActivationKernel = void (*)(const real*, real*, real*, Index, real, Draw);
Tensor activate(const char* op, ActivationKernel kernel, Tensor x, real p, Draw draw) {
  check_dropout(op, p);
  Tensor y = in_place_of(x);
  const Timed timed(op, elements(x, y));
  kernel(std::as_const(x).data(), y.data(), nullptr, x.size(), p, draw);
  return y;
}
Activated activate_with_derivative(const char* op, ActivationKernel kernel, Tensor x, real p, Draw draw) {
  check_dropout(op, p);
  Activated result{Tensor(x.shape()), in_place_of(x)};
  const Timed timed(op, elements(x, result.y, result.derivative));
  kernel(std::as_const(x).data(), result.y.data(), result.derivative.data(), x.size(), p, draw);
  return result;
}

}  // namespace

Tensor dropout(Tensor x, real p, Draw draw) {
  check_dropout("dropout", p);
  Tensor y = in_place_of(x);
  const Timed timed("dropout", elements(x, y));
  backend::dropout(std::as_const(x).data(), y.data(), x.size(), p, draw);
  return y;
}

Tensor gelu(Tensor x, real p, Draw draw) { return activate("gelu", backend::gelu, std::move(x), p, draw); }
Tensor gelu_tanh(Tensor x, real p, Draw draw) {
  return activate("gelu_tanh", backend::gelu_tanh, std::move(x), p, draw);
}
Activated gelu_with_derivative(Tensor x, real p, Draw draw) {
  return activate_with_derivative("gelu", backend::gelu, std::move(x), p, draw);
}
Activated gelu_tanh_with_derivative(Tensor x, real p, Draw draw) {
  return activate_with_derivative("gelu_tanh", backend::gelu_tanh, std::move(x), p, draw);
}

}  // namespace bobbin
