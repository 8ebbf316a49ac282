#pragma once
#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

#include "autograd/watch/names.h"
#include "tensor/functions.h"

namespace bobbin {

/// Finds the operation that makes the first NaN or infinity. While one is in scope, whatever an op computes while a
/// tape records is looked at, and so is every gradient in backward. At the first number that is not finite an Error
/// is thrown that names the op and the layer it belongs to or comes after, with shapes and ranges of all that went in:
///
///     DetectAnomaly detect(named_parameters(model));  // for a step, before it
///     Tape tape;
///     tape.backward(cross_entropy(model(X), y));
///     sgd.step();
///
/// It reads each number once more. What stays inside of an op, such as attention's masked scores, is not looked at.
/// Of several the youngest speaks.
class DetectAnomaly : public TapeListener {
 public:
  /// Throws Error if a parameter holds a number that is not finite before anything was computed.
  explicit DetectAnomaly(const std::vector<NamedParameter>& parameters);

 private:
  // A value with a place on the tape, in words: its numbers may be overwritten by the time that they are asked for.
  struct Known {
    std::string name;      // "linear of blks.0.mlp.dense1"
    std::string layer{};   // whose parameters it uses, or the last upstream that used any
    std::string values{};  // its shape, and which numbers it holds
    bool is_parameter = false;
    std::string inputs{};    // what it was computed from, a line for each
    std::size_t number = 0;  // in the order of computation
  };

  void computed(const char* op, const std::vector<Var>& inputs, const Var& result) override;
  void arrived(const Tape::Node& node, const Tensor& dY) override;
  void handed_on(const Tape::Node& from, const GradSlot& to, const Tensor& gradient) override;
  const Known* find(const GradSlot* slot) const;
  void name(Known& op, const std::vector<Var>& inputs) const;

  std::unordered_map<const GradSlot*, Known> known_;
  std::size_t computed_ = 0;
  Tensor dY_;  // of the op whose VJPs run
};

}  // namespace bobbin
