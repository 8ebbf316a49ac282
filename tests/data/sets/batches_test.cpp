#include "data/sets/batches.h"

#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "data/images/resize.h"
#include "tensor/check.h"
#include "tests/data/files.h"

using namespace bobbin;
using namespace bobbin::test;
using doctest::Contains;

namespace {

// Image i is a single pixel of brightness i, of class i.
ImageDataset numbered(int count) {
  Bytes images;
  Labels labels;
  for (int i = 0; i < count; ++i) {
    images.push_back(static_cast<std::uint8_t>(i));
    labels.push_back(i);
  }
  return ImageDataset({count, 1, 1, 1}, images, labels, std::vector<std::string>(static_cast<std::size_t>(count)));
}

// The labels of all batches, one after the other. Checks on the way that each image has its own label.
Labels order(const Batches& batches) {
  Labels all;
  for (const auto& [X, y] : batches) {
    CHECK(X.shape() == Shape{static_cast<Index>(y.size()), 1, 1, 1});
    for (std::size_t i = 0; i < y.size(); ++i) CHECK(X.data()[i] == static_cast<real>(y[i]) / 255);
    all.insert(all.end(), y.begin(), y.end());
  }
  return all;
}

template <class Data>
concept Batchable = requires(Data&& data, Rng& rng) {
  batches(std::forward<Data>(data), 1);
  batches(std::forward<Data>(data), 1, rng);
};
static_assert(Batchable<const ImageDataset&>);
static_assert(!Batchable<ImageDataset>);  // it would not outlive the call

}  // namespace

TEST_CASE("batches without a generator come in the order of the data set") {
  const ImageDataset data = numbered(10);
  std::vector<std::size_t> sizes;
  for (auto [X, y] : batches(data, 4)) sizes.push_back(y.size());
  CHECK(sizes == std::vector<std::size_t>{4, 4, 2});
  CHECK(batches(data, 4).size() == 3);
  CHECK(order(batches(data, 4)) == data.labels);
  CHECK(batches(data, 4)[2].labels == Labels{8, 9});

  CHECK(batches(data, 1).size() == 10);
  CHECK(batches(data, 5).size() == 2);
  CHECK(batches(data, 10).size() == 1);
  for (const Index large : {Index{11}, std::numeric_limits<Index>::max()}) {
    CHECK(batches(data, large).size() == 1);
    CHECK(order(batches(data, large)) == data.labels);
  }
}

TEST_CASE("shuffled batches have every image once, in another order each time, and the seed says which") {
  const ImageDataset data = numbered(200);
  Rng rng(1), same(1), other(2);
  const Labels first = order(batches(data, 32, rng)), second = order(batches(data, 32, rng));
  CHECK(first != data.labels);
  CHECK(first != second);
  CHECK(first == order(batches(data, 32, same)));
  CHECK(second == order(batches(data, 7, same)));  // the batch size does not matter
  CHECK(first != order(batches(data, 32, other)));
  for (Labels labels : {first, second}) {
    std::sort(labels.begin(), labels.end());
    CHECK(labels == data.labels);
  }

  Rng again(1);
  const Batches kept = batches(data, 32, again);
  CHECK(order(kept) == order(kept));  // one call is one order, however often it is gone through
}

TEST_CASE("a batch has the images resized, as numbers from 0 to 1") {
  ImageDataset data({5, 3, 13, 19}, noise(5 * 3 * 13 * 19), {0, 1, 2, 3, 4}, std::vector<std::string>(5));
  data.images[0] = 0;
  data.images[1] = 255;
  for (const Size2 size : {Size2{13, 19}, Size2{32, 24}, Size2{96}, Size2{7, 5}}) {
    data.preprocess.size = size;
    const Bytes bytes = resize(data.images, {13, 19}, size);
    const std::vector<Index> indices = {4, 0, 4};
    const Tensor X = Batches(data, 3, indices)[0].images;
    const Index image = 3 * size.height * size.width;
    REQUIRE(X.shape() == Shape{3, 3, size.height, size.width});
    bool same = true;
    for (Index b = 0; b < 3; ++b)
      for (Index i = 0; i < image; ++i)
        same &=
            X.data()[b * image + i] ==
            static_cast<real>(bytes[static_cast<std::size_t>(indices[static_cast<std::size_t>(b)] * image + i)]) / 255;
    CHECK(same);
    const auto [low, high] = std::minmax_element(X.data(), X.data() + X.size());
    CHECK(*low >= 0);
    CHECK(*high <= 1);
  }
  data.preprocess.size = {13, 19};
  const Tensor X = batches(data, 5)[0].images;
  CHECK(X.data()[0] == 0);
  CHECK(X.data()[1] == 1);
}

TEST_CASE("a batch does not depend on the number of threads") {
  ImageDataset data({40, 1, 28, 28}, noise(40 * 28 * 28), Labels(40, 0), {"one"});
  data.preprocess.size = 96;
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const std::vector<real> one = batches(data, 40)[0].images.values();
  omp_set_num_threads(3);
  CHECK(batches(data, 40)[0].images.values() == one);
  omp_set_num_threads(threads);
}

