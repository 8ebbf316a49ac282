#pragma once
#include <span>
#include <vector>

#include "data/image_dataset.h"
#include "tensor/rng.h"
#include "tensor/tensor.h"

namespace bobbin {

/// The images with these indices, as data.preprocess makes them numbers: (B, C, size.height, size.width).
/// Throws Error if there is no index, or one is not in the data set, and where fit() and to_numbers() do.
Tensor to_tensor(const ImageDataset& data, std::span<const Index> indices);

struct Batch {
  Tensor images;  ///< (B, C, H, W)
  Labels labels;  ///< (B)
};

/// A data set cut into batches, each of which is made when it is asked for. The last one has what
/// remains. It refers to the data set, which must stay where it is.
///
///     for (auto [X, y] : batches(train, 128, rng)) ...
class Batches {
 public:
  /// `order` says which images come, and when.
  Batches(const ImageDataset& data, Index batch_size, std::vector<Index> order);

  /// Without the first `count` batches; a training run that is resumed has seen them.
  Batches from(Index count) const;

  /// How many batches there are.
  Index size() const;
  /// Throws Error unless 0 <= i < size().
  Batch operator[](Index i) const;

  class Iterator {
   public:
    Iterator(const Batches* batches, Index i) : batches_(batches), i_(i) {}
    Batch operator*() const { return (*batches_)[i_]; }
    Iterator& operator++() { return ++i_, *this; }
    bool operator==(const Iterator&) const = default;

   private:
    const Batches* batches_;
    Index i_;
  };
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, size()}; }

 private:
  const ImageDataset* data_;
  Index batch_size_;
  std::vector<Index> order_;
};

/// All images once, in an order that `rng` draws: another one in each call.
/// Throws Error unless batch_size is 1 or more.
Batches batches(const ImageDataset& data, Index batch_size, Rng& rng);
/// All images in the order of the data set.
Batches batches(const ImageDataset& data, Index batch_size);
// A data set that ends with the statement would be gone before the first batch.
Batches batches(const ImageDataset&&, Index, Rng&) = delete;
Batches batches(const ImageDataset&&, Index) = delete;

}  // namespace bobbin
