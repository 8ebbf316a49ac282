// The state of a module, by type: parameters, buffers, random streams, switches; saved and loaded.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "autograd/watch/names.h"
#include "tensor/check.h"
#include "tensor/rng.h"

namespace bobbin {

/// Training or evaluation mode. A layer that depends on it has a member of this type, named in visit().
struct Training {
  bool on = true;
};

/// How often something has happened, such as the batches that a BatchNorm2d has seen. In files it is a tensor without
/// axes of a whole number, PyTorch's int64; there, and in Tensors, exact up to 2^24 where `real` is float.
struct Count {
  std::int64_t n = 0;
};

/// While one lives, a Dropout that is still in training mode is an Error: a visit() forgot it, so eval() did not reach
/// it. For whoever evaluates a model, as evaluate() does; on this thread.
class Evaluating {
 public:
  Evaluating() { ++depth_; }
  ~Evaluating() { --depth_; }
  Evaluating(const Evaluating&) = delete;
  Evaluating& operator=(const Evaluating&) = delete;
  /// Whether one is alive on this thread.
  static bool now() { return depth_ > 0; }

 private:
  static inline thread_local int depth_ = 0;
};

/// While one lives, the model is given but a part of a batch, such as the images of one rank of several. Layers then
/// draw for an image what they would draw for it in the whole batch. On this thread.
class PartOfBatch {
 public:
  /// From image `first` on, a multiple of 4, `count` of the `of` images of the batch. Of these `counted` count: all, or
  /// none.
  struct Images {
    Index first, count, counted, of;
  };
  /// With `sync_batch_norm` BatchNorm's mean and variance are those of the whole batch, over all ranks.
  explicit PartOfBatch(const Images& images, bool sync_batch_norm = false)
      : images(images), sync_batch_norm(sync_batch_norm), outer_(std::exchange(now_, this)) {}
  ~PartOfBatch() { now_ = outer_; }
  PartOfBatch(const PartOfBatch&) = delete;
  PartOfBatch& operator=(const PartOfBatch&) = delete;
  /// The innermost, or null.
  static const PartOfBatch* now() { return now_; }

  /// The part of a draw for a whole batch that is for these images, `elements` numbers, as many for each. Throws Error,
  /// in the name of `layer`, if the images do not divide them.
  static Draw of(Draw draw, Index elements, const char* layer) {
    if (!now_ || now_->images.first == 0) return draw;
    const auto [first, count, counted, of] = now_->images;
    check(elements % count == 0, layer, "draws ", elements, " random numbers for the ", count,
          " images of this rank, which is not as many for each: so several ranks cannot draw what one would");
    draw.first += static_cast<std::uint64_t>(first * (elements / count) / 4);  // a block is for four
    return draw;
  }

  const Images images;
  const bool sync_batch_norm;

 private:
  static inline thread_local const PartOfBatch* now_ = nullptr;
  const PartOfBatch* outer_;
};

/// The state of a module, each part under its dotted name, in the order of visit(); see state_of().
struct State {
  std::vector<NamedParameter> parameters;                ///< learned
  std::vector<std::pair<std::string, Tensor*>> buffers;  ///< kept
  std::vector<std::pair<std::string, Count*>> counts;    ///< counted
  std::vector<std::pair<std::string, Rng*>> streams;     ///< drawn from
  std::vector<Training*> switches;

  /// Each adds one part, unless it is known already. An undefined parameter or buffer is left out.
  /// Throws Error for a Var that is a constant, and where another has the name: of these three kinds,
  /// which a file has side by side, or of streams another stream.
  void add(const std::string& name, Var& parameter);
  void add(const std::string& name, Tensor& buffer);
  void add(const std::string& name, Count& count);
  void add(const std::string& name, Rng& stream);
  void add(const std::string& name, Training& training);

  /// The number of learnable numbers.
  Index count_parameters() const;
  /// Freezes the parameters whose names fit the pattern, or with false makes them learn again: see freeze().
  void freeze(const std::string& names, bool on) const;
  /// Switches to training or, with false, to evaluation.
  void train(bool on) const;
  /// Parameters, buffers and counts under their names, to be saved. All but the counts share the module's numbers.
  std::map<std::string, Tensor> tensors() const;
  /// The names of the counts, which files of weights hold as whole numbers.
  std::set<std::string> whole_numbers() const;

  /// Copies the tensors into the parameters, buffers and counts of the same names. Those whose name begins with one of
  /// `except` ("head.1." for a new head) are left alone, in the module and among the tensors. A count without a tensor
  /// stays as it is: PyTorch wrote none before version 0.4.1.
  /// Throws Error, with all that does not fit, unless each has a tensor of its shape and the other way round; then
  /// nothing has changed.
  void load(const std::map<std::string, Tensor>& tensors, const std::vector<std::string>& except = {}) const;
};

}  // namespace bobbin