TEST_CASE("batches made ahead: an error reaches the loop in its place, and a loop may end early") {
  const ImageDataset data = numbered(10);
  const Batches broken(data, 2, {0, 1, 2, 3, 4, 10, 6, -1});
  Labels seen;
  const auto loop = [&] {
    for (const auto& [X, y] : broken) seen.insert(seen.end(), y.begin(), y.end());
  };
  CHECK_THROWS_WITH_AS(loop(), Contains("there is no image 10 "), Error);
  CHECK(seen == Labels{0, 1, 2, 3});
  CHECK_THROWS_WITH_AS(Batches(data, 8, {0, 1, 10, 11, 12, 13, 14, 15})[0], Contains("there is no image 10 "), Error);

  for (int i = 0; i < 100; ++i)
    for (const auto& [X, y] : batches(data, 3))
      if (y[0] == 3 * (i % 4)) break;
}

TEST_CASE("batches from the middle on") {
  const ImageDataset data = numbered(10);
  const Batches all = batches(data, 4);
  CHECK(order(all.from(0)) == data.labels);
  CHECK(order(all.from(1)) == Labels{4, 5, 6, 7, 8, 9});
  CHECK(all.from(1)[1].labels == Labels{8, 9});
  CHECK(order(all.from(3)).empty());
  CHECK_THROWS_WITH_AS(all.from(4), Contains("cannot begin after batch 4 of 3"), Error);
  CHECK_THROWS_WITH_AS(all.from(-1), Contains("cannot begin after batch -1 of 3"), Error);
}

TEST_CASE("the parts of batches that several ranks take are the batches, augmented and mixed as they are") {
  const ImageDataset data({23, 3, 6, 5}, noise(23 * 3 * 6 * 5),
                          {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1},
                          {"zero", "one", "two"});
  for (const double alpha : {0.0, 1.0})
    for (const int ranks : {1, 2, 3, 4, 7}) {
      const Augmentation how{.hflip = .5, .crop_padding = 2, .random_erase = .3, .mixup = alpha, .cutmix = alpha};
      Rng rng(7);
      const Batches all =
          batches(data, 9, rng, how);  // of 9, 9 and 5: for four and more ranks of fewer parts than ranks
      for (Index i = 0; i < all.size(); ++i) {
        const Batch whole = all[i];
        std::vector<real> images, targets;
        std::vector<Index> which;
        for (int rank = 0; rank < ranks; ++rank) {
          const PartOfEach part{rank, ranks};
          const auto [first, count, counted] = part.images(static_cast<Index>(whole.labels.size()));
          const Batch taken = all.only(part)[i];
          CHECK(taken.images.shape()[0] == count);
          CHECK((first % 4 == 0 || counted == 0));
          if (counted == 0) continue;
          for (const real x : taken.images.values()) images.push_back(x);
          if (taken.targets)
            for (const real x : taken.targets->values()) targets.push_back(x);
          which.insert(which.end(), taken.which.begin(), taken.which.end());
        }
        CHECK(which == whole.which);
        const auto same = [](const std::vector<real>& a, const std::vector<real>& b) {
          return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                            [](real x, real y) { return std::abs(x - y) < 1e-6; });
        };
        CHECK(same(images, whole.images.values()));
        CHECK(same(targets, whole.targets ? whole.targets->values() : std::vector<real>()));
      }
    }
}

TEST_CASE("the parts of a batch are all of it, in order, as even as fours can be, and the first is never empty") {
  for (Index batch = 1; batch <= 70; ++batch)
    for (Index ranks = 1; ranks <= 9; ++ranks) {
      CAPTURE(batch);
      CAPTURE(ranks);
      Index next = 0, most = 0, least = batch;
      for (Index rank = 0; rank < ranks; ++rank) {
        const auto [first, count, counted] = PartOfEach{rank, ranks}.images(batch);
        CHECK(first >= 0);
        CHECK((count >= 1 && first + count <= batch));
        CHECK((counted == count || (counted == 0 && rank > 0)));
        CHECK((counted == 0 || counted >= std::min<Index>(batch, 4)));
        if (counted > 0) CHECK(first == next);
        next += counted;
        most = std::max(most, counted), least = std::min(least, counted);
      }
      CHECK(next == batch);
      CHECK(most - least <= 7);
    }
}

TEST_CASE("batches that cannot be are refused") {
  ImageDataset data = numbered(10);
  Rng rng(1);
  CHECK_THROWS_WITH_AS(batches(data, 0), Contains("[batches] the batch size must be 1 or more, got 0"), Error);
  CHECK_THROWS_WITH_AS(batches(data, -128, rng), Contains("got -128"), Error);
  CHECK_THROWS_WITH_AS(batches(data, 4)[3], Contains("there is no batch 3 of 3"), Error);
  CHECK_THROWS_WITH_AS(batches(data, 4)[-1], Contains("there is no batch -1"), Error);
  CHECK_THROWS_WITH_AS(Batches(data, 2, {0, 10})[0], Contains("there is no image 10 in a data set of 10"), Error);
  CHECK_THROWS_WITH_AS(Batches(data, 2, {})[0], Contains("there is no batch 0 of 0"), Error);
  data.preprocess.size = {0, 28};
  CHECK_THROWS_WITH_AS(batches(data, 4)[0], Contains("[batches] images must be of 1 x 1 pixels or more, got 0 x 28"),
                       Error);
}
