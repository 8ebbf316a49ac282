#pragma once
#include <algorithm>
#include <cmath>

#include "tensor/draw.h"
#include "tensor/host_device.h"
#include "tensor/math.h"
#include "tensor/real.h"

/// What the elementwise kernels compute for one element: once, for the loops of the processor and for those of a GPU.
/// The kernels, unary(), binary() and dropout(), are compiled for each formula of the lists Unary, Binary and Dropped:
/// a new one goes into a list, and is a kernel on both.
namespace bobbin::formula {

template <class... F>
struct List {};

// --- of one number ---------------------------------------------------------------------------------
struct Exp {
  static constexpr auto name = "exp";
  BOBBIN_HD real operator()(real x) const { return math::exp(x); }
};
struct Log {
  static constexpr auto name = "log";
  BOBBIN_HD real operator()(real x) const { return math::log(x); }
};
struct Sqrt {
  static constexpr auto name = "sqrt";
  BOBBIN_HD real operator()(real x) const { return std::sqrt(x); }
};
struct Tanh {
  static constexpr auto name = "tanh";
  BOBBIN_HD real operator()(real x) const { return math::tanh(x); }
};
struct Relu {
  static constexpr auto name = "relu";
  BOBBIN_HD real operator()(real x) const { return x <= 0 ? real{0} : x; }  // so that NaN stays NaN
};
struct Sigmoid {
  static constexpr auto name = "sigmoid";
  // 1 / (1 + e^-x) for x >= 0, and the same times e^x / e^x below: no exponential overflows.
  BOBBIN_HD real operator()(real x) const {
    const real e = math::exp(-std::fabs(x)), v = 1 / (1 + e);
    return x < 0 ? e * v : v;
  }
};
struct Softplus {
  static constexpr auto name = "softplus";
  // log(1 + e^x) = max(x, 0) + log(1 + e^-|x|): no exponential overflows. PyTorch, beyond a threshold of 20, takes x
  // itself: to a float the same. With u = 1 + e rounded, log(1 + e) = log(u) + log((1 + e) / u), and the latter is
  // (e - (u - 1)) / u, so that a small e is not lost.
  BOBBIN_HD real operator()(real x) const {
    const real e = math::exp(-std::fabs(x)), u = 1 + e;
    return (x > 0 ? x : real{0}) + (math::log(u) + (e - (u - 1)) / u);
  }
};
struct Silu {
  static constexpr auto name = "silu";
  BOBBIN_HD real operator()(real x) const { return x * Sigmoid()(x); }
};
struct Erf {
  static constexpr auto name = "erf";
  BOBBIN_HD real operator()(real x) const { return math::erf(x); }
};
struct Rsqrt {
  static constexpr auto name = "rsqrt";
  BOBBIN_HD real operator()(real x) const { return 1 / std::sqrt(x); }
};
struct Abs {
  static constexpr auto name = "abs";
  BOBBIN_HD real operator()(real x) const { return std::fabs(x); }
};
struct Sign {
  static constexpr auto name = "sign";
  BOBBIN_HD real operator()(real x) const { return x > 0 ? real{1} : x < 0 ? real{-1} : real{0}; }  // of NaN 0
};
struct Clamp {
  static constexpr auto name = "clamp";
  real low = -1, high = 1;  // NaN is no bound
  // The lower bound first, so that, as in PyTorch, `high` is the result where high < low. NaN stays.
  BOBBIN_HD real operator()(real x) const { return math::detail::at_most(math::detail::at_least(x, low), high); }
};
using Unary = List<Exp, Log, Sqrt, Tanh, Relu, Sigmoid, Softplus, Silu, Erf, Rsqrt, Abs, Sign, Clamp>;

// --- of two numbers --------------------------------------------------------------------------------
struct Add {
  static constexpr auto name = "add";
  BOBBIN_HD real operator()(real a, real b) const { return a + b; }
};
struct Sub {
  static constexpr auto name = "sub";
  BOBBIN_HD real operator()(real a, real b) const { return a - b; }
};
struct Mul {
  static constexpr auto name = "mul";
  BOBBIN_HD real operator()(real a, real b) const { return a * b; }
};
struct Div {
  static constexpr auto name = "div";
  BOBBIN_HD real operator()(real a, real b) const { return a / b; }
};
struct ReluBackward {
  static constexpr auto name = "relu_backward";
  BOBBIN_HD real operator()(real x, real dY) const { return x <= 0 ? real{0} : dY; }
};
struct SiluBackward {
  static constexpr auto name = "silu_backward";
  // With σ = sigmoid(x), whose derivative is σ·(1 - σ): (x·σ)' = σ·(1 + x·(1 - σ)).
  BOBBIN_HD real operator()(real x, real dY) const {
    const real s = Sigmoid()(x);
    return dY * (s * (1 + x * (1 - s)));
  }
};
struct ClampBackward {
  static constexpr auto name = "clamp_backward";
  real low = -1, high = 1;
  BOBBIN_HD real operator()(real x, real dY) const { return x <= low || x >= high || x != x ? real{0} : dY; }
};
struct Pow {
  static constexpr auto name = "pow";
  BOBBIN_HD real operator()(real x, real p) const { return std::pow(x, p); }
};
// The larger of two numbers, and the smaller; NaN if one is.
struct Maximum {
  static constexpr auto name = "maximum";
  BOBBIN_HD real operator()(real a, real b) const { return a > b || a != a ? a : b; }
};
struct Minimum {
  static constexpr auto name = "minimum";
  BOBBIN_HD real operator()(real a, real b) const { return a < b || a != a ? a : b; }
};
// The share that a has in the gradient of maximum(a, b), and b in that of minimum(a, b): half of it where they are
// equal, and all where one is NaN, as in PyTorch.
struct Share {
  static constexpr auto name = "share";
  BOBBIN_HD real operator()(real a, real b) const { return a < b ? real{0} : a == b ? real{0.5} : real{1}; }
};
// share · dY, but 0 of an infinite dY is 0.
struct Shared {
  static constexpr auto name = "shared";
  BOBBIN_HD real operator()(real share, real dY) const { return share == 0 ? real{0} : share * dY; }
};
struct Less {
  static constexpr auto name = "less";
  BOBBIN_HD real operator()(real a, real b) const { return a < b; }
};
struct LessEqual {
  static constexpr auto name = "less_equal";
  BOBBIN_HD real operator()(real a, real b) const { return a <= b; }
};
struct Equal {
  static constexpr auto name = "equal";
  bool nans = false;  // whether NaN is equal to NaN
  BOBBIN_HD real operator()(real a, real b) const { return a == b || (nans && a != a && b != b) ? real{1} : real{0}; }
};
using Binary = List<Add, Sub, Mul, Div, ReluBackward, SiluBackward, ClampBackward, Pow, Maximum, Minimum, Share, Shared,
                    Less, LessEqual, Equal>;

// --- with their derivative, and followed by dropout -------------------------------------------------
struct Identity {
  static constexpr auto name = "dropout";
  BOBBIN_HD real operator()(real x) const { return x; }
  BOBBIN_HD math::WithDerivative<real> with_derivative(real x) const { return {x, 1}; }
};
struct Gelu {
  static constexpr auto name = "gelu";
  BOBBIN_HD real operator()(real x) const { return math::gelu(x); }
  BOBBIN_HD math::WithDerivative<real> with_derivative(real x) const { return math::gelu_with_derivative(x); }
};
struct GeluTanh {
  static constexpr auto name = "gelu_tanh";
  BOBBIN_HD real operator()(real x) const { return math::gelu_tanh(x); }
  BOBBIN_HD math::WithDerivative<real> with_derivative(real x) const { return math::gelu_tanh_with_derivative(x); }
};
using Dropped = List<Identity, Gelu, GeluTanh>;

/// Which elements a dropout keeps: element i stays, and is scaled up, if word i of the draw is p·2^32 or more.
struct Dropout {
  Draw draw;
  std::uint32_t drop_below;
  real scale;

