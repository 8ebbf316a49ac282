#include "optim/training/teacher.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "autograd/ops.h"
#include "optim/sgd.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// Random pictures of three classes, with 2 channels.
ImageDataset pictures(Index count, std::uint64_t seed = 1) {
  std::vector<std::uint8_t> bytes;
  for (const real x : Rng(seed).uniform({count, 2, 8, 8}, 0, 255).values())
    bytes.push_back(static_cast<std::uint8_t>(x));
  Labels labels;
  for (Index i = 0; i < count; ++i) labels.push_back(static_cast<int>(i % 3));
  ImageDataset data({count, 2, 8, 8}, bytes, labels, {"a", "b", "c"});
  data.preprocess.mean = {real(0.4), real(0.5)};
  data.preprocess.std = {real(0.25), real(0.5)};
  return data;
}

const ViTConfig vit{.img_size = 8,
                    .patch_size = 4,
                    .num_hiddens = 16,
                    .mlp_num_hiddens = 24,
                    .num_heads = 2,
                    .num_blks = 2,
                    .emb_dropout = real(0.1),
                    .blk_dropout = real(0.1),
                    .num_classes = 3,
                    .num_channels = 2};

// A model as its file would give it, but for its mode.
Classifier classifier(const AnyConfig& config, const ImageDataset& data, std::uint64_t seed = 3) {
  Rng rng(seed);
  Classifier result{AnyModel(config, rng), data.class_names, data.preprocess};
  train(result.model);
  for (int i = 0; i < 3; ++i) result.model(batches(data, 16)[0].images);  // running statistics of their own
  return result;
}

std::vector<AnyConfig> teachers() {
  ViTConfig distilled = vit;
  distilled.distilled = true;
  return {vit, distilled, ConvNetConfig{.img_size = 8, .width = 8, .num_classes = 3, .num_channels = 2},
          ResNetConfig<18>{.img_size = 8, .width = 8, .num_classes = 3, .num_channels = 2},
          MLPConfig{.img_size = 8, .num_hiddens = 30, .num_classes = 3, .num_channels = 2}};
}

}  // namespace

TEST_CASE("teacher: in evaluation mode, with its own mean and deviation, and off the tape") {
  const ImageDataset data = pictures(20);
  const Tensor X = batches(data, 20)[0].images;
  for (const AnyConfig& config : teachers()) {
    CAPTURE(config.name());
    Classifier other = classifier(config, data);
    other.preprocess.mean = {real(0.1), real(0.9)};
    other.preprocess.std = {real(0.5), real(2)};
    std::vector<real> buffers;
    for (const auto& [name, buffer] : state_of(other.model).buffers)
      for (const real x : buffer->values()) buffers.push_back(x);
    Teacher teacher(other, data, 32);  // zeros fill it up
    Tape tape;
    const Tensor logits = teacher(X);
    CHECK(tape.ops().empty());
    CHECK(teacher(X).values() == logits.values());  // nothing is dropped, no statistics have moved
    std::vector<real> after;
    for (const auto& [name, buffer] : state_of(other.model).buffers)
      for (const real x : buffer->values()) after.push_back(x);
    CHECK(after == buffers);

    ImageDataset as_the_teacher = data;
    as_the_teacher.preprocess = other.preprocess;
    eval(other.model);
    const std::vector<real> want = other.model(batches(as_the_teacher, 20)[0].images).value().values();
    CHECK(error(logits, {want.begin(), want.end()}) < 1e-5);
  }
}

TEST_CASE("teacher: who cannot teach these images is refused in a sentence") {
  const ImageDataset data = pictures(20);
  const auto refuses = [&](const std::vector<std::string>& parts, const auto& change) {
    Classifier wrong = classifier(vit, data);
    ImageDataset seen = data;
    change(wrong, seen);
    CHECK(fails([&] { Teacher(std::move(wrong), seen, 16); }, parts));
  };
  refuses({"images of 8 x 8", "of 12 x 10", "--img-size 8 8"}, [](auto&, auto& d) { d.preprocess.size = {12, 10}; });
  refuses({"3 classes", "2", "class 2 is \"c\", not none"}, [](auto&, auto& d) { d.class_names.pop_back(); });
  refuses({"class 1 is \"b\", not \"x\""}, [](auto&, auto& d) { d.class_names[1] = "x"; });
  refuses({"class 1 is \"1\", not \"10\""}, [](auto& t, auto& d) {
    t.class_names = {"0", "1", "2"}, t.numbered = true;
    d.class_names = {"0", "10", "2"};
  });
  refuses({"class 0 is \"b\", not \"a\""}, [](auto& t, auto&) { std::swap(t.class_names[0], t.class_names[1]); });
  Classifier numbered = classifier(vit, data);
  numbered.class_names = {"0", "1", "2"}, numbered.numbered = true;
  CHECK_NOTHROW(Teacher(std::move(numbered), data, 16));
  refuses({"2 channels", "the student of 1"}, [](auto&, auto& d) { d.channels = 1; });
  refuses({"sigmoid"}, [](auto& t, auto&) { t.scores = Scores::sigmoid; });
}

