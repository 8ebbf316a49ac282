#pragma once
#include <concepts>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "autograd/watch/names.h"

/// The base of all optimizers: named parameters, which of them decay, and the state of each; several as one.
namespace bobbin {

/// Learning rate, and momentum, of one step. A number alone is the learning rate: sgd.step(0.1).
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
/// nor tokens (pos_embedding, cls_token, dist_token, reg_token, relative_position_bias_table).
bool decay_matrices(const std::string& name, const Shape& shape);

/// An optimizer: updates parameters by their gradients. SGD and AdamW derive from it and implement the update of one
/// parameter; the state of each parameter is kept here.
class Optimizer {
 public:
  virtual ~Optimizer();
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// "sgd", "adamw".
  virtual const char* name() const = 0;
  const std::vector<NamedParameter>& parameters() const { return parameters_; }

  /// Updates every parameter that has a gradient, and clears the gradient.
  /// Throws Error, before any update, while a tape still needs one of the parameters; if a parameter has a gradient and
  /// is neither here nor in another optimizer, because a visit() forgot it or it was left out, see
  /// check_gradients_are_taken(); and unless lr is 0 or more and the momentum in [0, 1).
  /// What is to stay as it is, freeze() says: see nn/module.h.
  void step(StepSize size);

  /// From now on each parameter learns at `scale` of its name times the learning rate; such as layer_decay_of().
  /// Throws Error for a scale that is not 0 or more.
  void scale_lr(const std::function<real(const std::string& name)>& scale);

  /// The state, under torch.optim's names and the parameter's: "exp_avg.head.weight". The tensors share its numbers.
  /// "step.head.weight", where steps are counted, is a scalar. A parameter without updates has none.
  std::map<std::string, Tensor> state() const;
  /// Throws Error unless load_state() would take the tensors.
  void check_state(const std::map<std::string, Tensor>& tensors) const { memories_from(tensors); }
  /// Goes on with copies of what state() returned. Throws Error, and changes nothing, if a name or a shape does not
  /// fit the parameters.
  void load_state(const std::map<std::string, Tensor>& tensors);

 protected:
  /// State of one parameter.
  struct Memory {
    bool decays = true;
    Index steps = 0;              ///< number of updates
    std::vector<Tensor> tensors;  ///< each undefined before the first step
  };

  /// `names` are those of the tensors that a Memory has, torch.optim's; counts_steps says whether `steps` matters.
  /// Throws Error if there are no parameters, two have the same name, or one is a constant.
  Optimizer(std::vector<NamedParameter> parameters, const Decays& decays, std::vector<std::string> names,
            bool counts_steps = false);

  /// Updates one parameter, w, by its gradient dW. memory.steps counts this step already.
  virtual void update(Tensor w, const Tensor& dW, Memory& memory, const StepSize& size) = 0;

 private:
  std::vector<Memory> memories_from(const std::map<std::string, Tensor>& tensors) const;

  std::vector<NamedParameter> parameters_;
  std::vector<Memory> memories_;
  std::vector<real> lr_scales_;  // of each; empty: 1
  std::vector<std::string> names_;
  bool counts_steps_;
};

/// The optimizers of a model, one or several, each for parameters of its own: `adamw`, or `{body, head}`. Refers to
/// them.
class Optimizers {
 public:
  /// One for all.
  Optimizers(Optimizer& one) : all_{one} {}
  /// Says in a sentence what is wrong with an optimizer that is none.
  template <class Other>
  requires(!std::convertible_to<Other&, Optimizer&> && !std::same_as<std::remove_const_t<Other>, Optimizers>)
      Optimizers(Other&) {
    static_assert(!sizeof(Other),
                  "an optimizer is derived from Optimizer, and its update() moves one parameter; see "
                  "optim/sgd.h");
  }
  /// Throws Error if two of them have the same parameter, or there are none.
  Optimizers(std::initializer_list<std::reference_wrapper<Optimizer>> all);

  /// For loops over them.
  auto begin() const { return all_.begin(); }
  auto end() const { return all_.end(); }
  /// "adamw"; of several "adamw, sgd".
  std::string name() const;
  /// Of all.
  std::vector<NamedParameter> parameters() const;
  /// As those of Optimizer. Where there are several, a name begins with the number of its own: "0.exp_avg.head.weight".
  std::map<std::string, Tensor> state() const;
  void load_state(const std::map<std::string, Tensor>& tensors) const;
  void check_state(const std::map<std::string, Tensor>& tensors) const;

 private:
  std::map<std::string, Tensor> part(const std::map<std::string, Tensor>& tensors, std::size_t i) const;

  std::vector<std::reference_wrapper<Optimizer>> all_;
};

}  // namespace bobbin
