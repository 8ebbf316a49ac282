// PyTorch's initial values, Xavier's, Kaiming's and LeCun's.
#pragma once
#include <cmath>
#include <vector>

#include "autograd/tape.h"
#include "tensor/check.h"
#include "tensor/rng.h"

namespace bobbin {

/// PyTorch's default for the weight and the bias of Linear and Conv2d: evenly distributed within
/// ±1/√fan_in, where fan_in is the number of inputs that each output sums over.
inline Var uniform_by_fan_in(const Shape& shape, Index fan_in, Rng& rng) {
  const real bound = fan_in > 0 ? 1 / std::sqrt(static_cast<real>(fan_in)) : real{0};  // of no inputs, as PyTorch
  return Var::parameter(rng.uniform(shape, -bound, bound));
}

/// How many inputs an output of a weight (out, in) or (out, in, h, w) sums over, and how many outputs an input goes to,
/// as torch.nn.init counts them, which looks at the shape alone. Throws Error for a tensor of another kind.
struct Fans {
  Index in, out;

  explicit Fans(const Shape& weight) {
    check(weight.rank() >= 2, "init", "a weight (out, in, ...) is needed to count inputs and outputs, got ", weight);
    const Index area = weight.product(2, weight.rank());
    in = weight[1] * area;
    out = weight[0] * area;
  }
};
enum class Fan { in, out };

/// Each draws the numbers of a weight anew, as the function of torch.nn.init with this name.
///
/// Glorot and Bengio ("Understanding the difficulty of training deep feedforward neural networks", 2010): of variance
/// 2 / (fan_in + fan_out), evenly distributed within ±√3 of the deviation, or normal.
inline void xavier_uniform(Var& weight, Rng& rng) {
  const Fans fans(weight.shape());
  const real bound = std::sqrt(6 / static_cast<real>(fans.in + fans.out));
  weight.mutable_value().assign(rng.uniform(weight.shape(), -bound, bound));
}
inline void xavier_normal(Var& weight, Rng& rng) {
  const Fans fans(weight.shape());
  weight.mutable_value().assign(rng.normal(weight.shape(), 0, std::sqrt(2 / static_cast<real>(fans.in + fans.out))));
}

/// He, Zhang, Ren and Sun ("Delving deep into rectifiers", 2015), for a weight next to a ReLU: of variance 2 / fan.
/// That of the inputs keeps the size of the values on their way forward, that of the outputs the gradients' on their
/// way back.
inline void kaiming_uniform(Var& weight, Rng& rng, Fan of = Fan::in) {
  const Fans fans(weight.shape());
  const real bound = std::sqrt(6 / static_cast<real>(of == Fan::in ? fans.in : fans.out));
  weight.mutable_value().assign(rng.uniform(weight.shape(), -bound, bound));
}
inline void kaiming_normal(Var& weight, Rng& rng, Fan of = Fan::in) {
  const Fans fans(weight.shape());
  weight.mutable_value().assign(
      rng.normal(weight.shape(), 0, std::sqrt(2 / static_cast<real>(of == Fan::in ? fans.in : fans.out))));
}

/// LeCun, Bottou, Orr and Müller ("Efficient BackProp", 1998): normal, of variance 1 / fan_in, as Flax begins Dense and
/// Conv (jax.nn.initializers.lecun_normal). What lies beyond two deviations is drawn again; since that leaves .8796 of
/// the deviation, it is so much larger at first.
inline void lecun_normal(Var& weight, Rng& rng) {
  const real deviation = 1 / (real(0.87962566103423978) * std::sqrt(static_cast<real>(Fans(weight.shape()).in)));
  std::vector<real> kept;
  const auto wanted = static_cast<std::size_t>(weight.value().size());
  while (kept.size() < wanted)
    for (const real x : rng.normal({static_cast<Index>(wanted - kept.size())}).values())
      if (std::abs(x) <= 2) kept.push_back(deviation * x);
  weight.mutable_value().assign(Tensor(weight.shape(), kept));
}

}  // namespace bobbin
