#pragma once
#include <algorithm>
#include <concepts>
#include <future>
#include <iterator>
#include <memory>
#include <numeric>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "data/images/augment.h"
#include "data/sets/dataset.h"
#include "data/sets/thread_pool.h"
#include "tensor/check.h"
#include "tensor/rng.h"
#include "tensor/tensor.h"

namespace bobbin {

/// Its images and labels are also what it is taken apart into: auto [X, y] = batch.
struct Batch {
  Tensor images;                    ///< (B, C, H, W), as data.preprocess makes them numbers
  Labels labels;                    ///< (B)
  std::optional<Tensor> targets{};  ///< (B, num_classes), with mixup or CutMix: the probabilities to be learned
  std::vector<Index> which{};       ///< (B), the images' numbers in the data set
  std::vector<bool> flipped{};      ///< (B), whether the augmentation has flipped them

  /// For auto [X, y] = batch: the images are 0, the labels 1.
  template <std::size_t i>
  const auto& get() const {
    if constexpr (i == 0)
      return images;
    else
      return labels;
  }
  /// The same, to be changed.
  template <std::size_t i>
  auto& get() {
    if constexpr (i == 0)
      return images;
    else
      return labels;
  }
};

}  // namespace bobbin

template <>
struct std::tuple_size<bobbin::Batch> : std::integral_constant<std::size_t, 2> {};
template <>
struct std::tuple_element<0, bobbin::Batch> : std::type_identity<bobbin::Tensor> {};
template <>
struct std::tuple_element<1, bobbin::Batch> : std::type_identity<bobbin::Labels> {};

namespace bobbin {

/// The part of each batch that one of several processes takes: a run of its images, about as many as every other one.
/// It begins with a multiple of four, so that a dropout's mask for it, of which a draw makes four numbers at a time, is
/// a part of that for the batch; and has four or more, so that a BatchNorm has something to average, unless the batch
/// has fewer. Of a small batch the last ones get none: they take its last images, up to four, which do not count. Rank
/// 0 always has some.
struct PartOfEach {
  Index rank = 0, of = 1;

  /// The images first ... first + count - 1, of which `counted` count: all, or none.
  struct Images {
    Index first, count, counted;
  };
  /// Of a batch of so many.
  Images images(Index batch) const {
    const auto begin = [this, batch](Index rank) {
      const Index fours = batch / 4, before = (fours * rank + of - 1) / of;
      return rank > 0 && before == fours ? batch : 4 * before;  // the last to have some has those left over, too
    };
    const Index first = begin(rank), count = begin(rank + 1) - first;
    return count > 0 ? Images{first, count, count}
                     : Images{std::max<Index>(batch - 4, 0), std::min<Index>(batch, 4), 0};
  }
};

/// A data set cut into batches, each of which is made when it is needed. The last one has what remains. It refers to
/// the data set, which must stay where it is.
///
///     for (auto [X, y] : batches(train, 128, rng)) ...
///
/// While the loop is busy with one batch, the next is made in the background, on as many threads as threads() says when
/// the loop begins. An error there, such as a file that is no picture, is thrown where the loop would have got the
/// batch; std::system_error, where the system lets no more threads start, where the loop begins.
class Batches {
  // A batch before its images are a tensor.
  struct Prepared {
    Staging images;
    Labels labels;
    std::optional<Staging> targets;
    std::vector<Index> which{};
    std::vector<bool> flipped{};
  };
  static Batch finished(Prepared batch);

 public:
  /// `order` says which images come, and when. Image i of it is varied by the RandomWords of i of `draw`.
  /// Throws Error unless the batch size is 1 or more, and where check_augmentation() does.
  Batches(const ImageDataset& data, Index batch_size, std::vector<Index> order, const Augmentation& augmentation = {},
          const Draw& draw = {});

  /// The number of batches.
  Index size() const;
  /// Throws Error unless 0 <= i < size(), and where image(), fit() and to_numbers() do.
  Batch operator[](Index i) const;
  /// Without the first `count` batches; a training run that is resumed has seen them.
  /// Throws Error unless 0 <= count <= size().
  Batches from(Index count) const;
  /// The same batches, of each only this part; mixup and CutMix mix as in the whole.
  Batches only(const PartOfEach& part) const;

  /// Goes over the batches once, and takes each of them once.
  class Iterator {
   public:
    explicit Iterator(const Batches& batches) : batches_(&batches) { prepare(); }
    /// Waits for the batch, and has the next one made.
    Batch operator*();
    Iterator& operator++() { return *this; }
    bool operator==(std::default_sentinel_t) const { return !coming_.valid(); }

