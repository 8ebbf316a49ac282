// The tape: Var, a value with its place on it; record(), by which an op notes its VJPs; Tape::backward(), a loop of a
// dozen lines; check_gradients_are_taken(), for who takes them; and TapeListener, for those who watch.
//
// A VJP (vector-Jacobian product) turns the gradient of an op's result into that of an input. A slot is where the
// gradient of a value is added up; an edge leads from a result to its inputs.
#pragma once
#include <concepts>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tensor/operand.h"

namespace bobbin {

/// The gradient of one value, as it accumulates. A parameter's slot lives as long as the parameter, and
/// gradients of several tapes add up in it; the slot of a result lives on its tape.
struct GradSlot {
  Shape shape;
  Tensor grad;             ///< undefined until a first gradient arrives
  std::uint64_t tape = 0;  ///< the number of the tape that made it; 0 for a parameter
  int waiting_edges = 0;   ///< recorded uses whose backward has not run yet, on all tapes
  /// Of a result: who reads its gradient. Where that is products alone it may be rounded for them (tensor/operand.h).
  ReadBy readers = ReadBy::anyone;
  // Of a parameter:
  std::string name{};   ///< what a visit() or an optimizer called it last; "" if none has
  int optimizers = 0;   ///< how many optimizers have it, and so take its gradient
  bool frozen = false;  ///< whether it is to stay as it is: no gradient is wanted
  int frozen_uses = 0;  ///< ops that read it while it was frozen, and whose backward has not run yet, on all tapes

  /// Adds a gradient: the first is moved in, later ones are added. Throws Error if it has another shape.
  void add(Tensor gradient);
};
/// Who will read the gradient that a VJP now computes for the value of this slot: the VJPs of its op, if it is the only
/// gradient that arrives there; otherwise, or without a slot, anyone.
inline ReadBy gradient_readers(const GradSlot* slot) {
  return slot && slot->waiting_edges == 1 && !slot->grad.defined() ? slot->readers : ReadBy::anyone;
}

struct Edge;

/// A value and its place on the tape. Without a place it is a constant, for which no gradient is wanted: the data, or
/// whatever is computed while no Tape is in scope. A handle: copies share the numbers and the place.
class Var {
 public:
  Var() = default;
  /// A constant. Implicit, so that an op takes tensors and variables alike.
  Var(Tensor value) : value_(std::move(value)) {}
  /// A parameter: a leaf that accumulates gradients. Throws Error for an undefined tensor.
  static Var parameter(Tensor value);

  /// The value, which an op reads.
  const Tensor& value() const& { return value_; }
  /// The value of a temporary, moved out: an op whose VJPs do not need the operand may overwrite it.
  Tensor value() && { return std::move(value_); }
  /// The value of a temporary as a product reads it. Where that is rounded, the value is moved out and its memory free.
  Operand operand() &&;
  const Shape& shape() const { return value_.shape(); }
  int rank() const { return value_.rank(); }
  Index size() const { return value_.size(); }
  bool defined() const { return value_.defined(); }
  /// Whether a gradient is wanted: of parameters that are not frozen, and of what is computed from them.
  bool requires_grad() const { return slot_ && !slot_->frozen; }
  /// The place: the same for all handles of one parameter or result, and null for a constant.
  const GradSlot* slot() const { return slot_.get(); }
  /// Whether both are handles of the same parameter or result.
  bool is(const Var& other) const { return slot_ && slot_ == other.slot_; }

  /// The gradient so far; undefined if none has arrived. Throws Error for a constant.
  const Tensor& grad() const;
  /// The gradient moved out, so that the next one starts afresh. Throws Error for a constant.
  Tensor take_grad();
  /// Adds to the gradient, as backward() does. Throws Error for a constant and for another shape.
  void add_grad(Tensor gradient);
  /// The numbers of a parameter, to be overwritten in place. Throws Error while a tape has recorded the parameter and
  /// has not run backward: gradients would belong to other numbers, its own or, of a frozen one, those of what was
  /// computed with it. What shares these numbers otherwise is not watched: keep a clone() of what must stay, and do
  /// not keep this handle.
  Tensor mutable_value();

