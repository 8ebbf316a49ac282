#pragma once
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace bobbin {

/// Where the gradient of one value arrives. A parameter's slot lives as long as the parameter, and
/// gradients of several tapes add up in it; the slot of a result lives on its tape.
struct GradSlot {
  Shape shape;
  Tensor grad;             ///< undefined until a first gradient arrives
  std::uint64_t tape = 0;  ///< the number of the tape that made it; 0 for a parameter
  int waiting_edges = 0;   ///< recorded uses whose backward has not run yet

  /// Adds a gradient: the first is moved in, later ones are added.
  void add(Tensor gradient);
};

/// A vector-Jacobian product: from the gradient of the result to that of one input, of that input's shape.
using Vjp = std::function<Tensor(Tensor dY)>;
/// All inputs' gradients at once, in the inputs' order, for an op that computes them together.
using JointVjp = std::function<std::vector<Tensor>(Tensor dY)>;
struct Edge;
class Tape;

/// A value and its place on the tape. Without a place it is a constant, for which no gradient is wanted:
/// the data, or whatever is computed while no Tape is in scope. A handle: copies share the numbers
/// and the place.
class Var {
 public:
  Var() = default;
  /// A constant. Implicit, so that an op takes tensors and variables alike.
  Var(Tensor value) : value_(std::move(value)) {}
  /// Something to be learned: a leaf that collects gradients.
  static Var parameter(Tensor value);

  const Tensor& value() const& { return value_; }
  /// The value of a temporary, moved out: an op that needs no operand for its way back may overwrite it.
  Tensor value() && { return std::move(value_); }
  const Shape& shape() const { return value_.shape(); }
  int rank() const { return value_.rank(); }
  Index size() const { return value_.size(); }
  bool defined() const { return value_.defined(); }
  bool requires_grad() const { return slot_ != nullptr; }
  /// Whether both are handles of the same parameter or result.
  bool is(const Var& other) const { return slot_ && slot_ == other.slot_; }

  /// What has arrived so far; undefined if nothing. Throws Error for a constant.
  const Tensor& grad() const;
  /// The gradient moved out, so that the next one starts afresh.
  Tensor take_grad();
  /// Adds to the gradient, as backward() does.
  void add_grad(Tensor gradient);
  /// The numbers of a parameter, to be overwritten in place. Throws Error while a tape has recorded the
  /// parameter and has not run backward: its gradients would belong to other numbers. What shares these
  /// numbers otherwise is not watched: keep a clone() of what must stay, and do not keep this handle.
  Tensor mutable_value();

 private:
  friend class Tape;
  friend class DetectAnomaly;
  friend Var record(const char*, Tensor, std::initializer_list<Edge>);
  friend Var record(const char*, Tensor, const std::vector<Var>&, JointVjp);
  friend std::string to_dot(Tape&&, const std::vector<std::pair<std::string, Var>>&);  // graph.h
  Tensor value_;
  std::shared_ptr<GradSlot> slot_;
};

/// An input of an op with its way back.
struct Edge {
  Var input;
  Vjp vjp;
};

/// The record of one forward pass. While a Tape is in scope, every op notes how to go back; backward()
/// then walks the notes from the last to the first, which is an order in which every node comes
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

 private:
  friend Var record(const char*, Tensor, std::initializer_list<Edge>);
  friend Var record(const char*, Tensor, const std::vector<Var>&, JointVjp);
  friend std::string to_dot(Tape&&, const std::vector<std::pair<std::string, Var>>&);  // graph.h

  // A use of a slot by a node, counted in the slot.
  class Use {
   public:
    explicit Use(std::shared_ptr<GradSlot> slot) : slot_(std::move(slot)) { ++slot_->waiting_edges; }
    Use(Use&&) = default;
    Use& operator=(Use&&) = delete;
    ~Use() {
      if (slot_) --slot_->waiting_edges;
    }
    GradSlot* get() const { return slot_.get(); }
    GradSlot* operator->() const { return slot_.get(); }

   private:
    std::shared_ptr<GradSlot> slot_;
  };

  // An op that was run. Ownership goes one way: tape, node, slots and the tensors that the VJPs hold; a
  // VJP holds tensors and never a Var, so no circle can be closed.
  struct Node {
    const char* op;
    std::shared_ptr<GradSlot> output;
    std::vector<std::pair<Use, Vjp>> edges;
    std::vector<std::pair<Use, std::size_t>> joint_edges;  // with the input's place in what `joint` returns
    JointVjp joint;
  };

  static Tape* recording();
  void check_input(const char* op, const Var& input) const;
  Var append(Node node, Tensor y);
  static void hand_on(const Node& from, const Use& to, Tensor gradient, const Tensor& dY);

  std::vector<Node> nodes_;
  Tape* outer_;
  std::uint64_t number_;
  bool spent_ = false;
};

/// Notes on the current tape that `op` computed y, with a VJP for each input; returns y as a Var. What
/// an input that needs no gradient would have kept alive is let go here. With no tape, or constants
/// only, nothing is noted. This is all there is to a new op: see ops.h, and "add an op" in README.md.
Var record(const char* op, Tensor y, std::initializer_list<Edge> edges);
/// The same for an op that computes all its inputs' gradients together.
Var record(const char* op, Tensor y, const std::vector<Var>& inputs, JointVjp vjp);

}  // namespace bobbin
