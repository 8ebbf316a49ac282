// Elementwise functions: how operands that broadcast are walked, and whose memory a result may take.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/backend.h"
#include "tensor/common.h"

namespace bobbin {

Broadcast plan(const Shape& y, const Shape& a, const Shape& b) {
  const auto strides_a = strides(a), strides_b = strides(b);
  Index size[Shape::max_rank], step_a[Shape::max_rank], step_b[Shape::max_rank];  // innermost first
  int rank = 0;
  for (int back = 1; back <= y.rank(); ++back) {
    const Index n = y[-back];
    if (n == 1) continue;
    const auto step = [back](const Shape& s, const auto& strides) {
      return back > s.rank() || s[-back] == 1 ? Index{0} : strides[static_cast<std::size_t>(s.rank() - back)];
    };
    const Index sa = step(a, strides_a), sb = step(b, strides_b);
    if (rank > 0 && sa == step_a[rank - 1] * size[rank - 1] && sb == step_b[rank - 1] * size[rank - 1]) {
      size[rank - 1] *= n;
    } else {
      size[rank] = n;
      step_a[rank] = sa;
      step_b[rank] = sb;
      ++rank;
    }
  }
  if (rank == 0) {  // a single element
    size[0] = step_a[0] = step_b[0] = 1;
    rank = 1;
  }
  Broadcast walk;
  walk.rank = rank;
  std::reverse_copy(size, size + rank, walk.size);
  std::reverse_copy(step_a, step_a + rank, walk.stride_a);
  std::reverse_copy(step_b, step_b + rank, walk.stride_b);
  return walk;
}

namespace {

// Of this shape: a or b, if it was moved in and nobody else holds its numbers.
Tensor in_place_of(const Tensor& a, const Tensor& b, const Shape& shape) {
  const auto reusable = [&](const Tensor& t) { return t.unique() && t.shape() == shape; };
  return reusable(a) ? a : reusable(b) ? b : Tensor(shape);
}

template <class F>
Tensor binary(const F& f, Tensor a, Tensor b) {
  const Shape shape = broadcast(F::name, a.shape(), b.shape());
  Tensor y = in_place_of(a, b, shape);
  if (y.empty()) return y;
  const Timed timed(F::name, elements(a, b, y));
  backend::binary(f, plan(shape, a.shape(), b.shape()), std::as_const(a).data(), std::as_const(b).data(), y.data());
  return y;
}

template <class F>
Tensor unary(const F& f, Tensor x) {
  Tensor y = in_place_of(x);
  if (y.empty()) return y;
  const Timed timed(F::name, elements(x, y));
  backend::unary(f, std::as_const(x).data(), y.data(), x.size());
  return y;
}

}  // namespace

Tensor operator+(Tensor a, Tensor b) { return binary(formula::Add{}, std::move(a), std::move(b)); }
Tensor operator-(Tensor a, Tensor b) { return binary(formula::Sub{}, std::move(a), std::move(b)); }
Tensor operator*(Tensor a, Tensor b) { return binary(formula::Mul{}, std::move(a), std::move(b)); }
Tensor mul(Tensor a, const Operand& b, ReadBy readers) {
  if (!b.only_rounded()) return std::move(a) * b.exact();
  check(a.shape() == b.shape(), "mul", "the shapes ", a.shape(), " and ", b.shape(), " differ");
  Tensor y = a.only_rounded() ? result(a.shape(), readers) : result_in_place_of(a, readers);
  if (y.empty()) return y;
  const Timed timed("mul", elements(a, b, y));
  const auto multiply = [&](const auto* from) {
    write(y, [&](auto* at) { backend::multiply_rounded(from, b.rounded(), at, a.size()); });
  };
  if (a.only_rounded())
    multiply(std::as_const(a).rounded().get());
  else
    multiply(std::as_const(a).data());
  return y;
}
Tensor operator/(Tensor a, Tensor b) { return binary(formula::Div{}, std::move(a), std::move(b)); }
Tensor operator+(Tensor a, real b) { return std::move(a) + Tensor::scalar(b); }
Tensor operator-(Tensor a, real b) { return std::move(a) - Tensor::scalar(b); }
Tensor operator*(Tensor a, real b) { return std::move(a) * Tensor::scalar(b); }
Tensor operator/(Tensor a, real b) { return std::move(a) / Tensor::scalar(b); }
Tensor operator+(real a, Tensor b) { return Tensor::scalar(a) + std::move(b); }
Tensor operator-(real a, Tensor b) { return Tensor::scalar(a) - std::move(b); }
Tensor operator*(real a, Tensor b) { return Tensor::scalar(a) * std::move(b); }
Tensor operator/(real a, Tensor b) { return Tensor::scalar(a) / std::move(b); }
Tensor operator-(Tensor x) { return std::move(x) * real{-1}; }

Tensor exp(Tensor x) { return unary(formula::Exp{}, std::move(x)); }
Tensor log(Tensor x) { return unary(formula::Log{}, std::move(x)); }
Tensor sqrt(Tensor x) { return unary(formula::Sqrt{}, std::move(x)); }
Tensor tanh(Tensor x) { return unary(formula::Tanh{}, std::move(x)); }
Tensor relu(Tensor x) { return unary(formula::Relu{}, std::move(x)); }
Tensor sigmoid(Tensor x) { return unary(formula::Sigmoid{}, std::move(x)); }
Tensor softplus(Tensor x) { return unary(formula::Softplus{}, std::move(x)); }
Tensor silu(Tensor x) { return unary(formula::Silu{}, std::move(x)); }

Tensor erf(Tensor x) { return unary(formula::Erf{}, std::move(x)); }
Tensor rsqrt(Tensor x) { return unary(formula::Rsqrt{}, std::move(x)); }
Tensor abs(Tensor x) { return unary(formula::Abs{}, std::move(x)); }
Tensor sign(Tensor x) { return unary(formula::Sign{}, std::move(x)); }

namespace {

template <class F>
F bounds(std::optional<real> low, std::optional<real> high) {
  check(low || high, F::name, "needs one bound or two");
  check(!std::isnan(low.value_or(0)) && !std::isnan(high.value_or(0)), F::name, "a bound must not be NaN");
  constexpr real none = std::numeric_limits<real>::quiet_NaN();
  return {low.value_or(none), high.value_or(none)};
}

}  // namespace

Tensor clamp(Tensor x, std::optional<real> low, std::optional<real> high) {
  return unary(bounds<formula::Clamp>(low, high), std::move(x));
}
Tensor clamp_backward(const Tensor& x, Tensor dY, std::optional<real> low, std::optional<real> high) {
  check(x.shape() == dY.shape(), "clamp_backward", "x ", x.shape(), " and dY ", dY.shape(), " must have one shape");
  return binary(bounds<formula::ClampBackward>(low, high), x, std::move(dY));
}

Tensor pow(Tensor x, Tensor p) { return binary(formula::Pow{}, std::move(x), std::move(p)); }
// The powers that are had for less, as in PyTorch. Squared is the inverse, not inverted the square, which may leave the
// range of a float before the result does.
Tensor pow(Tensor x, real p) {
  if (p == 0) return Tensor::ones(x.shape());
  if (p == 1) return x;
  if (p == 2) return x * x;
  if (p == 3) return x * x * x;
  if (p == real(0.5)) return sqrt(std::move(x));
  if (p == real(-0.5)) return rsqrt(std::move(x));
  if (p == -1) return 1 / std::move(x);
  if (p == -2) return pow(1 / std::move(x), 2);
  return pow(std::move(x), Tensor::scalar(p));
}

Tensor maximum(Tensor a, Tensor b) { return binary(formula::Maximum{}, std::move(a), std::move(b)); }
Tensor minimum(Tensor a, Tensor b) { return binary(formula::Minimum{}, std::move(a), std::move(b)); }
Tensor maximum_backward(Tensor a, Tensor b, Tensor dY) {
  return binary(formula::Shared{}, binary(formula::Share{}, std::move(a), std::move(b)), std::move(dY));
}

Tensor operator<(Tensor a, Tensor b) { return binary(formula::Less{}, std::move(a), std::move(b)); }
Tensor operator<=(Tensor a, Tensor b) { return binary(formula::LessEqual{}, std::move(a), std::move(b)); }
Tensor operator>(Tensor a, Tensor b) { return std::move(b) < std::move(a); }
Tensor operator>=(Tensor a, Tensor b) { return std::move(b) <= std::move(a); }
Tensor eq(Tensor a, Tensor b, bool nans) { return binary(formula::Equal{nans}, std::move(a), std::move(b)); }
Tensor ne(Tensor a, Tensor b) { return 1 - eq(std::move(a), std::move(b)); }

Tensor where(const Tensor& mask, Tensor a, Tensor b) {
  const Shape shape = broadcast("where", mask.shape(), broadcast("where", a.shape(), b.shape()));
  const Tensor repeated = mask.shape() == shape ? mask : mask * Tensor::ones(shape);
  Tensor y = in_place_of(a, b, shape);
  if (y.empty()) return y;
  const Timed timed("where", elements(repeated, a, b, y));
  backend::where(plan(shape, a.shape(), b.shape()), repeated.data(), std::as_const(a).data(), std::as_const(b).data(),
                 y.data());
  return y;
}

Tensor relu_backward(const Tensor& x, Tensor dY) {
  check(x.shape() == dY.shape(), "relu_backward", "x ", x.shape(), " and dY ", dY.shape(), " must have one shape");
  return binary(formula::ReluBackward{}, x, std::move(dY));
}

Tensor silu_backward(const Tensor& x, Tensor dY) {
  check(x.shape() == dY.shape(), "silu_backward", "x ", x.shape(), " and dY ", dY.shape(), " must have one shape");
  return binary(formula::SiluBackward{}, x, std::move(dY));
}

}  // namespace bobbin
