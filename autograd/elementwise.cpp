// Operations that treat each element alike, and the gradient of broadcasting: an element that was used several times
// has the sum of the gradients, sum_to().
#include "autograd/ops.h"

namespace bobbin {

Var operator+(Var a, Var b) {
  const Shape shape_a = a.shape(), shape_b = b.shape();
  Tensor Y = std::move(a).value() + std::move(b).value();  // first the values move, then the places are used
  return record("add", std::move(Y),
                {{a, [shape_a](Tensor dY) { return sum_to(dY, shape_a); }},
                 {b, [shape_b](Tensor dY) { return sum_to(dY, shape_b); }}});
}

Var operator-(Var a, Var b) {
  const Shape shape_a = a.shape(), shape_b = b.shape();
  Tensor Y = std::move(a).value() - std::move(b).value();
  return record("sub", std::move(Y),
                {{a, [shape_a](Tensor dY) { return sum_to(dY, shape_a); }},
                 {b, [shape_b](Tensor dY) { return -sum_to(dY, shape_b); }}});
}

Var operator*(const Var& a, const Var& b) {
  const Tensor A = a.value(), B = b.value();
  return record("mul", A * B,
                {{a, [B, shape = A.shape()](Tensor dY) { return sum_to(std::move(dY) * B, shape); }},
                 {b, [A, shape = B.shape()](Tensor dY) { return sum_to(std::move(dY) * A, shape); }}});
}

Var operator/(const Var& a, const Var& b) {
  const Tensor B = b.value(), Y = a.value() / B;  // -A/B² as -(A/B)/B: a square would leave the range of a float
  return record("div", Y,
                {{a, [B, shape = a.shape()](Tensor dY) { return sum_to(std::move(dY) / B, shape); }},
                 {b, [Y, B](Tensor dY) { return sum_to(std::move(dY) * -(Y / B), B.shape()); }}});
}

Var operator+(Var a, real b) { return std::move(a) + Var(Tensor::scalar(b)); }
Var operator-(Var a, real b) { return std::move(a) - Var(Tensor::scalar(b)); }
Var operator+(real a, Var b) { return std::move(b) + a; }
Var operator-(real a, Var b) { return Var(Tensor::scalar(a)) - std::move(b); }
Var operator*(real a, Var b) { return std::move(b) * a; }
Var operator/(real a, const Var& b) { return Var(Tensor::scalar(a)) / b; }
Var operator-(Var x) { return std::move(x) * real{-1}; }

Var operator*(Var a, real b) {
  Tensor Y = std::move(a).value() * b;
  return record("scale", std::move(Y), {{a, [b](Tensor dY) { return std::move(dY) * b; }}});
}

Var operator/(Var a, real b) {
  Tensor Y = std::move(a).value() / b;
  return record("scale", std::move(Y), {{a, [b](Tensor dY) { return std::move(dY) / b; }}});
}

Var exp(Var x) {
  const Tensor Y = exp(std::move(x).value());  // the value moves, the place on the tape stays in x
  return record("exp", Y, {{x, [Y](Tensor dY) { return std::move(dY) * Y; }}});
}

Var log(const Var& x) {
  return record("log", log(x.value()), {{x, [X = x.value()](Tensor dY) { return std::move(dY) / X; }}});
}

Var sqrt(Var x) {
  const Tensor Y = sqrt(std::move(x).value());
  return record("sqrt", Y, {{x, [Y](Tensor dY) { return std::move(dY) / (2 * Y); }}});  // 1 / (2·√x)
}

Var tanh(Var x) {
  const Tensor Y = tanh(std::move(x).value());
  return record("tanh", Y, {{x, [Y](Tensor dY) { return std::move(dY) * (1 - Y * Y); }}});
}

Var relu(Var x) {  // x > 0 where Y > 0: so Y is kept, and may take x's place
  const Tensor Y = relu(std::move(x).value());
  return record("relu", Y, {{x, [Y](Tensor dY) { return relu_backward(Y, std::move(dY)); }}});
}

Var softplus(const Var& x) {  // its derivative is e^x / (1 + e^x) = σ(x)
  return record("softplus", softplus(x.value()),
                {{x, [X = x.value()](Tensor dY) { return std::move(dY) * sigmoid(X); }}});
}

Var silu(const Var& x) {
  return record("silu", silu(x.value()), {{x, [X = x.value()](Tensor dY) { return silu_backward(X, std::move(dY)); }}});
}

Var sigmoid(Var x) {
  const Tensor Y = sigmoid(std::move(x).value());
  return record("sigmoid", Y, {{x, [Y](Tensor dY) { return std::move(dY) * (Y * (1 - Y)); }}});
}

}  // namespace bobbin
