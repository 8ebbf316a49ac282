#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "autograd/watch/names.h"

/// What all optimizers share: parameters with names, which of them decay, and what is remembered of each.
namespace bobbin {

/// How far one step goes. A number alone is the learning rate: sgd.step(0.1).
struct StepSize {
  real lr;
  std::optional<real> momentum;  ///< in place of the rule's own: SGD's momentum, AdamW's beta1; OneCycleLR cycles it

  StepSize(real lr, std::optional<real> momentum = {}) : lr(lr), momentum(momentum) {}
};

/// Says which parameters weight decay pulls towards zero.
using Decays = std::function<bool(const std::string& name, const Shape& shape)>;
/// All of them, as torch.optim does.
bool decay_all(const std::string& name, const Shape& shape);
/// timm's grouping: not those of rank 0 and 1 (the scales and shifts of norms), not NAME.bias, and neither positions
/// nor tokens (pos_embedding, cls_token, dist_token).
bool decay_matrices(const std::string& name, const Shape& shape);

/// What moves parameters along their gradients. SGD and AdamW derive from it and say how one parameter moves; the rest
/// is here: which gradients there are, and what the rule remembers of each parameter from step to step.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// Of the rule: "sgd", "adamw".
  virtual const char* name() const = 0;
  const std::vector<NamedParameter>& parameters() const { return parameters_; }

  /// Moves every parameter that has a gradient, and takes the gradient: the next one starts afresh.
  /// Throws Error, before anything has moved, while a tape still needs one of the parameters, and unless lr is 0 or
  /// more and the momentum in [0, 1).
  void step(StepSize size);

  /// What the rule remembers, under torch.optim's names and the parameter's: "exp_avg.head.weight". The tensors share
  /// its numbers. "step.head.weight", where steps are counted, is a scalar. A parameter that never moved has nothing.
  std::map<std::string, Tensor> state() const;
  /// Throws Error unless load_state() would take the tensors.
  void check_state(const std::map<std::string, Tensor>& tensors) const { memories_from(tensors); }
  /// Goes on with copies of what state() returned. Throws Error, and changes nothing, if a name or a shape does not
  /// fit the parameters.
  void load_state(const std::map<std::string, Tensor>& tensors);

 protected:
  /// What is remembered of one parameter.
  struct Memory {
    bool decays = true;
    Index steps = 0;              ///< that it has moved
    std::vector<Tensor> tensors;  ///< each undefined before the first step
  };

  /// `names` are those of the tensors that a Memory has, torch.optim's; counts_steps says whether `steps` matters.
  /// Throws Error if two parameters have the same name.
  Optimizer(std::vector<NamedParameter> parameters, const Decays& decays, std::vector<std::string> names,
            bool counts_steps = false);

  /// Moves one parameter, whose numbers are w and whose gradient is dW. This step is counted in memory.steps.
  virtual void update(Tensor w, const Tensor& dW, Memory& memory, const StepSize& size) = 0;

 private:
  std::vector<Memory> memories_from(const std::map<std::string, Tensor>& tensors) const;

  std::vector<NamedParameter> parameters_;
  std::vector<Memory> memories_;
  std::vector<std::string> names_;
  bool counts_steps_;
};

}  // namespace bobbin
