#include "autograd/watch/anomaly.h"

#include <iomanip>
#include <sstream>
#include <utility>

#include "tensor/check.h"

namespace bobbin {
namespace {

// "(64, 17, 96), -3.12 to 4.5, 2 NaN, 1 infinite".
std::string describe(const Shape& shape, const Range& r) {
  std::ostringstream text;
  text << std::setprecision(4) << shape;
  if (r.min <= r.max) text << ", " << r.min << " to " << r.max;
  if (r.nan > 0) text << ", " << r.nan << " NaN";
  if (r.inf > 0) text << ", " << r.inf << " infinite";
  return text.str();
}

}  // namespace

DetectAnomaly::DetectAnomaly(const std::vector<NamedParameter>& parameters) {
  for (const auto& [name, parameter] : parameters) {
    const Range numbers = range(parameter.value());
    const std::string values = describe(parameter.shape(), numbers), layer = parent(name);
    check(numbers.finite(), "detect_anomaly", "parameter ", name, " is not finite before the step: ", values);
    known_[parameter.slot()] = {
        .name = "parameter " + name, .layer = layer.empty() ? name : layer, .values = values, .is_parameter = true};
  }
}

const DetectAnomaly::Known* DetectAnomaly::find(const GradSlot* slot) const {
  const auto found = known_.find(slot);
  return found == known_.end() ? nullptr : &found->second;
}

// An op is "of" the layer whose parameters it uses. One that uses none is "after" that of the latest of its inputs.
void DetectAnomaly::name(Known& op, const std::vector<Var>& inputs) const {
  bool has_parameters = false;
  std::size_t latest = 0;
  for (const Var& input : inputs) {
    const Known* known = find(input.slot());
    if (!known) continue;
    if (known->is_parameter)
      op.layer = std::exchange(has_parameters, true) ? common(op.layer, known->layer) : known->layer;
    else if (!has_parameters && known->number >= latest)
      latest = known->number, op.layer = known->layer;
  }
  if (!op.layer.empty()) op.name += (has_parameters ? " of " : " after ") + op.layer;
}

void DetectAnomaly::computed(const char* op, const std::vector<Var>& inputs, const Var& result) {
  Known made{.name = op, .number = ++computed_};
  name(made, inputs);
  std::string cause;
  for (const Var& input : inputs) {
    if (const Known* known = find(input.slot())) {
      made.inputs += "\n  from " + known->name + ": " + known->values;
    } else if (input.defined()) {
      const bool constant = !input.requires_grad();
      const char* kind = constant ? "a constant" : "a parameter without a name";
      const Range numbers = range(input.value());
      made.inputs += std::string("\n  from ") + kind + ": " + describe(input.shape(), numbers);
      if (!numbers.finite())
        cause = constant ? ", as the data, a constant, hold one" : ", as a parameter without a name holds one";
    } else if (input.rank() > 0) {  // else there is no such input: no bias
      made.inputs += "\n  from a constant, overwritten since";
    }
  }
  const Range numbers = range(result.value());
  made.values = describe(result.shape(), numbers);
  check(numbers.finite(), "detect_anomaly", made.name, " gave the first number that is not finite", cause,
        ":\n  result: ", made.values, made.inputs);
  if (result.slot()) known_[result.slot()] = std::move(made);
}

void DetectAnomaly::arrived(const Tape::Node&, const Tensor& dY) { dY_ = dY; }

void DetectAnomaly::handed_on(const Tape::Node& node, const GradSlot& input, const Tensor& gradient) {
  const Range numbers = range(gradient);
  if (numbers.finite()) return;
  const Range sum = range(dY_);
  const Known *from = find(node.output.get()), *to = find(&input);
  const std::string name = from ? from->name : node.op, arrived = describe(dY_.shape(), sum);
  check(sum.finite(), "detect_anomaly", "in backward, the gradients that arrived at the result of ", name,
        " are finite, and their sum is not: ", arrived);
  fail("detect_anomaly", "in backward, ", name, " gave the first gradient that is not finite, to ",
       to ? to->name : "an input", ":\n  gradient: ", describe(gradient.shape(), numbers), "\n  dY: ", arrived,
       from ? "\n  result: " + from->values + from->inputs : "");
}

}  // namespace bobbin
