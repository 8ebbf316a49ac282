#pragma once
#include <concepts>
#include <functional>
#include <string>
#include <type_traits>

#include "nn/state.h"

/// A module is a plain struct with an operator() and a visit() that names each member once:
///
///     struct ViTMLP {
///       Linear dense1, dense2;
///       Dropout dropout;
///       Var operator()(const Var& X) { return dropout(dense2(gelu(dense1(X)))); }
///       void visit(auto&& v) { v("dense1", dense1); v("dense2", dense2); v("dropout", dropout); }
///     };
///
/// No base class and nothing to register: what follows walks the names, through structs, vectors,
/// optionals and pointers down to the state itself. What a member is for, its type says:
///
/// | a member of type | is                                                                   |
/// |------------------|----------------------------------------------------------------------|
/// | Var              | learned: a parameter                                                 |
/// | Tensor           | kept: a buffer, such as a running mean, saved but not learned        |
/// | Count            | counted: a whole number, saved                                       |
/// | Rng              | drawn from: a stream of random numbers, which a checkpoint goes on with |
/// | Training         | switched by train() and eval()                                       |
///
/// Copies of a module share its parameters.
///
/// A parameter that visit() forgets would neither learn nor be saved: the first step of the optimizer that follows the
/// use of one throws an Error, see check_gradients_are_taken().
namespace bobbin {

/// Calls f(name, member) for every Var, Tensor, Count, Rng and Training in the module, in the order of visit().
/// Names are dotted as PyTorch's are: "blks.0.attention.W_q.weight".
template <class Node, class F>
void walk(Node& node, const F& f, const std::string& name = "") {
  static_assert(!std::is_arithmetic_v<Node>,
                "a number is no state: visit() names Var, Tensor, Count, Rng, Training and modules");
  const auto inside = [&](const std::string& member_name, auto& member) {
    walk(member, f, name.empty() ? member_name : name + "." + member_name);
  };
  if constexpr (std::same_as<Node, Var> || std::same_as<Node, Tensor> || std::same_as<Node, Count> ||
                std::same_as<Node, Rng> || std::same_as<Node, Training>)
    f(name, node);
  else if constexpr (requires { node.visit(inside); })
    node.visit(inside);
  else if constexpr (requires { node.begin(); })
    for (std::size_t i = 0; i < node.size(); ++i) inside(std::to_string(i), node[i]);
  else if constexpr (requires { *node, bool(node); }) {  // an optional or a pointer
    if (node) walk(*node, f, name);
  } else {  // ReLU has nothing to name. Where a visit() is forgotten, the first step of the optimizer tells
    static_assert(
        std::is_empty_v<Node> || std::invocable<Node&, const Var&>,
        "this is neither state nor a layer: visit() names Var, Tensor, Count, Rng, Training and modules, and a "
        "module that is not called with one Var needs a visit() of its own");
  }
}

/// All the state of a module; what is reached twice counts once, under its first name.
template <class Module>
State state_of(Module& module) {
  State state;
  walk(module, [&](const std::string& name, auto& member) { state.add(name, member); });
  return state;
}

/// The parameters of a module. One that is undefined (no bias) is left out.
template <class Module>
std::vector<NamedParameter> named_parameters(Module& module) {
  return state_of(module).parameters;
}

/// Puts the module into training mode (dropout on); eval(), into evaluation mode.
template <class Module>
void train(Module& module, bool on = true) {
  state_of(module).train(on);
}
template <class Module>
void eval(Module& module) {
  train(module, false);
}

/// Freezes the module: its parameters stay as they are from now on, and get no gradient, as after PyTorch's
/// requires_grad_(False). They are saved and loaded as before. freeze(model, false) makes them learn again.
///
///     freeze(model);
///     freeze(model.head, false);                 // only the head learns
///     SGD sgd(named_parameters(model));
template <class Module>
void freeze(Module& module, bool on = true) {
  for (auto& [name, parameter] : named_parameters(module)) parameter.freeze(on);
}

/// A type-erased reference to a module from images to logits, for the training loop. Refers to
/// the module, which must outlive it.
class ModuleRef {
 public:
  template <class Module>
  requires(!std::same_as<Module, ModuleRef>) ModuleRef(Module& module)
      : forward_([&module](const Var& X) { return module(X); }), state_([&module] { return state_of(module); }) {}

  Var operator()(const Var& X) const { return forward_(X); }
  State state() const { return state_(); }

 private:
  std::function<Var(const Var&)> forward_;
  std::function<State()> state_;
};

}  // namespace bobbin
