#pragma once
#include <cmath>

#include "data/files/fields.h"
#include "optim/optimizer.h"
#include "tensor/check.h"
#include "tensor/functions.h"

/// Stochastic gradient descent with momentum.
namespace bobbin {

/// Options of SGD, named as torch.optim.SGD names them.
struct SGDOptions {
  /// The optimizer, what --opt calls it, and a learning rate that usually suits it.
  using Rule = class SGD;
  static constexpr const char* name = "sgd";
  static constexpr double usual_lr = 0.1;

  real momentum = 0;
  real weight_decay = 0;
  bool nesterov = false;

  void fields(Fields& f) {
    f("momentum", momentum, {.help = "momentum, below 1", .low = 0, .high = 0.99999});
    f("nesterov", nesterov, {.help = "Nesterov momentum"});
    f("weight_decay", weight_decay, {.help = "weight decay (L2 penalty) of all parameters", .low = 0, .high = 1e6});
  }
};

/// Stochastic gradient descent, as torch.optim.SGD:
///     g = gradient + weight_decay·w;   v = momentum·v + g;   w -= lr · (nesterov ? g + momentum·v : v).
class SGD : public Optimizer {
 public:
  /// Throws Error for a negative or not finite setting, and for nesterov without momentum.
  explicit SGD(std::vector<NamedParameter> parameters, SGDOptions options = {}, const Decays& decays = decay_all)
      : Optimizer(std::move(parameters), decays, {"momentum_buffer"}), options_(options) {
    const auto check_setting = [](const char* name, real value) {
      check(std::isfinite(value) && value >= 0, "SGD", name, " must be 0 or more, got ", value);
    };
    check_setting("momentum", options.momentum);
    check_setting("weight_decay", options.weight_decay);
    check(!options.nesterov || options.momentum > 0, "SGD", "nesterov needs a momentum above 0");
  }

  const char* name() const override { return SGDOptions::name; }

 private:
  void update(Tensor w, const Tensor& dW, Memory& memory, const StepSize& size) override {
    sgd(w, dW, memory.tensors[0],
        {.lr = size.lr,
         .momentum = size.momentum.value_or(options_.momentum),
         .weight_decay = memory.decays ? options_.weight_decay : 0,
         .nesterov = options_.nesterov});
  }

  SGDOptions options_;
};

}  // namespace bobbin
