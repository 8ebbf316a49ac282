#pragma once
#include <vector>

#include "autograd/tape.h"

namespace bobbin {

/// The settings of SGD, named as torch.optim.SGD names them.
struct SGDOptions {
  real lr = real(0.1);
  real momentum = 0;
  real weight_decay = 0;
  bool nesterov = false;
};

/// Stochastic gradient descent, as torch.optim.SGD:
///     g = gradient + weight_decay·w;   v = momentum·v + g;   w -= lr · (nesterov ? g + momentum·v : v).
class SGD {
 public:
  SGDOptions options;  ///< may be changed between steps, as a schedule does with lr

  /// Throws Error for a negative or not finite setting, and for nesterov without momentum.
  SGD(std::vector<Var> parameters, SGDOptions options);

  /// Moves every parameter that has a gradient, and takes the gradient: the next one starts afresh.
  /// Throws Error while a tape still needs the parameters.
  void step();

  const std::vector<Var>& parameters() const { return parameters_; }
  /// The v of each parameter, in their order; undefined before its first step with momentum. A checkpoint keeps them.
  const std::vector<Tensor>& velocities() const { return velocities_; }
  /// Goes on with these; each is undefined or has its parameter's shape, else Error is thrown.
  void set_velocities(std::vector<Tensor> velocities);

 private:
  std::vector<Var> parameters_;
  std::vector<Tensor> velocities_;  // made at a parameter's first step with momentum
};

/// Scales all gradients by one factor so that the norm of them taken together is at most max_norm, as
/// torch.nn.utils.clip_grad_norm_; returns the norm before. Throws Error unless max_norm > 0.
double clip_grad_norm(const std::vector<Var>& parameters, double max_norm);

}  // namespace bobbin
