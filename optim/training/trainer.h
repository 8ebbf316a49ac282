#pragma once
#include <algorithm>
#include <concepts>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "data/files/fields.h"
#include "data/images/augment.h"
#include "data/sets/batches.h"
#include "data/sets/dataset.h"
#include "nn/loss.h"
#include "nn/module.h"
#include "nn/state.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"
#include "optim/training/background.h"
#include "optim/training/checkpoint.h"
#include "optim/training/data_parallel.h"
#include "optim/training/ema.h"
#include "optim/training/evaluate.h"
#include "optim/training/run_folder.h"
#include "optim/training/step.h"
#include "tensor/arriving.h"
#include "tensor/check.h"

/// The training loop, and resuming it.
namespace bobbin {

class TrainingLog;

/// The settings of a training run.
struct TrainerOptions {
  int epochs = 10;
  Index batch_size = 128;
  Index grad_accum_steps = 1;          ///< batches in a step: their gradients add up, as if they were one
  Index max_steps = 0;                 ///< stop after so many steps; 0: no limit
  ScheduleOptions schedule{};          ///< runs over all the epochs, also where max_steps ends them sooner
  double clip_grad = 0;                ///< the largest global norm of the gradients; 0: no clipping
  int early_stopping = 0;              ///< stop after so many epochs without a better one; 0: never
  double ema_decay = 0;                ///< of a moving average of the weights, see Ema; 0: there is none
  bool detect_anomaly = false;         ///< stop at the first op that makes NaN or infinity, and name it
  CommPrecision comm_precision{};      ///< of gradients on their way between ranks
  bool sync_batch_norm = false;        ///< BatchNorm's mean and variance are those of all ranks' images of a batch
  std::filesystem::path output_dir{};  ///< for the files of a RunFolder; empty: none are written
  Index save_every = 0;                ///< steps between checkpoints; 0: one after each epoch, and where training stops
  int checkpoint_hist = 2;             ///< number of checkpoints to keep
  Augmentation augmentation{};         ///< of the training images
  RunNotes notes{};                    ///< kept with the weights and the checkpoints; `config` is also config.json

  /// All but those of schedule and augmentation, which have their own.
  void fields(Fields& f);
};

/// What a batch of images comes to.
struct BatchLoss {
  Var loss;       ///< a scalar
  Tensor logits;  ///< (B, classes), of which it is counted how many are right
};
/// A loss of the whole batch, such as that of learning from a teacher, who looks at the images: see learn_from().
using LossOfBatch = std::function<BatchLoss(const Batch&)>;

/// The training loop: epochs of shuffled batches, validation after each, a TrainingLog, and the files of a RunFolder in
/// output_dir, which is locked meanwhile. Ctrl-C ends it after the step.
///
///     SGD sgd(named_parameters(model));
///     Trainer trainer(model, sgd, CrossEntropy(), rng, {.epochs = 10, .schedule = {.lr = 0.1}});
///     trainer.fit(data);
///
/// That is how images are learned to be classified. Without a loss it trains anything: fit() is then given a data set
/// of any kind, what is done with a batch of it, and how the model is validated.
///
///     Trainer trainer(model, adamw, rng, {.epochs = 10, .batch_size = 32, .schedule = {.lr = 1e-3}});
///     trainer.fit(
///         points, [&](const Points::Batch& batch) { return mse_loss(model(batch.x), batch.y); },
///         [&] { return Metrics{{"val_loss", distance(model, others)}}; });
///
/// On several ranks (tensor/comm.h) each batch is cut, and the step is that of the whole batch, if the loss is a mean
/// over its examples and the model treats each by itself: see "Many machines" in optim/README.md. The model begins as
/// that of rank 0, which alone logs and writes files; validate() is called on all.
class Trainer {
 public:
  /// For models from images to logits. Refers to the model and the optimizers, `sgd` or `{body, head}`. The order of
  /// the images comes from a stream forked from rng. Throws Error unless there is an epoch and a batch size of 1 or
  /// more, no option is negative, and the optimizers' parameters are the model's.
  Trainer(ModuleRef model, Optimizers optimizers, Loss loss, Rng& rng, TrainerOptions options);
  /// The same with a loss of the whole batch.
  Trainer(ModuleRef model, Optimizers optimizers, LossOfBatch loss, Rng& rng, TrainerOptions options);

  /// Says in a sentence what is wrong with a loss that is none.
  template <class Other>
  requires(!std::convertible_to<Other, Loss> && !std::convertible_to<Other, LossOfBatch>)
      Trainer(ModuleRef model, const Optimizers& optimizers, const Other&, Rng& rng, const TrainerOptions& options)
      : Trainer(std::move(model), optimizers, Loss(), rng, options) {
    static_assert(never<Other>,
                  "a loss is called with logits, a Var, and Targets, and returns a Var; for other batches "
                  "leave it out, Trainer(model, optimizer, rng, options), and give fit() a step");
  }

  /// For any model, which here is all that is saved and resumed: a GAN is a struct that visits its two networks.
  template <class Module>
  Trainer(Module& model, Optimizers optimizers, Rng& rng, TrainerOptions options)
      : Trainer([&model] { return state_of(model); }, std::move(optimizers), rng, std::move(options)) {}

