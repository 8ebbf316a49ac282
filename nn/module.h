#pragma once
#include <concepts>
#include <functional>
#include <iterator>
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

// For a static_assert that is to speak only where it stands.
template <class...>
inline constexpr bool never = false;

template <class Node, class F>
void walk(Node& node, const F& f, const std::string& name = "");

/// What visit() is given: v("weight", weight).
template <class F>
struct Visitor {
  const F& f;
  const std::string& path;

  /// Walks on into a member: a tensor, a module, or a list of them. Anything else does not compile, and says why.
  template <class Name, class... Member>
  void operator()(Name&& member_name, Member&&... member) const {
    if constexpr (std::is_convertible_v<Name, std::string> && sizeof...(Member) == 1 &&
                  (std::is_lvalue_reference_v<Member> && ...))
      (walk(member, f, path.empty() ? std::string(member_name) : path + "." + member_name), ...);
    else
      static_assert(never<Name>, "visit() gives each member with its name, one at a time: v(\"weight\", weight)");
  }
};

/// Calls f(name, member) for every Var, Tensor, Count, Rng and Training in the module, in the order of visit().
/// Names are dotted as PyTorch's are: "blks.0.attention.W_q.weight".
template <class Node, class F>
void walk(Node& node, const F& f, const std::string& name) {
  const Visitor<F> inside{f, name};
  if constexpr (std::is_const_v<Node>)
    static_assert(never<Node>,
                  "a const module can neither learn nor be loaded or switched: named_parameters(), train(), eval() and "
                  "the like need one that is not const, and so do its visit() and its members");
  else if constexpr (std::is_arithmetic_v<Node>)
    static_assert(never<Node>, "a number is no state: visit() names Var, Tensor, Count, Rng, Training and modules");
  else if constexpr (std::same_as<Node, Var> || std::same_as<Node, Tensor> || std::same_as<Node, Count> ||
                     std::same_as<Node, Rng> || std::same_as<Node, Training>)
    f(name, node);
  else if constexpr (requires { node.visit(inside); })
    node.visit(inside);
  else if constexpr (
      requires { std::size(node), node[std::size_t{0}]; } && !requires { typename Node::key_type; })
    for (std::size_t i = 0; i < std::size(node); ++i) inside(std::to_string(i), node[i]);
  else if constexpr (requires { *node, bool(node); } && !std::invocable<Node&, const Var&>) {  // optional or pointer
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
///     freeze(model, "blks.0.*");                 // by their names
///     SGD sgd(named_parameters(model));
template <class Module>
void freeze(Module& module, std::same_as<bool> auto on) {
  state_of(module).freeze("*", on);
}
template <class Module>
void freeze(Module& module) {
  freeze(module, true);
}
/// Those whose whole name the pattern fits, where * stands for anything, as the shell has it (fnmatch).
/// Throws Error, with some of the names, if it fits none.
template <class Module>
void freeze(Module& module, const std::string& names, bool on = true) {
  state_of(module).freeze(names, on);
}

/// A type-erased reference to a module from images to logits, for the training loop. Refers to
/// the module, which must outlive it.
class ModuleRef {
 public:
  /// Refers to a module that is called with images, a Var, and returns logits.
  template <class Module>
  requires(!std::same_as<std::remove_const_t<Module>, ModuleRef>) ModuleRef(Module& module)
      : state_([&module] { return state_of(module); }) {
    if constexpr (std::is_invocable_r_v<Var, Module&, const Var&>)
      forward_ = [&module](const Var& X) -> Var { return module(X); };
    else
      static_assert(std::is_const_v<Module>,
                    "a model that is called with images is called with one Var and returns one; the Trainer trains any "
                    "other without a loss: Trainer(model, optimizer, rng, options)");
  }

  Var operator()(const Var& X) const { return forward_(X); }
  /// All that its visit() names.
  State state() const { return state_(); }

 private:
  std::function<Var(const Var&)> forward_;
  std::function<State()> state_;
};

}  // namespace bobbin
