#include "data/batches.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "data/resize.h"
#include "tensor/check.h"
#include "tensor/parallel.h"
#include "tensor/profile.h"

namespace bobbin {

Tensor to_tensor(const ImageDataset& data, std::span<const Index> indices) {
  const Index image = data.channels * data.height * data.width;
  const profile::Timed timed("to_tensor", static_cast<double>(static_cast<Index>(indices.size()) * data.channels *
                                                              data.resize.height * data.resize.width));
  std::vector<std::uint8_t> bytes;
  bytes.reserve(indices.size() * static_cast<std::size_t>(image));
  for (const Index i : indices) {
    check(i >= 0 && i < data.count(), "to_tensor", "there is no image ", i, " in a data set of ", data.count());
    const std::uint8_t* pixels = data.images.data() + i * image;
    bytes.insert(bytes.end(), pixels, pixels + image);
  }
  bytes = resize(std::move(bytes), {data.height, data.width}, data.resize);

  Tensor X({static_cast<Index>(indices.size()), data.channels, data.resize.height, data.resize.width});
  real* x = X.data();
  const std::uint8_t* in = bytes.data();
  parallel_for(X.size(), 1 << 16, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) x[i] = static_cast<real>(in[i]) / 255;
  });
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
