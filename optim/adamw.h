#pragma once
#include <cmath>
#include <vector>

#include "data/files/fields.h"
#include "optim/optimizer.h"
#include "tensor/check.h"
#include "tensor/functions.h"

/// Adam with decoupled weight decay.
namespace bobbin {

/// Options of AdamW, with the defaults of torch.optim.AdamW.
struct AdamWOptions {
  /// The optimizer, what --opt calls it, and a learning rate that usually suits it.
  using Rule = class AdamW;
  static constexpr const char* name = "adamw";
  static constexpr double usual_lr = 1e-3;

  std::vector<real> betas{real(0.9), real(0.999)};  ///< decay rates of the means: of gradients, of their squares
  real eps = real(1e-8);
  real weight_decay = real(0.01);

  void fields(Fields& f) {
    f("betas", betas,
      {.help = "beta1 and beta2, below 1: decay rates of the running means of gradient and squared gradient",
       .low = 0,
       .high = 1,
       .flag = "opt-betas"});
    f("eps", eps, {.help = "epsilon, added to the denominator", .low = 0, .high = 1, .flag = "opt-eps"});
    f("weight_decay", weight_decay,
      {.help = "decoupled weight decay; not of biases, norms, position embeddings and tokens", .low = 0, .high = 1e6});
  }
};

/// Adam with decoupled weight decay (Loshchilov, Hutter, 2019), as torch.optim.AdamW. In step t of a parameter
///     m = beta1·m + (1 - beta1)·g;   v = beta2·v + (1 - beta2)·g²;
///     w -= lr · (m/(1 - beta1^t) / (√(v/(1 - beta2^t)) + eps) + weight_decay·w).
class AdamW : public Optimizer {
 public:
  /// Throws Error unless there are two betas from 0 to below 1, and eps and weight_decay are 0 or more.
  explicit AdamW(std::vector<NamedParameter> parameters, AdamWOptions options = {},
                 const Decays& decays = decay_matrices)
      : Optimizer(std::move(parameters), decays, {"exp_avg", "exp_avg_sq"}, /*counts_steps=*/true),
        options_(std::move(options)) {
    const AdamWOptions& o = options_;
    check(o.betas.size() == 2, "AdamW", "there must be two betas, got ", o.betas.size());
    for (const real beta : o.betas) check(beta >= 0 && beta < 1, "AdamW", "betas must be in [0, 1), got ", beta);
    check(std::isfinite(o.eps) && o.eps >= 0, "AdamW", "eps must be 0 or more, got ", o.eps);
    check(std::isfinite(o.weight_decay) && o.weight_decay >= 0, "AdamW", "weight_decay must be 0 or more, got ",
          o.weight_decay);
  }

  const char* name() const override { return AdamWOptions::name; }

 private:
  void update(Tensor w, const Tensor& dW, Memory& memory, const StepSize& size) override {
    adamw(w, dW, memory.tensors[0], memory.tensors[1],
          {size.lr, size.momentum.value_or(options_.betas[0]), options_.betas[1], options_.eps,
           memory.decays ? options_.weight_decay : 0, memory.steps});
  }

  AdamWOptions options_;
};

}  // namespace bobbin
