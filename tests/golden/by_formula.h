#pragma once
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "nn/module.h"

/// The numbers of make_resnet.py: those of networks whose weights would be a file of megabytes.
namespace bobbin {

/// Numbers of at most 24 bits from -1 to 1: those that a hash function makes of begin, begin + 1, ...
inline std::vector<float> numbers_by_formula(std::uint32_t begin, Index count) {
  std::vector<float> numbers;
  for (Index i = 0; i < count; ++i) {
    std::uint32_t x = begin + static_cast<std::uint32_t>(i);
    x = (x ^ x >> 16) * 0x7feb352dU;
    x = (x ^ x >> 15) * 0x846ca68bU;
    x ^= x >> 16;
    numbers.push_back(static_cast<float>(x >> 8) / 0x1p23F - 1);
  }
  return numbers;
}

/// All weights and statistics of a module, in the order of their names; none stays 0 or 1. Counts stay 0.
template <class Module>
std::map<std::string, Tensor> weights_by_formula(Module& module) {
  std::map<std::string, Tensor> weights;
  std::uint32_t begin = 0;
  for (const auto& [name, tensor] : state_of(module).tensors()) {
    const Shape& shape = tensor.shape();
    if (shape.rank() == 0) {
      weights.emplace(name, Tensor::scalar(0));
      continue;
    }
    std::vector<float> numbers = numbers_by_formula(begin, tensor.size());
    begin += static_cast<std::uint32_t>(tensor.size());
    const double fans =
        shape.rank() > 1 ? static_cast<double>(shape.product(2, shape.rank()) * (shape[0] + shape[1])) : 1;
    const auto bound = static_cast<float>(std::sqrt(6 / fans));
    const bool around_one = name.ends_with("running_var") || name.ends_with("weight");
    for (float& x : numbers) x = shape.rank() > 1 ? bound * x : around_one ? 1 + 0.5F * x : 0.25F * x;
    weights.emplace(name, Tensor(shape, {numbers.begin(), numbers.end()}));
  }
  return weights;
}

}  // namespace bobbin
