#pragma once
#include <string>

#include "nn/module.h"
#include "tests/golden/golden.h"

/// Weights and gradients of a module, which a golden file has as PREFIX + NAME.
namespace bobbin {

/// Puts the file's weights in place of the module's own.
template <class Module>
void load(Module& module, const Golden& golden, const std::string& prefix) {
  for (auto& [name, parameter] : named_parameters(module)) {
    const Tensor weight = golden.tensor(prefix + name);
    REQUIRE(weight.shape() == parameter.shape());
    parameter.mutable_value().assign(weight);
  }
}

/// Takes each parameter's gradient and compares it with the file's. A gradient that is 0 in exact arithmetic
/// (that of W_k.bias, for softmax does not see a shift) is rounding error and compared absolutely.
template <class Module>
void check_gradients(Module& module, const Golden& golden, const std::string& prefix) {
  for (auto& [name, parameter] : named_parameters(module)) {
    REQUIRE(parameter.grad().defined());
    check_golden(prefix + name, parameter.take_grad(), golden.tensor(prefix + name));
  }
}

}  // namespace bobbin
