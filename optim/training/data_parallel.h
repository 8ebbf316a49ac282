#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "autograd/tape.h"
#include "autograd/watch/names.h"
#include "nn/state.h"
#include "tensor/comm.h"

/// Training on several ranks (tensor/comm.h), each of which has the whole model and a part of each batch.
namespace bobbin {

/// Makes the state of the model that of rank 0: parameters, buffers, counts and streams of random numbers.
void broadcast_state(const State& model);

/// The same of the buffers and counts alone, which each rank has changed in its own way: as PyTorch's
/// DistributedDataParallel, which calls these of rank 0 the model's.
void broadcast_buffers(const State& model);

/// Throws Error, on ranks on which it is so, unless the lines are those of rank 0; it says the first that differs.
void check_same_on_all_ranks(const std::string& lines);

/// ", on rank 2": where there are several, those whose own loss is not finite. All of them ask.
std::string ranks_without_finite(double loss);

/// The number format of gradients on their way between ranks.
enum class CommPrecision {
  float32,  ///< `real`: as they are
  bfloat16  ///< half the bytes: each gradient is rounded, and so is each sum of two
};

/// For programs that share the work on a model that each rank has read: gives all the numbers of rank 0's. Throws
/// Error, as check_same_on_all_ranks(), unless its tensors have the names and shapes of that and `lines`, such as of
/// the program's flags, are the same.
void share_model(const State& model, std::string lines);

/// Sums the gradients of the ranks, in buckets that are sent while backward() is still busy with earlier layers
/// (Li et al., 2020: "PyTorch Distributed"):
///
///     GradientSum gradients(optimizers.parameters());
///     gradients.begin();                                // from now on parameters that are finished are sent
///     tape.backward(loss);
///     gradients.end();                                  // each parameter has the sum
///
/// Where the loss of each rank is its mean times its share of the images, that is the gradient of the whole batch.
class GradientSum {
 public:
  /// Of parameters that are the same on all ranks. Backward finishes the last ones first, so these are in the first
  /// bucket. A bucket is sent as soon as all of its parameters are finished, and those before it are sent: in one order
  /// on all ranks, also where they finish in another. It has `bucket_size` numbers or more, or what remains; parameters
  /// that are frozen, in every step the same ones on all ranks, have no part in any.
  explicit GradientSum(std::vector<NamedParameter> parameters, CommPrecision precision = CommPrecision::float32,
                       Index bucket_size = default_bucket_size);

  /// Before the last backward() of a step.
  void begin();
  /// After it. A parameter that no rank has a gradient for has none.
  void end();

  /// 4 MB.
  static constexpr Index default_bucket_size = Index{1} << 20;

 private:
  struct Part {
    Var parameter;
    Index first;                         // in the bucket
    bool finished = false, own = false;  // `own`: this rank has a gradient
  };
  // In memory of the backend, held by the sum, too, that is under way.
  using Numbers = std::variant<std::shared_ptr<real>, std::shared_ptr<bfloat16>>;
  struct Bucket {
    std::vector<Part> parts{};
    Index size = 0;
    Numbers numbers{};
    comm::Sum sum{};
  };
  struct Listener final : TapeListener {
    explicit Listener(GradientSum& all) : all_(&all) {}
    ~Listener() override = default;
    void finished(GradSlot& parameter) override { all_->finished(parameter); }
    GradientSum* all_;
  };

  void make_buckets();
  Part* part_of(const GradSlot& parameter) const;  // or null
  void finished(const GradSlot& parameter);
  void send_finished(bool all);
  static void take(Part& part, const Numbers& sum);

  std::vector<NamedParameter> parameters_;  // the last one first
  CommPrecision precision_;
  Index bucket_size_;
  std::vector<Bucket> buckets_;                             // of those that are not frozen
  std::vector<std::pair<const GradSlot*, Part*>> part_of_;  // sorted
  std::size_t sent_ = 0;                                    // buckets
  std::optional<Listener> listener_;
};

}  // namespace bobbin