  /// The name of a parameter, for messages. Throws Error for a constant.
  void set_name(const std::string& name);
  /// Notes that one more optimizer has this parameter, or one less: see check_gradients_are_taken(). Throws Error for a
  /// constant.
  void set_optimized(bool on);
  /// From now on ops take this parameter for a constant, or with false no longer; freeze() in nn/module.h does it to a
  /// module. Throws Error for a constant.
  void freeze(bool on = true);

 private:
  friend class Tape;
  friend Var record(const char*, Tensor, std::initializer_list<Edge>, ReadBy);
  Tensor value_;
  std::shared_ptr<GradSlot> slot_;
};

/// A vector-Jacobian product: from the gradient of the result to that of one input, of that input's shape.
using Vjp = std::function<Tensor(Tensor dY)>;
/// All inputs' gradients at once, in the inputs' order, for an op that computes them together.
using JointVjp = std::function<std::vector<Tensor>(Tensor dY)>;

/// The VJP from an op's result to one input, or to several whose gradients are computed together.
struct Edge {
  std::vector<Var> inputs;
  JointVjp vjp;

  Edge(Var input, Vjp vjp);
  Edge(std::vector<Var> inputs, JointVjp vjp) : inputs(std::move(inputs)), vjp(std::move(vjp)) {}
  /// Says in a sentence what is wrong with a VJP that is none.
  template <class Other>
  requires(!std::convertible_to<Other, Vjp> && !std::convertible_to<Other, JointVjp>) Edge(Var, const Other&) {
    static_assert(!sizeof(Other), "a VJP takes the gradient of the result and returns that of the input, both Tensors");
  }
};

/// The record of one forward pass. While a Tape is in scope, every op records its VJPs; backward()
/// then walks the record from the last to the first, which is an order in which every node comes
/// after all that use it: no search, no recursion. Each node is freed as soon as it has run.
///
///     Tape tape;                                   // recording starts here
///     Var loss = cross_entropy(model(X), y);
///     tape.backward(loss);                         // gradients land in the parameters
///                                                  // the tape ends: its memory is used again
///
/// Without a Tape in scope nothing is recorded; that is evaluation. An inner Tape pauses the outer one.
/// A tape belongs to the thread that made it.
class Tape {
 public:
  Tape();
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;
  static void* operator new(std::size_t) = delete;  // a tape lives in a scope, so that tapes end in order

  /// The gradients of `loss`, a scalar, with respect to every parameter it depends on, are added to
  /// those parameters. The tape is spent then: it records no more.
  /// Throws Error for a loss that is no scalar or was not recorded here, and when the tape is spent.
  void backward(const Var& loss);

  /// The names of the ops recorded, in order.
  std::vector<std::string> ops() const;

  /// An input as its op's node holds it: counted in its slot until backward has run it. Without a slot where it is not
  /// counted.
  template <bool frozen, int GradSlot::*count>
  class Counted {
   public:
    explicit Counted(const Var& input) : slot_(input.slot_ && input.slot_->frozen == frozen ? input.slot_ : nullptr) {
      if (slot_) ++((*slot_).*count);
    }
    Counted(Counted&&) = default;
    ~Counted() {
      if (slot_) --((*slot_).*count);
    }
    GradSlot* slot() const { return slot_.get(); }  ///< null where the input is not counted

   private:
    friend class Tape;
    std::shared_ptr<GradSlot> slot_;
  };
  /// One whose gradient is waited for.
  using Use = Counted<false, &GradSlot::waiting_edges>;
  /// A frozen parameter, whose numbers may be in the VJPs of other inputs.
  using FrozenUse = Counted<true, &GradSlot::frozen_uses>;

