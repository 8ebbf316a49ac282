#include "autograd/tape.h"

#include <algorithm>
#include <atomic>

#include "tensor/check.h"
#include "tensor/functions.h"

namespace bobbin {
namespace {

thread_local Tape* current = nullptr;
std::atomic<std::uint64_t> tapes_made{0};
thread_local std::vector<TapeListener*> listeners;  // the youngest first

// A parameter to which this op's VJP gave a gradient, though no optimizer has it.
struct Untaken {
  std::weak_ptr<GradSlot> parameter;
  const char* op;
  std::string after;  // for one without a name: the last before it that has one

  // The parameter, while it has a gradient.
  std::shared_ptr<GradSlot> with_gradient() const {
    const auto alive = parameter.lock();
    return alive && alive->grad.defined() ? alive : nullptr;
  }
};
thread_local std::vector<Untaken> untaken;

void tell(auto what, auto&&... news) {
  for (TapeListener* listener : listeners) (listener->*what)(news...);
}

}  // namespace

void GradSlot::add(Tensor gradient) {
  check(gradient.shape() == shape, "gradient", "a gradient of shape ", gradient.shape(),
        " arrived for a value of shape ", shape);
  grad = grad.defined() ? std::move(grad) + std::move(gradient) : std::move(gradient);
}

Var Var::parameter(Tensor value) {
  check(value.defined(), "parameter", "needs a tensor, got an undefined one");
  Var leaf(std::move(value));
  leaf.slot_ = std::make_shared<GradSlot>(GradSlot{.shape = leaf.shape(), .grad = {}});
  return leaf;
}

Operand Var::operand() && {
  Operand result(value_);
  if (result.only_rounded()) {
    const Tensor gone = std::move(value_);  // the shape stays here
  }
  return result;
}

const Tensor& Var::grad() const {
  check(slot_ != nullptr, "grad", "a constant of shape ", shape(), " has no gradient; make it a Var::parameter");
  return slot_->grad;
}

Tensor Var::take_grad() {
  check(slot_ != nullptr, "take_grad", "a constant of shape ", shape(), " has no gradient; make it a Var::parameter");
  return std::exchange(slot_->grad, {});
}

void Var::add_grad(Tensor gradient) {
  check(slot_ != nullptr, "add_grad", "a constant of shape ", shape(), " has no gradient; make it a Var::parameter");
  slot_->add(std::move(gradient));
}

Tensor Var::mutable_value() {
  check(!slot_ || (slot_->waiting_edges == 0 && slot_->frozen_uses == 0), "mutable_value", "a parameter of shape ",
        shape(), " cannot change while a tape still needs it: run backward() or end the tape's scope first");
  return value_;
}

void Var::set_name(const std::string& name) {
  check(slot_ != nullptr, "set_name", name, " is a constant of shape ", shape(), "; make it a Var::parameter");
  slot_->name = name;
}

void Var::set_optimized(bool on) {
  check(slot_ != nullptr, "set_optimized", "a constant of shape ", shape(),
        " does not learn; make it a Var::parameter");
  slot_->optimizers += on ? 1 : -1;
}

void Var::freeze(bool on) {
  check(slot_ != nullptr, "freeze", "a constant of shape ", shape(), " does not learn anyway");
  slot_->frozen = on;
}

Tape::Tape() : outer_(std::exchange(current, this)), number_(++tapes_made) {}
Tape::~Tape() { current = outer_; }

Tape* Tape::recording() { return current && !current->spent_ ? current : nullptr; }

std::vector<std::string> Tape::ops() const {
  std::vector<std::string> names;
  for (const Node& node : nodes_) names.emplace_back(node.op);
  return names;
}

std::vector<Tape::Node> Tape::take_nodes() && {
  spent_ = true;
  return std::move(nodes_);
}

Edge::Edge(Var input, Vjp vjp)
    : inputs{std::move(input)},
      vjp([vjp = std::move(vjp)](Tensor dY) { return std::vector<Tensor>{vjp(std::move(dY))}; }) {}

Var record(const char* op, Tensor y, std::initializer_list<Edge> edges, ReadBy readers) {
  Var result(std::move(y));
  Tape* tape = Tape::recording();
  if (!tape) return result;
  Tape::Node node{.op = op, .output = {}, .edges = {}, .frozen = {}};
  for (const auto& [inputs, vjp] : edges) {
    for (const Var& input : inputs) {  // a gradient for a value of another tape would be put where nobody fetches it
      check(!input.slot() || input.slot()->tape == 0 || input.slot()->tape == tape->number_, op, "an input of shape ",
            input.shape(), " was recorded on another tape; take its value() to use it as a constant here");
      if (input.slot() && input.slot()->frozen) node.frozen.emplace_back(input);
    }
    if (std::ranges::any_of(inputs, &Var::requires_grad))
      node.edges.emplace_back(std::vector<Tape::Use>(inputs.begin(), inputs.end()), vjp);
  }
  if (!node.edges.empty()) {  // else it is a function of constants
    result.slot_ = std::make_shared<GradSlot>(
        GradSlot{.shape = result.shape(), .grad = {}, .tape = tape->number_, .readers = readers});
    node.output = result.slot_;
    tape->nodes_.push_back(std::move(node));
  }
  if (listeners.empty()) return result;
  std::vector<Var> inputs;
  for (const Edge& edge : edges) inputs.insert(inputs.end(), edge.inputs.begin(), edge.inputs.end());
  tell(&TapeListener::computed, op, inputs, result);
  return result;
}

Var record(const char* op, Tensor y, const std::vector<Var>& inputs, JointVjp vjp, ReadBy readers) {
  return record(op, std::move(y), {Edge(inputs, std::move(vjp))}, readers);
}

void Tape::check_loss(const Var& loss) const {
  check(!spent_, "backward",
        "this tape is spent: backward() has run and freed it; compute the loss again on a new Tape");
  check(loss.size() == 1, "backward", "the loss must be a single number, got the shape ", loss.shape(),
        "; take its mean() or sum()");
  check(loss.slot_ != nullptr, "backward",
        "the loss was not recorded: no Tape was in scope when it was computed, or it depends on no parameter");
  check(loss.slot_->tape == number_, "backward",
        loss.slot_->tape == 0 ? "the loss is a parameter itself: nothing was computed"
                              : "the loss was recorded on another tape");
}

void Tape::backward(const Var& loss) {
  check_loss(loss);
  spent_ = true;
  std::erase_if(untaken, [](const Untaken& u) { return !u.with_gradient(); });
  loss.slot_->add(Tensor::ones(loss.shape()));
  for (; !nodes_.empty(); nodes_.pop_back()) {  // each node is freed as soon as it has run
    Node& node = nodes_.back();
    Tensor dY = std::exchange(node.output->grad, {});
    const bool reached = dY.defined();  // else the loss does not depend on it
    if (reached) tell(&TapeListener::arrived, node, dY);
    for (auto& [inputs, vjp] : node.edges) {
      const bool last = &vjp == &node.edges.back().second;  // who gets dY alone may overwrite it
      // A VJP goes as soon as it has run, and what only it held is free for the next one's result.
      if (reached) hand_on(node, inputs, std::exchange(vjp, nullptr)(last ? std::move(dY) : dY));
      finish(std::move(inputs));
    }
  }
}

void Tape::hand_on(const Node& from, const std::vector<Use>& inputs, std::vector<Tensor> gradients) const {
  check(gradients.size() == inputs.size(), from.op, "backward returned ", gradients.size(), " gradients for ",
        inputs.size(), " inputs");
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    GradSlot* to = inputs[i].slot();
    if (!to) continue;
    check(gradients[i].defined() && gradients[i].shape() == to->shape, from.op,
          "backward returned a gradient of shape ", gradients[i].shape(), " for an input of shape ", to->shape);
    tell(&TapeListener::handed_on, from, *to, gradients[i]);
    if (to->tape == 0 && to->optimizers == 0 && !to->grad.defined()) note_untaken(from, inputs[i]);
    to->add(std::move(gradients[i]));
  }
}

