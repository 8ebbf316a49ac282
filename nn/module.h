#pragma once
#include <algorithm>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "autograd/watch/names.h"

/// A module is a plain struct with an operator() and a visit() that names each member once:
///
///     struct ViTMLP {
///       Linear dense1, dense2;
///       Var operator()(const Var& X) { return dense2(gelu(dense1(X))); }
///       void visit(auto&& v) { v("dense1", dense1); v("dense2", dense2); }
///     };
///
/// No base class and nothing to register: what follows walks the names, through structs and vectors
/// down to the parameters, which are Vars. Copies of a module share its parameters.
namespace bobbin {

/// Calls f(name, node) for the module, for everything inside it, and for the parameters themselves.
/// Names are dotted as PyTorch's are: "blks.0.attention.W_q.weight".
template <class Node, class F>
void walk(Node& node, const F& f, const std::string& name = "") {
  f(name, node);
  const auto inside = [&](const std::string& member_name, auto& member) {
    walk(member, f, name.empty() ? member_name : name + "." + member_name);
  };
  if constexpr (requires { node.visit(inside); })
    node.visit(inside);
  else if constexpr (requires { node.begin(); })
    for (std::size_t i = 0; i < node.size(); ++i) inside(std::to_string(i), node[i]);
  else if constexpr (requires { *node, bool(node); })  // an optional or a pointer
    if (node) walk(*node, f, name);
}

/// All parameters in the order of visit(), each once; a member that is undefined (no bias) is left out.
template <class Module>
std::vector<NamedParameter> named_parameters(Module& module) {
  std::vector<NamedParameter> found;
  walk(module, [&](const std::string& name, auto& node) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(node)>, Var>)
      if (node.defined() &&
          std::none_of(found.begin(), found.end(), [&](auto& known) { return known.second.is(node); }))
        found.emplace_back(name, node);
  });
  return found;
}

template <class Module>
std::vector<Var> parameters(Module& module) {
  std::vector<Var> found;
  for (auto& [name, parameter] : named_parameters(module)) found.push_back(parameter);
  return found;
}

/// How many numbers there are to learn.
template <class Module>
Index count_parameters(Module& module) {
  Index count = 0;
  for (const Var& parameter : parameters(module)) count += parameter.size();
  return count;
}

/// Drops the gradients that have arrived. An optimizer's step() takes them, so a training loop needs no
/// such call.
template <class Module>
void zero_grad(Module& module) {
  for (Var& parameter : parameters(module)) parameter.take_grad();
}

/// Switches dropout, and whatever else has a member `training`, on; eval() switches it off.
template <class Module>
void train(Module& module, bool on = true) {
  walk(module, [on](const std::string&, auto& node) {
    if constexpr (requires { node.training = on; }) node.training = on;
  });
}
template <class Module>
void eval(Module& module) {
  train(module, false);
}

}  // namespace bobbin