   private:
    void prepare();
    const Batches* batches_;
    Index next_ = 0;
    std::shared_ptr<ThreadPool> pool_;
    std::future<Prepared> coming_;
  };
  /// For loops: for (auto [X, y] : batches(...)).
  Iterator begin() const { return Iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  std::shared_ptr<ThreadPool> new_pool() const;
  std::future<Prepared> start(Index i, std::shared_ptr<ThreadPool> pool) const;
  void make_images(Index first, Index count, real* out, ThreadPool& pool) const;
  Prepared make(Staging images, std::optional<Staging> targets, Index begin, Index batch_size, ThreadPool& pool) const;

  const ImageDataset* data_;
  Index batch_size_;
  std::vector<Index> order_;
  Augmentation augmentation_;
  Draw draw_;
  Index begin_ = 0;  // the batches begin with this image of the order
  PartOfEach part_;
};

/// All images once, in an order that `rng` draws: another one in each call. A second draw varies them, if the
/// augmentation asks for it: the same state of `rng` gives the same batches, also if one begins in the middle.
Batches batches(const ImageDataset& data, Index batch_size, Rng& rng, const Augmentation& augmentation = {});
/// All images in the order of the data set.
Batches batches(const ImageDataset& data, Index batch_size);
/// A data set of one's own: any type that has count() examples and makes a batch, of any type, of those that it is
/// given the numbers of. The same numbers make the same batch; what is random belongs to the model, whose streams are
/// kept.
///
///     struct Points {
///       Tensor x, y;
///       Index count() const { return x.shape()[0]; }
///       std::pair<Tensor, Tensor> batch(const std::vector<Index>& which) const { ... }
///     };
template <class Data>
concept Dataset = requires(const Data& data, const std::vector<Index>& which) {
  { data.count() } -> std::convertible_to<Index>;
  data.batch(which);
};

/// Such a data set cut into batches, as Batches are: each is made when it is needed.
template <Dataset Data>
class BatchesOf {
 public:
  /// Throws Error unless the batch size is 1 or more.
  BatchesOf(const Data& data, Index batch_size, std::vector<Index> order)
      : data_(&data), batch_size_(batch_size), order_(std::move(order)) {
    check(batch_size >= 1, "batches", "the batch size must be 1 or more, got ", batch_size);
  }

  /// The number of batches, of which the last may be smaller.
  Index size() const { return (static_cast<Index>(order_.size()) + batch_size_ - 1) / batch_size_; }
  /// Throws Error unless 0 <= i < size().
  auto operator[](Index i) const {
    check(i >= 0 && i < size(), "batches", "there is no batch ", i, " of ", size());
    const auto all = order_.begin() + i * batch_size_;
    const auto part = part_.images(std::min<Index>(batch_size_, order_.end() - all));
    return data_->batch({all + part.first, all + part.first + part.count});
  }
  /// Without the first `count`.
  BatchesOf from(Index count) const {
    check(count >= 0 && count <= size(), "batches", "cannot begin after batch ", count, " of ", size());
    BatchesOf rest = *this;
    rest.order_.erase(rest.order_.begin(),
                      count < size() ? rest.order_.begin() + count * batch_size_ : rest.order_.end());
    return rest;
  }
  /// The same batches, of each only this part.
  BatchesOf only(const PartOfEach& part) const {
    BatchesOf result = *this;
    result.part_ = part;
    return result;
  }

  /// Makes each batch when it is read.
  struct Iterator {
    const BatchesOf* batches;
    Index i;
    /// What a loop over batches needs.
    auto operator*() const { return (*batches)[i]; }
    Iterator& operator++() { return ++i, *this; }
    bool operator==(const Iterator&) const = default;
  };
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, size()}; }

 private:
  const Data* data_;
  Index batch_size_;
  std::vector<Index> order_;
  PartOfEach part_{};
};

/// The examples of any data set in batches, in an order that is drawn from rng.
template <Dataset Data>
BatchesOf<Data> batches(const Data& data, Index batch_size, Rng& rng) {
  return {data, batch_size, rng.permutation(data.count())};
}
/// The same in their own order.
template <Dataset Data>
BatchesOf<Data> batches(const Data& data, Index batch_size) {
  std::vector<Index> order(static_cast<std::size_t>(data.count()));
  std::iota(order.begin(), order.end(), Index{0});
  return {data, batch_size, std::move(order)};
}

// A data set that ends with the statement would be gone before the first batch.
Batches batches(const ImageDataset&&, Index, Rng&, const Augmentation& = {}) = delete;
Batches batches(const ImageDataset&&, Index) = delete;
template <Dataset Data>
void batches(const Data&&, Index, Rng&) = delete;
template <Dataset Data>
void batches(const Data&&, Index) = delete;

}  // namespace bobbin
