#include "optim/optimizer.h"

#include <cmath>
#include <set>

#include "tensor/check.h"

namespace bobbin {

bool decay_all(const std::string&, const Shape&) { return true; }

bool decay_matrices(const std::string& name, const Shape& shape) {
  const std::string last = name.substr(name.rfind('.') + 1);
  return shape.rank() > 1 && last != "bias" && last != "pos_embedding" && last != "cls_token" && last != "dist_token" &&
         last != "reg_token" && last != "relative_position_bias_table";
}

Optimizer::Optimizer(std::vector<NamedParameter> parameters, const Decays& decays, std::vector<std::string> names,
                     bool counts_steps)
    : parameters_(std::move(parameters)), names_(std::move(names)), counts_steps_(counts_steps) {
  check(!parameters_.empty(), "Optimizer",
        "there is no parameter to learn: does the model have a visit() that names its layers?");
  std::set<std::string> known;
  for (auto& [name, parameter] : parameters_) {
    check(known.insert(name).second, "Optimizer", "two parameters are called ", Quoted{name},
          "; each needs a name of its own");
    parameter.set_name(name);
    memories_.push_back({decays(name, parameter.shape()), 0, std::vector<Tensor>(names_.size())});
  }
  for (auto& [name, parameter] : parameters_) parameter.set_optimized(true);
}

Optimizer::~Optimizer() {
  for (auto& [name, parameter] : parameters_) parameter.set_optimized(false);
}

void Optimizer::step(StepSize size) {
  check(std::isfinite(size.lr) && size.lr >= 0, name(), "lr must be 0 or more, got ", size.lr);
  const real momentum = size.momentum.value_or(0);
  check(momentum >= 0 && momentum < 1, name(), "the momentum of a step must be in [0, 1), got ", momentum);
  check_gradients_are_taken(name());
  for (auto& [name, parameter] : parameters_)  // refused as a whole, before anything has moved
    if (parameter.grad().defined()) parameter.mutable_value();
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Var& parameter = parameters_[i].second;
    if (!parameter.grad().defined()) continue;
    ++memories_[i].steps;
    const StepSize own{lr_scales_.empty() ? size.lr : size.lr * lr_scales_[i], size.momentum};
    update(parameter.mutable_value(), parameter.take_grad(), memories_[i], own);
  }
}

void Optimizer::scale_lr(const std::function<real(const std::string& name)>& scale) {
  lr_scales_.clear();
  for (const auto& [name, parameter] : parameters_) {
    lr_scales_.push_back(scale(name));
    check(std::isfinite(lr_scales_.back()) && lr_scales_.back() >= 0, this->name(), "the learning rate of ", name,
          " cannot be scaled by ", lr_scales_.back());
  }
}

std::map<std::string, Tensor> Optimizer::state() const {
  std::map<std::string, Tensor> all;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const auto& [name, parameter] = parameters_[i];
    const Memory& memory = memories_[i];
    for (std::size_t k = 0; k < names_.size(); ++k)
      if (memory.tensors[k].defined()) all.emplace(names_[k] + "." + name, memory.tensors[k]);
    if (counts_steps_ && memory.steps > 0) all.emplace("step." + name, Tensor::scalar(static_cast<real>(memory.steps)));
  }
  return all;
}

// The memories with these tensors.
std::vector<Optimizer::Memory> Optimizer::memories_from(const std::map<std::string, Tensor>& tensors) const {
  std::vector<Memory> fitting = memories_;
  std::set<std::string> unexpected;
  for (const auto& [key, tensor] : tensors) unexpected.insert(key);
  const auto take = [&](const std::string& key, const Shape& shape) {
    const auto found = tensors.find(key);
    if (found == tensors.end()) return Tensor();
    unexpected.erase(key);
    check(found->second.shape() == shape, name(), "the state ", key, " has the shape ", found->second.shape(),
          ", expected ", shape);
    return found->second;
  };
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const auto& [name, parameter] = parameters_[i];
    Memory& memory = fitting[i];
    std::size_t known = 0;
    for (std::size_t k = 0; k < names_.size(); ++k) {
      memory.tensors[k] = take(names_[k] + "." + name, parameter.shape());
      known += memory.tensors[k].defined();
    }
    if (!counts_steps_) continue;
    const Tensor steps = take("step." + name, {});
    const double count = steps.defined() ? double{steps.item()} : 0;
    check(known == (steps.defined() ? names_.size() : 0), this->name(), "the state of ", name, " is not whole");
    check(!steps.defined() || (count >= 1 && count < 1e15), this->name(), "the state step.", name, " is ", count,
          ", expected 1 or more");
    memory.steps = static_cast<Index>(count);
  }
  check(unexpected.empty(), name(), "the state ", Quoted{unexpected.empty() ? "" : *unexpected.begin()},
        " belongs to no parameter");
  return fitting;
}

void Optimizer::load_state(const std::map<std::string, Tensor>& tensors) {
  memories_ = memories_from(tensors);
  for (Memory& memory : memories_)
    for (Tensor& tensor : memory.tensors)
      if (tensor.defined()) tensor = tensor.clone();
}

Optimizers::Optimizers(std::initializer_list<std::reference_wrapper<Optimizer>> all) : all_(all) {
  check(!all_.empty(), "Optimizers", "there is none");
  const std::vector<NamedParameter> every = parameters();
  for (auto a = every.begin(); a != every.end(); ++a)
    for (auto b = every.begin(); b != a; ++b)
      check(!a->second.is(b->second), "Optimizers", "two have the same parameter, ", a->first, ": it would move twice");
}

std::string Optimizers::name() const {
  std::string names;
  for (const Optimizer& one : all_) names += (names.empty() ? "" : ", ") + std::string(one.name());
  return names;
}

std::vector<NamedParameter> Optimizers::parameters() const {
  std::vector<NamedParameter> all;
  for (const Optimizer& one : all_) all.insert(all.end(), one.parameters().begin(), one.parameters().end());
  return all;
}

std::map<std::string, Tensor> Optimizers::state() const {
  if (all_.size() == 1) return all_[0].get().state();
  std::map<std::string, Tensor> all;
  for (std::size_t i = 0; i < all_.size(); ++i)
    for (const auto& [name, tensor] : all_[i].get().state()) all.emplace(std::to_string(i) + "." + name, tensor);
  return all;
}

// The tensors of the i-th.
std::map<std::string, Tensor> Optimizers::part(const std::map<std::string, Tensor>& tensors, std::size_t i) const {
  if (all_.size() == 1) return tensors;
  const std::string prefix = std::to_string(i) + ".";
  std::map<std::string, Tensor> its;
  for (const auto& [name, tensor] : tensors)
    if (name.starts_with(prefix)) its.emplace(name.substr(prefix.size()), tensor);
  return its;
}

void Optimizers::check_state(const std::map<std::string, Tensor>& tensors) const {
  std::size_t known = 0;
  for (std::size_t i = 0; i < all_.size(); ++i) {
    const auto its = part(tensors, i);
    all_[i].get().check_state(its);
    known += its.size();
  }
  check(known == tensors.size(), "Optimizers", "the state has tensors of ", tensors.size() - known, " more than ",
        all_.size(), " optimizers");
}

void Optimizers::load_state(const std::map<std::string, Tensor>& tensors) const {
  check_state(tensors);
  for (std::size_t i = 0; i < all_.size(); ++i) all_[i].get().load_state(part(tensors, i));
}

}  // namespace bobbin
