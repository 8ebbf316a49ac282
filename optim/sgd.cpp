#include "optim/sgd.h"

#include <cmath>

#include "tensor/check.h"
#include "tensor/functions.h"

namespace bobbin {

SGD::SGD(std::vector<Var> parameters, SGDOptions options)
    : options(options), parameters_(std::move(parameters)), velocities_(parameters_.size()) {
  const auto check_setting = [](const char* name, real value) {
    check(std::isfinite(value) && value >= 0, "SGD", name, " must be 0 or more, got ", value);
  };
  check_setting("lr", options.lr);
  check_setting("momentum", options.momentum);
  check_setting("weight_decay", options.weight_decay);
  check(!options.nesterov || options.momentum > 0, "SGD", "nesterov needs a momentum above 0");
}

void SGD::step() {
  for (Var& parameter : parameters_)  // refused as a whole, before anything has moved
    if (parameter.grad().defined()) parameter.mutable_value();
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Var& parameter = parameters_[i];
    if (!parameter.grad().defined()) continue;
    Tensor w = parameter.mutable_value();
    sgd(w, parameter.take_grad(), velocities_[i],
        {options.lr, options.momentum, options.weight_decay, options.nesterov});
  }
}

void SGD::set_velocities(std::vector<Tensor> velocities) {
  check(velocities.size() == parameters_.size(), "SGD", "there are ", parameters_.size(), " parameters, got ",
        velocities.size(), " velocities");
  for (std::size_t i = 0; i < velocities.size(); ++i)
    check(!velocities[i].defined() || velocities[i].shape() == parameters_[i].shape(), "SGD", "velocity ", i,
          " has the shape ", velocities[i].shape(), ", its parameter ", parameters_[i].shape());
  velocities_ = std::move(velocities);
}

double clip_grad_norm(const std::vector<Var>& parameters, double max_norm) {
  check(max_norm > 0, "clip_grad_norm", "max_norm must be above 0, got ", max_norm);
  double squares = 0;
  for (const Var& parameter : parameters)
    if (parameter.grad().defined()) squares += std::pow(norm(parameter.grad()), 2);
  const double total = std::sqrt(squares), scale = max_norm / (total + 1e-6);
  if (scale < 1)
    for (Var parameter : parameters)
      if (parameter.grad().defined()) parameter.add_grad(parameter.take_grad() * static_cast<real>(scale));
  return total;
}

}  // namespace bobbin
