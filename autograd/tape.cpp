#include "autograd/tape.h"

#include <atomic>

#include "autograd/watch/anomaly.h"
#include "tensor/check.h"
#include "tensor/functions.h"

namespace bobbin {
namespace {

thread_local Tape* current = nullptr;
std::atomic<std::uint64_t> tapes_made{0};

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

const Tensor& Var::grad() const {
  check(requires_grad(), "grad", "a constant of shape ", shape(), " has no gradient; make it a Var::parameter");
  return slot_->grad;
}

Tensor Var::take_grad() {
  check(requires_grad(), "take_grad", "a constant of shape ", shape(), " has no gradient; make it a Var::parameter");
  return std::exchange(slot_->grad, {});
}

void Var::add_grad(Tensor gradient) {
  check(requires_grad(), "add_grad", "a constant of shape ", shape(), " has no gradient; make it a Var::parameter");
  slot_->add(std::move(gradient));
}

Tensor Var::mutable_value() {
  check(!slot_ || slot_->waiting_edges == 0, "mutable_value", "a parameter of shape ", shape(),
        " cannot change while a tape still needs it: run backward() or end the tape's scope first");
  return value_;
}

Tape::Tape() : outer_(std::exchange(current, this)), number_(++tapes_made) {}
Tape::~Tape() { current = outer_; }

Tape* Tape::recording() { return current && !current->spent_ ? current : nullptr; }

std::vector<std::string> Tape::ops() const {
  std::vector<std::string> names;
  for (const Node& node : nodes_) names.emplace_back(node.op);
  return names;
}

// A gradient for a value of another tape would be put down where nobody fetches it.
void Tape::check_input(const char* op, const Var& input) const {
  check(!input.slot_ || input.slot_->tape == 0 || input.slot_->tape == number_, op, "an input of shape ", input.shape(),
        " was recorded on another tape; take its value() to use it as a constant here");
}

Var Tape::append(Node node, Tensor y) {
  Var result(std::move(y));
  if (node.edges.empty() && node.joint_edges.empty()) return result;  // a function of constants
  result.slot_ = std::make_shared<GradSlot>(GradSlot{.shape = result.shape(), .grad = {}, .tape = number_});
  node.output = result.slot_;
  nodes_.push_back(std::move(node));
  return result;
}

Var record(const char* op, Tensor y, std::initializer_list<Edge> edges) {
  Tape* tape = Tape::recording();
  if (!tape) return Var(std::move(y));
  Tape::Node node{.op = op, .output = {}, .edges = {}, .joint_edges = {}, .joint = {}};
  for (const Edge& edge : edges) {
    tape->check_input(op, edge.input);
    if (edge.input.slot_) node.edges.emplace_back(Tape::Use(edge.input.slot_), edge.vjp);
  }
  Var result = tape->append(std::move(node), std::move(y));
  if (DetectAnomaly* detect = DetectAnomaly::current()) {
    std::vector<Var> inputs;
    for (const Edge& edge : edges) inputs.push_back(edge.input);
    detect->forward(op, inputs, result);
  }
  return result;
}

Var record(const char* op, Tensor y, const std::vector<Var>& inputs, JointVjp vjp) {
  Tape* tape = Tape::recording();
  if (!tape) return Var(std::move(y));
  Tape::Node node{.op = op, .output = {}, .edges = {}, .joint_edges = {}, .joint = std::move(vjp)};
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    tape->check_input(op, inputs[i]);
    if (inputs[i].slot_) node.joint_edges.emplace_back(Tape::Use(inputs[i].slot_), i);
  }
  Var result = tape->append(std::move(node), std::move(y));
  if (DetectAnomaly* detect = DetectAnomaly::current()) detect->forward(op, inputs, result);
  return result;
}

void Tape::hand_on(const Node& from, const Use& to, Tensor gradient, const Tensor& dY) {
  check(gradient.defined() && gradient.shape() == to->shape, from.op, "backward returned a gradient of shape ",
        gradient.shape(), " for an input of shape ", to->shape);
  if (const DetectAnomaly* detect = DetectAnomaly::current())
    detect->backward(from.op, from.output.get(), to.get(), gradient, dY);
  to->add(std::move(gradient));
}

void Tape::backward(const Var& loss) {
  check(!spent_, "backward",
        "this tape is spent: backward() has run and freed it; compute the loss again on a new Tape");
  check(loss.size() == 1, "backward", "the loss must be a single number, got the shape ", loss.shape(),
        "; take its mean() or sum()");
  check(loss.slot_ != nullptr, "backward",
        "the loss was not recorded: no Tape was in scope when it was computed, or it depends on no parameter");
  check(loss.slot_->tape == number_, "backward",
        loss.slot_->tape == 0 ? "the loss is a parameter itself: nothing was computed"
                              : "the loss was recorded on another tape");
  spent_ = true;
  loss.slot_->add(Tensor::ones(loss.shape()));
  for (; !nodes_.empty(); nodes_.pop_back()) {
    Node& node = nodes_.back();
    Tensor dY = std::exchange(node.output->grad, {});
    if (!dY.defined()) continue;                                      // the loss does not depend on it
    const Tensor arrived = DetectAnomaly::current() ? dY : Tensor();  // dY itself may be overwritten
    for (std::size_t i = 0; i < node.edges.size(); ++i) {
      auto& [input, vjp] = node.edges[i];
      const bool last = i + 1 == node.edges.size();  // who gets dY alone may overwrite it
      // A VJP goes as soon as it has run, and what only it held is free for the next one's result.
      hand_on(node, input, std::exchange(vjp, nullptr)(last ? std::move(dY) : dY), arrived);
    }
    if (!node.joint) continue;
    std::vector<Tensor> gradients = node.joint(std::move(dY));
    for (auto& [input, place] : node.joint_edges) {
      check(place < gradients.size(), node.op, "backward returned ", gradients.size(),
            " gradients, but there is an input ", place);
      hand_on(node, input, std::move(gradients[place]), arrived);
    }
  }
}

}  // namespace bobbin