  /// Resumes fit() from the checkpoint: with the same data, options and kind of optimizer, what follows is bit for bit
  /// what would have followed; what was frozen is frozen again. Throws Error, and changes nothing, if it is of another
  /// model, optimizer or batch size.
  ///
  /// With other data of the same classes it goes on, too. The order of an epoch is drawn for the number of its images.
  /// With another number, the epoch that is begun goes on, after as many batches as it had, in the order of the new
  /// number: some images come twice in it, or not at all. From the next epoch on each comes once, and there are as many
  /// epochs in all as there would have been.
  void resume(Checkpoint checkpoint);

  /// Number of steps done, those before resuming included, and one that a GPU is still busy with.
  Index steps() const { return progress_.steps() + static_cast<Index>(begun_.size()); }

  /// The averaged weights, for WithWeights; empty without ema_decay, and before the first step.
  const NamedTensors& averaged_weights() const;

  /// Trains on data.train, validates on data.test; returns the metrics of each finished epoch: val_loss and val_acc.
  /// Throws Error before the first step for what could not be kept, where another run has its files in output_dir,
  /// unless this one is resumed, and where another process writes there; later when the loss is not finite, or a
  /// weight that is to be saved is not, and when a file cannot be written. Where an image cannot be read, the steps
  /// before it are saved first, on several ranks only if it is rank 0 that reads it.
  std::vector<EpochMetrics> fit(const TrainAndTest& data);

  /// The same on any Dataset, or an ImageDataset, with a step of one's own, in one of two forms:
  ///
  ///     [&](const Batch& batch) -> Var                      // the loss, of which training_step() makes a step
  ///     [&](const Batch& batch, StepSize size) -> double    // the whole step, on as many tapes as it likes
  ///
  /// Either returns the loss. clip_grad, grad_accum_steps and several ranks are for the first form.
  ///
  /// validate() is called in evaluation mode after each epoch, and returns metrics, the same ones each time. The best
  /// epoch is that with the highest val_acc; without one, with the lowest val_loss; without either there is none.
  ///
  /// With ema_decay it is called once more with the averaged weights in the model, which gives each metric a second
  /// time, as "val_acc_ema"; and the best epoch is that whose averaged weights are the best, as in timm.
  ///
  /// A run is resumed to the bit if the step draws its random numbers from an Rng that the model visits, and keeps
  /// there what it remembers. Throws Error as above, for a training set without examples, and for options that would do
  /// nothing: augmentation of what are no images, clip_grad where the whole step is one's own.
  template <class Data, class Step>
  std::vector<EpochMetrics> fit(const Data& train, const Step& step, const std::function<Metrics()>& validate = {}) {
    if constexpr (std::same_as<Data, ImageDataset> || Dataset<Data>)
      return run(make_task(train, step, validate));
    else
      static_assert(never<Data>,
                    "a data set of fit() has count() and batch(which), both const; see Dataset in data/sets/batches.h");
  }
  template <class Data>
  requires(!std::convertible_to<const Data&, const TrainAndTest&>) std::vector<EpochMetrics> fit(const Data&) {
    static_assert(never<Data>, "fit() needs to be told what to do with a batch of such data: fit(data, step)");
    return {};
  }

 private:
  // What fit() repeats, whatever the batches are.
  struct Task {
    // A step on one batch, or grad_accum_steps of them; what it returns waits for the loss.
    using Step = std::function<std::function<double()>(StepSize)>;
    using NextBatch = std::function<Step()>;      // makes what is next
    Index count;                                  // of the examples
    std::function<NextBatch(Rng&, Index)> begin;  // an epoch, in an order that is drawn, after so many steps
    std::function<Metrics(const std::function<bool()>& stop)> validate;
    const char* examples;  // what people call them
    // Of classification: the names of its metrics; the steps of its validation, after each of which it asks stop(); and
    // how many images the last step recognised, of how many: what it returns waits for that.
    using Recognised = std::function<std::pair<Index, Index>()>;
    std::vector<std::string> metrics{};
    Index validation_steps = 0;
    std::function<Recognised()> recognised = [] { return [] { return std::pair<Index, Index>(); }; };
  };
  // A step that is begun, and whose loss is not read yet: a GPU is given the next one before it is waited for.
  struct Begun {
    std::function<double()> loss;
    Task::Recognised recognised;
    double lr;
    Index images;
  };
  // What a rank takes of the batches of a step.
  template <class Batch>
  struct Parts {
    std::vector<Batch> batches{};
    std::vector<PartOfBatch::Images> images{};
    std::vector<real> shares{};  // of the examples of the step
  };
  template <class Data, class Step>
  Task make_task(const Data& train, const Step& step, const std::function<Metrics()>& validate) const;
  class Loop;
  std::vector<EpochMetrics> run(const Task& task);  // a Loop: loop.cpp