// How far two lists of numbers are apart at most. Stored logits were computed where the image stood at another place of
// the batch, and some of OpenBLAS's kernels, those for AVX2, round a row by where it stands.
static double distance(const auto& a, const auto& b) {
  REQUIRE(a.size() == b.size());
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(double{a[i]} - double{b[i]}));
  return most;
}

TEST_CASE("teacher: logits that are stored are those that it gives when asked each time") {
  const ImageDataset data = pictures(45);
  for (const AnyConfig& config : teachers())
    for (const FlipMode mode : {FlipMode::alternate, FlipMode::random}) {
      CAPTURE(config.name());
      const Augmentation flips{.hflip = 0.5, .hflip_mode = mode};
      const auto losses = [&](bool stored) {
        Rng rng(5);
        ViTConfig c = vit;
        c.distilled = true;
        ViT student(c, rng);
        SGD sgd(named_parameters(student));
        Teacher teacher(classifier(config, data), data, 16);
        if (stored) CHECK(teacher.store(data, flips));
        std::vector<double> all;
        const LossOfBatch of_batch = learn_from(teacher, student, CrossEntropy{real(0.1)}, {DistillationType::soft});
        const LossOfBatch noted = [&](const Batch& b) {
          BatchLoss loss = of_batch(b);
          all.push_back(loss.loss.value().item());
          return loss;
        };
        Trainer(student, sgd, noted, rng,
                {.epochs = 3, .batch_size = 16, .schedule = {.lr = 0.1}, .augmentation = flips})
            .fit({data, pictures(5, 2), "pictures"});
        return all;
      };
      const std::vector<double> asked = losses(false), looked_up = losses(true);
      CHECK(asked.size() == 9);
      CHECK(distance(asked, looked_up) <= 1e-5);
    }
}

TEST_CASE("teacher: logits are stored only where an image has no more versions than two") {
  const ImageDataset data = pictures(10);
  Teacher teacher(classifier(vit, data), data, 4);
  for (const Augmentation& random :
       {Augmentation{.crop_padding = 1}, Augmentation{.random_erase = 0.1}, Augmentation{.resized_crop = 0.5},
        Augmentation{.auto_augment = AutoAugment::rand_augment}, Augmentation{.jitter_contrast = 0.1},
        Augmentation{.mixup = 0.2}, Augmentation{.hflip = 0.5, .cutmix = 1}})
    CHECK(!teacher.store(data, random));
  CHECK(teacher.store(data, {}));
  // Looked up by the images' numbers: what the pictures are no longer matters.
  Batch batch = batches(data, 3)[2];
  const std::vector<real> logits = teacher(batch.images).values();
  batch.images = Tensor::zeros(batch.images.shape());
  CHECK(distance(teacher(batch).values(), logits) <= 1e-6);
}

TEST_CASE("batches: which images they are, and which of them are flipped") {
  const ImageDataset data = pictures(20);
  const ImageDataset mirrored = [&] {
    ImageDataset copy = data;
    for (auto row = copy.images.begin(); row != copy.images.end(); row += 8) std::reverse(row, row + 8);
    return copy;
  }();
  const Tensor as_is = batches(data, 20)[0].images, other = batches(mirrored, 20)[0].images;
  for (const Augmentation& flips :
       {Augmentation{}, Augmentation{.hflip = 0.4}, Augmentation{.hflip = 0.4, .hflip_mode = FlipMode::alternate}}) {
    Rng rng(1);
    std::vector<int> flipped(20);
    for (int epoch = 0; epoch < 2; ++epoch)
      for (const Batch& batch : batches(data, 6, rng, flips))
        for (std::size_t i = 0; i < batch.which.size(); ++i) {
          const Tensor& version = batch.flipped[i] ? other : as_is;
          CHECK(batch.images[static_cast<Index>(i)].values() == version[batch.which[i]].values());
          flipped[static_cast<std::size_t>(batch.which[i])] += batch.flipped[i];
        }
    if (flips.hflip_mode == FlipMode::alternate) CHECK(flipped == std::vector<int>(20, 1));
    if (!flips.on()) CHECK(flipped == std::vector<int>(20, 0));
  }
}
