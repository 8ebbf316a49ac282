#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/module.h"

namespace bobbin {

/// The values of all parameters under their names, to be saved. They share the parameters' numbers.
template <class Module>
std::map<std::string, Tensor> named_tensors(Module& module) {
  std::map<std::string, Tensor> tensors;
  for (auto& [name, parameter] : named_parameters(module)) tensors.emplace(name, parameter.value());
  return tensors;
}

/// Copies the tensors into the parameters of the same name. Parameters and tensors whose name begins with one of
/// `except` ("head.1." for a new head) are left alone.
/// Throws Error, with all that does not fit, unless each parameter has a tensor of its shape and the other way
/// round; then nothing has changed.
void load_parameters(std::vector<NamedParameter> parameters, const std::map<std::string, Tensor>& tensors,
                     const std::vector<std::string>& except = {});

template <class Module>
void load_parameters(Module& module, const std::map<std::string, Tensor>& tensors,
                     const std::vector<std::string>& except = {}) {
  load_parameters(named_parameters(module), tensors, except);
}

}  // namespace bobbin