  Trainer(std::function<State()> state, Optimizers optimizers, Rng& rng, TrainerOptions options);
  Checkpoint checkpoint() const;
  void check_weights() const;
  // These are done in the background.
  void save(const RunFolder& folder);
  void save_weights();
  void write_weights(const std::filesystem::path& file);
  void write_averaged(const std::filesystem::path& file);
  Index examples_of_step() const { return options_.batch_size * options_.grad_accum_steps; }
  // The number of epochs up to and with the best; 0 if none is better than another.
  std::size_t best_epoch() const;
  bool stops_early() const;

  std::function<State()> state_;
  Optimizers optimizers_;
  std::optional<std::pair<ModuleRef, LossOfBatch>> classifier_;
  Rng order_;  // of the examples
  TrainerOptions options_;
  std::optional<Ema> ema_;
  Progress progress_;
  std::deque<Begun> begun_;     // the steps after these
  mutable bool counts_ = true;  // the batch that is taken: not one that a rank takes though none was left for it
  bool resumed_ = false;
  bool has_frozen_ = false;  // or had: then a checkpoint says which parameters are
  Background files_;         // that are being written
};

template <class Data, class Step>
Trainer::Task Trainer::make_task(const Data& train, const Step& step, const std::function<Metrics()>& validate) const {
  constexpr bool images = std::same_as<Data, ImageDataset>;
  const PartOfEach part{comm::rank(), comm::size()};
  const auto cut = [&train, part, &o = options_](Rng& rng) {
    if constexpr (images)
      return batches(train, o.batch_size, rng, o.augmentation).only(part);
    else
      return batches(train, o.batch_size, rng).only(part);
  };
  using All = decltype(cut(std::declval<Rng&>()));
  using Iterator = decltype(std::declval<All&>().begin());
  using Batch = decltype(*std::declval<Iterator&>());

  constexpr bool gives_loss = std::is_invocable_r_v<Var, const Step&, const Batch&>;
  check(images || !options_.augmentation.on(), "Trainer", "augmentation varies images, and the data set has none");
  check(gives_loss || options_.clip_grad == 0, "Trainer",
        "clip_grad is for a step that returns the loss; one that is given a StepSize calls clip_grad_norm() itself");
  check(gives_loss || options_.grad_accum_steps == 1, "Trainer",
        "grad_accum_steps is for a step that returns the loss; one that is given a StepSize adds up what it likes");
  check(gives_loss || part.of == 1, "Trainer",
        "several ranks are for a step that returns the loss: one that is given a StepSize moves each rank by itself");
  // One for all steps: it has as much memory as the parameters that learn.
  const auto others =
      part.of > 1 ? std::make_shared<GradientSum>(optimizers_.parameters(), options_.comm_precision) : nullptr;
  const auto take = [&, others](const Parts<Batch>& parts, StepSize size) -> std::function<double()> {
    const auto later = [](const Tensor& loss) -> std::function<double()> {
      return [arriving = Arriving(loss)] { return double{arriving.values()[0]}; };
    };
    if constexpr (gives_loss) {
      if (parts.batches.size() > 1 || others)
        return later(begin_training_step(
            [&](std::size_t i) -> Var {
              counts_ = parts.images[i].counted > 0;
              const PartOfBatch of_this_rank(parts.images[i], others && options_.sync_batch_norm);
              return step(parts.batches[i]);
            },
            parts.shares, optimizers_, size, options_.clip_grad, others.get()));
      return later(
          begin_training_step([&]() -> Var { return step(parts.batches[0]); }, optimizers_, size, options_.clip_grad));
    } else if constexpr (std::is_invocable_r_v<double, const Step&, const Batch&, StepSize>)
      return [loss = double{step(parts.batches[0], size)}] { return loss; };
    else
      static_assert(
          never<Step>,
          "a step of fit() takes a batch and returns the loss, a Var; or it takes a batch and a StepSize, and "
          "returns the loss as a number");
  };
  const auto begin = [cut, take, part, count = train.count(), &o = options_](Rng& rng, Index done) -> Task::NextBatch {
    struct Rest {
      All batches;
      Index left;  // examples
      Iterator next = batches.begin();
    };
    const All all = cut(rng);
    const Index first = std::min(done * o.grad_accum_steps, all.size());
    const auto rest = std::shared_ptr<Rest>(new Rest{all.from(first), count - first * o.batch_size});
    return [take, rest, part, &o]() -> Task::Step {
      const auto parts = std::make_shared<Parts<Batch>>();
      const Index examples = std::min(rest->left, o.batch_size * o.grad_accum_steps);
      for (Index taken = 0; taken < examples; taken += o.batch_size, ++rest->next) {
        const Index all = std::min(o.batch_size, examples - taken);  // the last batch may have fewer
        parts->batches.push_back(*rest->next);
        const auto [first, count, counted] = part.images(all);
        parts->images.push_back({first, count, counted, all});
        parts->shares.push_back(static_cast<real>(counted) / static_cast<real>(examples));
      }
      rest->left -= examples;
      return [take, parts](StepSize size) { return take(*parts, size); };
    };
  };
  const auto measure = [validate](const std::function<bool()>&) { return validate ? validate() : Metrics(); };
  return {train.count(), begin, measure, images ? "images" : "examples"};
}

}  // namespace bobbin
