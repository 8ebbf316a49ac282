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

Var erf(const Var& x) {
  return record("erf", erf(x.value()), {{x, [X = x.value()](Tensor dY) {  // (2/√π) e^-x²
                                           return std::move(dY) * (real(1.1283791670955126) * exp(-(X * X)));
                                         }}});
}

Var rsqrt(Var x) {
  const Tensor Y = rsqrt(std::move(x).value());
  return record("rsqrt", Y, {{x, [Y](Tensor dY) { return std::move(dY) * (real(-0.5) * Y * Y * Y); }}});
}

Var square(const Var& x) { return x * x; }

Var abs(const Var& x) {
  return record("abs", abs(x.value()), {{x, [X = x.value()](Tensor dY) { return std::move(dY) * sign(X); }}});
}

Var sign(const Var& x) {
  return record("sign", sign(x.value()), {{x, [](Tensor dY) { return Tensor::zeros(dY.shape()); }}});
}

Var clamp(const Var& x, std::optional<real> low, std::optional<real> high) {
  return record("clamp", clamp(x.value(), low, high),
                {{x, [X = x.value(), low, high](Tensor dY) { return clamp_backward(X, std::move(dY), low, high); }}});
}

// (xᵖ)' = p·xᵖ⁻¹, and 0 for p = 0, where that may be 0 · inf.
Var pow(const Var& x, real p) {
  return record("pow", pow(x.value(), p), {{x, [X = x.value(), p](Tensor dY) {
                                              return p == 0 ? Tensor::zeros(X.shape())
                                                            : std::move(dY) * (p * pow(X, p - 1));
                                            }}});
}

// To p: xᵖ·log x.
Var pow(const Var& x, const Var& p) {
  const Tensor X = x.value(), P = p.value(), Y = pow(X, P), zero = Tensor::scalar(0);
  return record(
      "pow", Y,
      {{x, [=](Tensor dY) { return sum_to(where(eq(P, 0), zero, std::move(dY) * (P * pow(X, P - 1))), X.shape()); }},
       {p, [=](Tensor dY) {
          const Tensor flat = eq(X, 0) * (P >= 0);
          return sum_to(where(flat, zero, std::move(dY) * (Y * log(X))), P.shape());
        }}});
}

Var maximum(const Var& a, const Var& b) {
  const Tensor A = a.value(), B = b.value();
  return record("maximum", maximum(A, B),
                {{a, [=](Tensor dY) { return sum_to(maximum_backward(A, B, std::move(dY)), A.shape()); }},
                 {b, [=](Tensor dY) { return sum_to(maximum_backward(B, A, std::move(dY)), B.shape()); }}});
}

Var minimum(const Var& a, const Var& b) {  // -maximum(-a, -b)
  const Tensor A = a.value(), B = b.value();
  return record("minimum", minimum(A, B),
                {{a, [=](Tensor dY) { return sum_to(maximum_backward(B, A, std::move(dY)), A.shape()); }},
                 {b, [=](Tensor dY) { return sum_to(maximum_backward(A, B, std::move(dY)), B.shape()); }}});
}

Var where(const Tensor& mask, const Var& a, const Var& b) {
  const Tensor zero = Tensor::scalar(0);
  return record("where", where(mask, a.value(), b.value()),
                {{a, [=, shape = a.shape()](Tensor dY) { return sum_to(where(mask, std::move(dY), zero), shape); }},
                 {b, [=, shape = b.shape()](Tensor dY) { return sum_to(where(mask, zero, std::move(dY)), shape); }}});
}

}  // namespace bobbin
