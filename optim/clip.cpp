#include "optim/clip.h"

#include <cmath>

#include "tensor/check.h"
#include "tensor/functions.h"

namespace bobbin {
namespace {

[[noreturn]] void refuse(const std::string& name, const Tensor& gradient) {
  const Range found = range(gradient);
  fail("clip_grad_norm", "the gradient of ", name, ", ", gradient.size(), " numbers, has ", found.nan, " NaN and ",
       found.inf, " infinite ones, which no factor makes finite; anomaly detection finds the op that made them");
}

}  // namespace

double clip_grad_norm(const std::vector<NamedParameter>& parameters, double max_norm) {
  check(max_norm > 0, "clip_grad_norm", "max_norm must be above 0, got ", max_norm);
  std::vector<std::string> names;
  std::vector<Tensor> gradients;
  for (const auto& [name, parameter] : parameters)
    if (parameter.grad().defined()) names.push_back(name), gradients.push_back(parameter.grad());
  const std::vector<double> lengths = norms(gradients);
  double squares = 0;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (!std::isfinite(lengths[i])) refuse(names[i], gradients[i]);
    squares += lengths[i] * lengths[i];
  }
  gradients.clear();  // so that they are scaled where they are
  const double total = std::sqrt(squares), scale = max_norm / (total + 1e-6);
  if (scale < 1)
    for (auto [name, parameter] : parameters)
      if (parameter.grad().defined()) parameter.add_grad(parameter.take_grad() * static_cast<real>(scale));
  return total;
}

}  // namespace bobbin
