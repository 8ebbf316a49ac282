#include "optim/training/teacher.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "nn/module.h"
#include "tensor/check.h"
#include "tensor/comm.h"
#include "tensor/functions.h"

namespace bobbin {
namespace {

constexpr Index most_stored = Index{1} << 28;  // numbers: a gigabyte of floats

// Numbers of the channels, or the one that is for all of them, or nothing: `otherwise`.
real of_channel(const std::vector<real>& numbers, Index c, real otherwise) {
  return numbers.empty() ? otherwise : numbers[numbers.size() == 1 ? 0 : static_cast<std::size_t>(c)];
}

// The first class of the teacher that may not be that of the data, or that one of them has not; or nothing.
std::string first_difference(const Classifier& teacher, const std::vector<std::string>& data) {
  const std::vector<std::string>& own = teacher.class_names;
  const auto name = [](const auto& names, std::size_t c) { return c < names.size() ? "\"" + names[c] + "\"" : "none"; };
  for (std::size_t c = 0; c < std::max(own.size(), data.size()); ++c)
    if (c >= own.size() || c >= data.size() || !teacher.may_be(c, data[c]))
      return std::to_string(c) + " is " + name(own, c) + ", not " + name(data, c);
  return "";
}

}  // namespace

Teacher::Teacher(Classifier teacher, const ImageDataset& images, Index batch_size)
    : model_(std::move(teacher.model)), batch_size_(batch_size) {
  const Preprocess &student = images.preprocess, &own = teacher.preprocess;
  const auto [height, width] = student.size;
  const Index channels = model_.config().num_channels();
  check(teacher.scores == Scores::softmax, "Teacher",
        "its logits are of classes each by itself (sigmoid), of which an image has one here");
  check(channels == images.channels, "Teacher", "it sees images of ", channels, " channel", channels == 1 ? "" : "s",
        ", the student of ", images.channels, ": both need the same pictures");
  check(own.size == student.size, "Teacher", "it sees images of ", own.size.height, " x ", own.size.width,
        ", the student of ", height, " x ", width, ": train the student with --img-size ", own.size.height, " ",
        own.size.width, ", or take a teacher of its size");
  const std::string difference = first_difference(teacher, images.class_names);
  check(difference.empty(), "Teacher", "it has ", teacher.class_names.size(), " classes, and the data have ",
        images.class_names.size(), ", which are not the same: its class ", difference);
  eval(model_);
  freeze(model_);
  // (x·std + mean - own.mean) / own.std
  std::vector<real> factor, shift;
  for (Index c = 0; c < channels; ++c) {
    const double std = of_channel(student.std, c, 1), own_std = of_channel(own.std, c, 1);
    const double mean = of_channel(student.mean, c, 0), own_mean = of_channel(own.mean, c, 0);
    factor.push_back(static_cast<real>(std / own_std));
    shift.push_back(static_cast<real>((mean - own_mean) / own_std));
  }
  const auto all = [](const std::vector<real>& numbers, real x) {
    return std::all_of(numbers.begin(), numbers.end(), [x](real y) { return y == x; });
  };
  if (all(factor, 1) && all(shift, 0)) return;
  factor_ = Tensor({channels, 1, 1}, factor);
  shift_ = Tensor({channels, 1, 1}, shift);
}

Tensor Teacher::operator()(const Tensor& images) {
  const Evaluating evaluating;
  const Index count = images.shape()[0];
  const Tensor X = factor_.defined() ? images * factor_ + shift_ : images;
  const Index whole = PartOfEach{comm::rank(), comm::size()}.images(batch_size_).count;
  if (count >= whole) return model_(X).value();
  return slice(model_(pad(X, 0, 0, whole - count)).value(), 0, 0, count);
}

Tensor Teacher::operator()(const Batch& batch) {
  if (!stored_.defined()) return (*this)(batch.images);
  Labels rows;
  for (std::size_t i = 0; i < batch.which.size(); ++i)
    rows.push_back(static_cast<int>(batch.which[i] + (batch.flipped[i] ? count_ : 0)));
  return index_select(stored_, 0, rows);
}

bool Teacher::store(const ImageDataset& images, const Augmentation& augmentation) {
  const Index classes = model_.config().num_classes(), versions = augmentation.hflip > 0 ? 2 : 1;
  if (augmentation.more_than_flips() || images.count() > most_stored / classes / versions) return false;
  std::vector<Index> order(static_cast<std::size_t>(images.count()));
  std::iota(order.begin(), order.end(), Index{0});
  std::vector<real> logits;
  const PartOfEach part{comm::rank(), comm::size()};  // of each batch, as in training
  for (Index version = 0; version < versions; ++version) {
    Index left = images.count();
    const Batches all(images, batch_size_, order, {.hflip = static_cast<double>(version)});
    for (const Batch& batch : all.only(part)) {
      const Index count = std::min(batch_size_, left);
      std::vector<double> rows(static_cast<std::size_t>(count * classes));
      const std::vector<real> own = (*this)(batch.images).values();
      if (const auto [first, _, counted] = part.images(count); counted > 0)
        std::copy(own.begin(), own.end(), rows.begin() + first * classes);
      rows = comm::sum_of_all_ranks(std::move(rows));
      logits.insert(logits.end(), rows.begin(), rows.end());
      left -= count;
    }
  }
  count_ = images.count();
  stored_ = Tensor({versions * count_, classes}, logits);
  return true;
}

}  // namespace bobbin