  Dropout(real p, Draw draw)
      : draw(draw),
        drop_below(static_cast<std::uint32_t>(std::min(std::ldexp(double{p}, 32), 4294967295.0))),
        scale(p < 1 ? 1 / (1 - p) : real{0}) {}  // with p = 1 none is kept

  /// Element x, for which the word was drawn. A product in both cases, so that NaN stays NaN, as in PyTorch.
  BOBBIN_HD real operator()(std::uint32_t word, real x) const {
    const real kept = scale;  // read in any case, so that a loop has no branch
    return x * (word >= drop_below ? kept : real{0});
  }
};

// --- the steps of optimizers ------------------------------------------------------------------------
/// A step of stochastic gradient descent, as torch.optim.SGD, for one number w of a parameter: g = dW + weight_decay·w,
/// velocity = momentum·velocity + g, w -= lr·(nesterov ? g + momentum·velocity : velocity); without momentum w -= lr·g.
struct Sgd {
  static constexpr auto name = "sgd";
  real lr, momentum = 0, weight_decay = 0;
  bool nesterov = false;

  BOBBIN_HD void operator()(real& w, real dW) const { w -= lr * (dW + weight_decay * w); }
  BOBBIN_HD void operator()(real& w, real dW, real& velocity) const {
    const real g = dW + weight_decay * w;
    velocity = momentum * velocity + g;
    w -= lr * (nesterov ? g + momentum * velocity : velocity);
  }
};

/// Step t = 1, 2, ... of AdamW (Loshchilov and Hutter, 2019), as torch.optim.AdamW, for one number w of a parameter.
/// m and v are running means of the gradient and of its square. They begin at 0, which 1 - beta^t makes up for:
///     w -= lr · (m / (1 - beta1^t) / (√(v / (1 - beta2^t)) + eps) + weight_decay·w).
struct AdamW {
  static constexpr auto name = "adamw";
  real keep, new1, beta2, new2, step_size, root, eps;

  AdamW() = default;
  /// What is the same for all numbers of a step, in double: 1 - beta2 would have four digits in float.
  AdamW(double lr, double beta1, double beta2, double eps, double weight_decay, Index t)
      : keep(static_cast<real>(1 - lr * weight_decay)),
        new1(static_cast<real>(1 - beta1)),
        beta2(static_cast<real>(beta2)),
        new2(static_cast<real>(1 - beta2)),
        step_size(static_cast<real>(lr / (1 - std::pow(beta1, t)))),
        root(static_cast<real>(std::sqrt(1 - std::pow(beta2, t)))),
        eps(static_cast<real>(eps)) {}

  BOBBIN_HD void operator()(real& w, real dW, real& m, real& v) const {
    m += new1 * (dW - m);
    v = beta2 * v + new2 * dW * dW;
    w = keep * w - step_size * m / (std::sqrt(v) / root + eps);
  }
};

}  // namespace bobbin::formula
