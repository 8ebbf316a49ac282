#include "data/batches.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "tensor/check.h"
#include "tensor/profile.h"

namespace bobbin {

Tensor to_tensor(const ImageDataset& data, std::span<const Index> indices) {
  const Size2 size = data.preprocess.size;
  const Index count = static_cast<Index>(indices.size()), image = data.channels * size.height * size.width;
  const profile::Timed timed("to_tensor", static_cast<double>(count * image));
  Tensor X({count, data.channels, size.height, size.width});
  real* x = X.data();
  for (const Index i : indices) {
    to_numbers(fit(data.image(i), data.preprocess), data.preprocess, x);
    x += image;
  }
  return X;
}

Batches::Batches(const ImageDataset& data, Index batch_size, std::vector<Index> order)
    : data_(&data), batch_size_(batch_size), order_(std::move(order)) {
  check(batch_size >= 1, "batches", "the batch size must be 1 or more, got ", batch_size);
}

Index Batches::size() const {
  const Index count = static_cast<Index>(order_.size());
  return count / batch_size_ + (count % batch_size_ != 0);
}

Batches Batches::from(Index count) const {
  check(count >= 0 && count <= size(), "batches", "cannot begin after batch ", count, " of ", size());
  Batches rest = *this;
  rest.order_.erase(rest.order_.begin(),
                    rest.order_.begin() + std::min(count * batch_size_, static_cast<Index>(order_.size())));
  return rest;
}

Batch Batches::operator[](Index i) const {
  check(i >= 0 && i < size(), "batches", "there is no batch ", i, " of ", size());
  const std::span<const Index> order = order_;
  const Index begin = i * batch_size_, length = std::min(batch_size_, static_cast<Index>(order.size()) - begin);
  const auto indices = order.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(length));
  Batch batch{to_tensor(*data_, indices), {}};
  for (const Index index : indices) batch.labels.push_back(data_->labels[static_cast<std::size_t>(index)]);
  return batch;
}

Batches batches(const ImageDataset& data, Index batch_size, Rng& rng) {
  return Batches(data, batch_size, rng.permutation(data.count()));
}

Batches batches(const ImageDataset& data, Index batch_size) {
  std::vector<Index> order(static_cast<std::size_t>(data.count()));
  std::iota(order.begin(), order.end(), Index{0});
  return Batches(data, batch_size, std::move(order));
}

}  // namespace bobbin