  /// An op that was run. Ownership goes one way: tape, node, slots and the tensors that the VJPs hold; a VJP holds
  /// tensors and never a Var, so there are no reference cycles.
  struct Node {
    const char* op;
    std::shared_ptr<GradSlot> output;
    std::vector<std::pair<std::vector<Use>, JointVjp>> edges;  // that lead to an input whose gradient is wanted
    std::vector<FrozenUse> frozen{};
  };

  /// Whether backward() or take_nodes() was called.
  bool spent() const { return spent_; }
  /// What was recorded, in order, to be looked at instead of running backward(): the tape is spent then.
  std::vector<Node> take_nodes() &&;

 private:
  friend Var record(const char*, Tensor, std::initializer_list<Edge>, ReadBy);

  static Tape* recording();
  void check_loss(const Var& loss) const;
  void hand_on(const Node& from, const std::vector<Use>& inputs, std::vector<Tensor> gradients) const;
  void note_untaken(const Node& from, const Use& parameter) const;
  static void finish(std::vector<Use> inputs);

  std::vector<Node> nodes_;
  Tape* outer_;
  std::uint64_t number_;
  bool spent_ = false;
};

/// Notes on the current tape that `op` computed y, with a VJP for each input; returns y as a Var. What an input that
/// needs no gradient would have kept alive is let go here. With no tape, or constants only, nothing is noted. This is
/// all there is to a new op: see ops.h, and "add an op" in README.md. `readers` says who reads dY in the VJPs: where
/// these are products alone, gradient_readers() lets a VJP before them round it at once.
/// Throws Error for an input that was recorded on another tape.
Var record(const char* op, Tensor y, std::initializer_list<Edge> edges, ReadBy readers = ReadBy::anyone);
/// The same for an op that computes all its inputs' gradients together.
Var record(const char* op, Tensor y, const std::vector<Var>& inputs, JointVjp vjp, ReadBy readers = ReadBy::anyone);

/// Every optimizer calls this before it changes anything. Throws Error, in the name of `who`, if backward(), on this
/// thread, has given a gradient to a parameter that no optimizer has, and it still lies there: a visit() does not name
/// the parameter, or the optimizer was made without it, and it would never learn. The error names the op, and the
/// parameter or where it stands. The tape sees what training uses, so nothing has to be declared twice; and what an
/// optimizer has costs nothing here.
/// No gradient lies there of a parameter that is frozen, or whose gradient you have taken with take_grad() to use it
/// yourself. A parameter that the optimizer has and no tape uses is no error.
void check_gradients_are_taken(const char* who);

/// Observes the tapes of its thread, from its construction to its end: derive from it and override what you want to
/// hear. Of several the youngest hears first. An Error that is thrown here ends the op or backward().
/// It may compute with tensors, and must not call ops on Vars.
class TapeListener {
 public:
  TapeListener(const TapeListener&) = delete;
  TapeListener& operator=(const TapeListener&) = delete;

  /// While a tape records, `op` computed `result`, which is a constant if all inputs are. An input that the op has
  /// overwritten is undefined, and still has its shape.
  virtual void computed(const char* op, const std::vector<Var>& inputs, const Var& result);
  /// In backward: dY, the gradient of a node's output, is complete, and its VJPs run now. While a listener keeps dY,
  /// none of them can overwrite it. Not called for what the loss does not depend on.
  virtual void arrived(const Tape::Node& node, const Tensor& dY);
  /// A VJP of this node gave this gradient to this input, to which it will be added now.
  virtual void handed_on(const Tape::Node& from, const GradSlot& to, const Tensor& gradient);
  /// The gradient of a parameter is complete: of all its recorded uses the last has run. backward() says it for every
  /// parameter on its tape, once, as soon as it is so, and also if the loss does not depend on it, so that nothing has
  /// arrived: models that are alike say the same in the same order. If an outer tape has recorded the parameter, too,
  /// more will come, and only the backward() of that one says it. The gradient may be changed here; the value not yet.
  virtual void finished(GradSlot& parameter);

 protected:
  TapeListener();
  virtual ~TapeListener();
};

}  // namespace bobbin