// The nodes that are left were recorded before this one.
void Tape::note_untaken(const Node& from, const Use& parameter) const {
  std::string after;
  if (parameter.slot()->name.empty())
    for (auto node = nodes_.rbegin(); node != nodes_.rend() && after.empty(); ++node)
      for (const auto& [inputs, vjp] : node->edges)
        for (const Use& input : inputs)
          if (input.slot() && !input.slot()->name.empty()) after = input.slot()->name;
  untaken.push_back({parameter.slot_, from.op, std::move(after)});
}

void check_gradients_are_taken(const char* who) {
  for (const Untaken& u : untaken) {
    const auto parameter = u.with_gradient();
    if (!parameter || parameter->optimizers > 0) continue;
    if (!parameter->name.empty())
      fail(who, u.op, " uses ", parameter->name, ", of shape ", parameter->shape,
           ", which no optimizer has, so that it would not learn: make the optimizer of all named_parameters(model), "
           "or freeze() what is to stay as it is");
    fail(who, u.op, " uses a parameter of shape ", parameter->shape, u.after.empty() ? "" : ", after ", u.after,
         ", that no visit() names and no optimizer has, so that it would neither learn nor be saved: name it in the "
         "visit() of its layer, and the layer in that of the model");
  }
}

// Nothing more comes from these uses.
void Tape::finish(std::vector<Use> inputs) {
  for (Use& input : inputs) {
    const Use use = std::move(input);  // counted for the last time
    const GradSlot* slot = use.slot();
    if (slot && slot->tape == 0 && slot->waiting_edges == 1) tell(&TapeListener::finished, *use.slot());
  }
}

TapeListener::TapeListener() { listeners.insert(listeners.begin(), this); }
TapeListener::~TapeListener() { std::erase(listeners, this); }
void TapeListener::computed(const char*, const std::vector<Var>&, const Var&) {}
void TapeListener::arrived(const Tape::Node&, const Tensor&) {}
void TapeListener::handed_on(const Tape::Node&, const GradSlot&, const Tensor&) {}
void TapeListener::finished(GradSlot&) {}

}  // namespace bobbin
