// Elementwise functions: how operands that broadcast are walked, and whose memory a result may take.
#include <algorithm>

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

template <class F>
Tensor binary(const F& f, Tensor a, Tensor b) {
  const Shape shape = broadcast(F::name, a.shape(), b.shape());
  const auto reusable = [&](const Tensor& t) { return t.unique() && t.shape() == shape; };
  Tensor y = reusable(a) ? a : reusable(b) ? b : Tensor(shape);
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
Tensor operator*(Tensor a, const Operand& b) {
  if (!b.is_rounded()) return std::move(a) * b.exact();
  check(a.shape() == b.shape(), "mul", "the shapes ", a.shape(), " and ", b.shape(), " differ");
  Tensor y = in_place_of(a);
  if (y.empty()) return y;
  const Timed timed("mul", elements(a, b, y));
  backend::multiply_rounded(std::as_const(a).data(), b.rounded(), y.data(), a.size());
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

Tensor relu_backward(const Tensor& x, Tensor dY) {
  check(x.shape() == dY.shape(), "relu_backward", "x ", x.shape(), " and dY ", dY.shape(), " must have one shape");
  return binary(formula::ReluBackward{}, x, std::move(dY));
}

Tensor equal(Tensor a, Tensor b, bool nans) { return binary(formula::Equal{nans}, std::move(a), std::move(b)); }

Tensor silu_backward(const Tensor& x, Tensor dY) {
  check(x.shape() == dY.shape(), "silu_backward", "x ", x.shape(), " and dY ", dY.shape(), " must have one shape");
  return binary(formula::SiluBackward{}, x, std::move(dY));
}

}  // namespace bobbin
