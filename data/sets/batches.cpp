#include "data/sets/batches.h"

#include <omp.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "data/sets/mix.h"
#include "tensor/check.h"
#include "tensor/profile.h"
#include "tensor/threads.h"

namespace bobbin {

Batches::Batches(const ImageDataset& data, Index batch_size, std::vector<Index> order, const Augmentation& augmentation,
                 const Draw& draw)
    : data_(&data), batch_size_(batch_size), order_(std::move(order)), augmentation_(augmentation), draw_(draw) {
  check(batch_size >= 1, "batches", "the batch size must be 1 or more, got ", batch_size);
  check_augmentation(augmentation, "batches");
}

Index Batches::size() const {
  const Index count = static_cast<Index>(order_.size()) - begin_;
  return count / batch_size_ + (count % batch_size_ != 0);
}

Batches Batches::from(Index count) const {
  check(count >= 0 && count <= size(), "batches", "cannot begin after batch ", count, " of ", size());
  Batches rest = *this;
  rest.begin_ = count < size() ? begin_ + count * batch_size_ : static_cast<Index>(order_.size());
  return rest;
}

Batches Batches::only(const PartOfEach& part) const {
  Batches result = *this;
  result.part_ = part;
  return result;
}

Batch Batches::operator[](Index i) const {
  check(i >= 0 && i < size(), "batches", "there is no batch ", i, " of ", size());
  return finished(start(i, new_pool()).get());
}

Batch Batches::finished(Prepared prepared) {
  Batch batch{std::move(prepared.images).tensor(), std::move(prepared.labels)};
  if (prepared.targets) batch.targets = std::move(*prepared.targets).tensor();
  batch.which = std::move(prepared.which);
  batch.flipped = std::move(prepared.flipped);
  return batch;
}

// No more threads than there may be pictures for.
std::shared_ptr<ThreadPool> Batches::new_pool() const {
  return std::make_shared<ThreadPool>(static_cast<int>(std::min<Index>(threads(), batch_size_)));
}

// The memory comes from the calling thread, so that a loop takes it in the same order in every run.
std::future<Batches::Prepared> Batches::start(Index i, std::shared_ptr<ThreadPool> pool) const {
  const Index begin = begin_ + i * batch_size_;
  const Index batch = std::min(batch_size_, static_cast<Index>(order_.size()) - begin),
              count = part_.images(batch).count;
  const Size2 size = data_->preprocess.size;
  check(size.height >= 1 && size.width >= 1, "batches", "images must be of 1 x 1 pixels or more, got ", size.height,
        " x ", size.width);
  return std::async(
      std::launch::async,
      [this, begin, batch, pool = std::move(pool), images = Staging({count, data_->channels, size.height, size.width}),
       targets =
           augmentation_.mixes() ? std::optional(Staging({count, data_->num_classes()})) : std::nullopt]() mutable {
        return make(std::move(images), std::move(targets), begin, batch, *pool);
      });
}

// The numbers of so many images of the order. The threads share them.
void Batches::make_images(Index first, Index count, real* out, ThreadPool& pool) const {
  const Size2 size = data_->preprocess.size;
  const Index numbers = data_->channels * size.height * size.width, parts = pool.size();
  pool.run([&](Index part) {
    omp_set_num_threads(1);  // no team of OpenMP threads for this one: it would fight with that of the loop
    for (Index i = count * part / parts; i < count * (part + 1) / parts; ++i) {
      const Index index = order_[static_cast<std::size_t>(first + i)];
      Image image = data_->image(index);
      const auto prepare = [&] {
        const double part = augmentation_.resized_crop;
        image = part > 0 ? resized_crop(std::move(image), data_->preprocess, part, draw_, first + i)
                         : fit(std::move(image), data_->preprocess);
        if (augmentation_.on())
          image = augment(std::move(image), augmentation_, draw_, first + i, index, data_->preprocess);
        to_numbers(image, data_->preprocess, out + i * numbers);
        if (augmentation_.random_erase > 0)
          erase(out + i * numbers, image.channels, data_->preprocess.size, augmentation_, draw_, first + i);
      };
      if (data_->files.empty())
        prepare();
      else
        with_context("batches", data_->files[static_cast<std::size_t>(index)], prepare);
    }
  });
}

Batches::Prepared Batches::make(Staging images, std::optional<Staging> targets, Index begin, Index batch_size,
                                ThreadPool& pool) const {
  const auto part = part_.images(batch_size);
  const Index first = begin + part.first, count = part.count;
  make_images(first, count, images.data(), pool);

  const auto label = [&](Index i) {
    return data_->labels[static_cast<std::size_t>(order_[static_cast<std::size_t>(i)])];
  };
  Prepared batch{std::move(images), {}, std::move(targets)};
  for (Index i = first; i < first + count; ++i) {
    const Index index = order_[static_cast<std::size_t>(i)];
    batch.labels.push_back(label(i));
    batch.which.push_back(index);
    batch.flipped.push_back(augmentation_.hflip > 0 && flips(augmentation_, draw_, i, index));
  }
  if (!batch.targets) return batch;

  const Size2 size = data_->preprocess.size;
  const Index channels = data_->channels, classes = data_->num_classes();
  const BatchMix mix = draw_mix(augmentation_, size, draw_, begin);
  if (part_.of == 1) {
    mix_pictures(batch.images.data(), count, channels, size, mix);
    mix_targets(batch.labels, classes, mix, batch.targets->data());
    return batch;
  }
  // Image i of the batch is mixed with image batch_size - 1 - i: those of this part, in order, with another run of
  // images, backwards. One behind the other they are a batch of their own, of which the first half is wanted.
  const Index partners = begin + batch_size - part.first - count, numbers = channels * size.height * size.width;
  std::vector<real> both(static_cast<std::size_t>(2 * count * numbers)),
      both_targets(static_cast<std::size_t>(2 * count * classes));
  std::copy_n(batch.images.data(), count * numbers, both.data());
  if (mix.kept < 1) make_images(partners, count, both.data() + count * numbers, pool);
  mix_pictures(both.data(), 2 * count, channels, size, mix);
  std::copy_n(both.data(), count * numbers, batch.images.data());
  Labels labels = batch.labels;
  for (Index i = partners; i < partners + count; ++i) labels.push_back(label(i));
  mix_targets(labels, classes, mix, both_targets.data());
  std::copy_n(both_targets.data(), count * classes, batch.targets->data());
  return batch;
}

void Batches::Iterator::prepare() {
  if (next_ == batches_->size()) return;
  if (!pool_) pool_ = batches_->new_pool();
  coming_ = batches_->start(next_++, pool_);
}

Batch Batches::Iterator::operator*() {
  Batch batch = finished([&] {
    const profile::Timed timed("wait_for_batch", 0);
    return coming_.get();
  }());
  prepare();
  return batch;
}

Batches batches(const ImageDataset& data, Index batch_size, Rng& rng, const Augmentation& augmentation) {
  std::vector<Index> order = rng.permutation(data.count());
  return Batches(data, batch_size, std::move(order), augmentation, augmentation.on() ? rng.draw() : Draw{});
}

Batches batches(const ImageDataset& data, Index batch_size) {
  std::vector<Index> order(static_cast<std::size_t>(data.count()));
  std::iota(order.begin(), order.end(), Index{0});
  return Batches(data, batch_size, std::move(order));
}

}  // namespace bobbin
