#include "data/images/augment.h"

#include <doctest/doctest.h>

#include <map>
#include <set>

#include "data/sets/batches.h"
#include "tests/data/files.h"
#include "tests/golden/golden.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// What `image` shows after it has moved by (down, right) and, perhaps, left and right have changed places.
Bytes by_hand(const Image& image, Index down, Index right, bool flipped) {
  Bytes out;
  for (Index c = 0; c < image.channels; ++c)
    for (Index y = 0; y < image.height; ++y)
      for (Index x = 0; x < image.width; ++x) {
        const Index from_y = y - down, from_x = (flipped ? image.width - 1 - x : x) - right;
        const bool inside = from_y >= 0 && from_y < image.height && from_x >= 0 && from_x < image.width;
        out.push_back(inside ? image.bytes[static_cast<std::size_t>((c * image.height + from_y) * image.width + from_x)]
                             : 0);
      }
  return out;
}

std::vector<real> all_numbers(const Batches& batches) {
  std::vector<real> all;
  for (auto [X, y] : batches) {
    const std::vector<real> values = X.values();
    all.insert(all.end(), values.begin(), values.end());
    all.insert(all.end(), y.begin(), y.end());
  }
  return all;
}

}  // namespace

TEST_CASE("augment: each picture is moved and flipped in one of the possible ways, all of them as likely") {
  const Image image{2, 5, 7, noise(70)};
  for (const Augmentation& how :
       {Augmentation{0.5, 0}, Augmentation{0, 1}, Augmentation{0.25, 2}, Augmentation{1, 0}, Augmentation{0, 9}}) {
    std::map<Bytes, double> likely;  // the possible results
    const Index p = how.crop_padding, ways = (2 * p + 1) * (2 * p + 1);
    for (Index down = -p; down <= p; ++down)
      for (Index right = -p; right <= p; ++right)
        for (const bool flipped : {false, true})
          likely[by_hand(image, down, right, flipped)] +=
              (flipped ? how.hflip : 1 - how.hflip) / static_cast<double>(ways);
    constexpr Index count = 20000;
    std::map<Bytes, Index> seen;
    for (Index i = 0; i < count; ++i) ++seen[augment(image, how, Draw{3, 5}, i).bytes];
    for (const auto& [bytes, times] : seen) {
      const double expected = likely[bytes] * count;
      CHECK(std::abs(static_cast<double>(times) - expected) <= 5 * std::sqrt(expected) + 1);
    }
    for (const auto& [bytes, probability] : likely)
      if (probability > 0) CHECK(seen.contains(bytes));
  }
}

TEST_CASE("augment: the result depends on the draw and the position, and on nothing else") {
  const Image image{3, 11, 13, noise(3 * 11 * 13)};
  const Augmentation how{0.5, 4};
  std::set<Bytes> different;
  for (const Draw draw : {Draw{1, 0}, Draw{1, 1}, Draw{2, 0}})
    for (Index i = 0; i < 3; ++i) {
      different.insert(augment(image, how, draw, i).bytes);
      CHECK(augment(image, how, draw, i).bytes == augment(image, how, draw, i).bytes);
    }
  CHECK(different.size() > 7);
  CHECK(augment(image, {}, Draw{1, 0}, 0).bytes == image.bytes);
}

TEST_CASE("augment: batches vary the pictures of the same order, the same with any threads and batch size") {
  ImageDataset data({23, 3, 8, 6}, noise(23 * 3 * 8 * 6), Labels(23, 0), {"one"});
  data.preprocess = {{9, 10}, Interpolation::bilinear, 0, {real(0.5), real(0.4), real(0.3)}, {2, 3, 4}};
  const Augmentation how{0.5, 2};
  Rng plain(7), varied(7);
  const Batches plain_batches = batches(data, 5, plain), varied_batches = batches(data, 5, varied, how);
  CHECK(plain.draw().number == 1);  // as before there was augmentation
  CHECK(varied.draw().number == 2);

  // Image for image: fitted, then varied, then normalised; black is black before it is normalised.
  Rng again(7);
  const std::vector<Index> order = again.permutation(23);
  const Draw draw = again.draw();
  std::vector<real> expected;
  for (Index i = 0; i < 23; ++i) {
    const Image image = augment(fit(data.image(order[static_cast<std::size_t>(i)]), data.preprocess), how, draw, i);
    std::vector<real> numbers(image.bytes.size());
    to_numbers(image, data.preprocess, numbers.data());
    expected.insert(expected.end(), numbers.begin(), numbers.end());
  }
  with_threads([&] {
    std::vector<real> got, in_one;
    for (auto [X, y] : varied_batches) {
      const std::vector<real> values = X.values();
      got.insert(got.end(), values.begin(), values.end());
    }
    CHECK(got == expected);
    Rng once_more(7);
    CHECK(batches(data, 100, once_more, how)[0].images.values() == expected);
  });
  CHECK(all_numbers(plain_batches) != all_numbers(varied_batches));

  // A run that goes on in the middle of an epoch sees what it would have seen.
  for (Index k = 0; k <= varied_batches.size(); ++k) {
    std::vector<real> rest;
    for (Index i = k; i < varied_batches.size(); ++i) {
      const auto [X, y] = varied_batches[i];
      const std::vector<real> values = X.values();
      rest.insert(rest.end(), values.begin(), values.end());
      rest.insert(rest.end(), y.begin(), y.end());
    }
    CHECK(all_numbers(varied_batches.from(k)) == rest);
    CHECK(varied_batches.from(k).size() == 5 - k);
    CHECK(all_numbers(varied_batches.from(k / 2).from(k - k / 2)) == rest);
  }
}

TEST_CASE("augment: flips and shifts are those of the first version, from block i of the draw") {
  const Image image{1, 6, 7, noise(42)};
  for (Index i = 0; i < 100; ++i) {
    const auto [flipped, down, right, unused] = Draw{3, 5}.block(static_cast<std::uint64_t>(i));
    const auto shift = [](std::uint64_t word) { return 2 - static_cast<Index>(word * 5 >> 32); };
    const Bytes expected = by_hand(image, shift(down), shift(right), flipped < 0.3 * 0x1p32);
    CHECK(augment(image, {.hflip = 0.3, .crop_padding = 2}, Draw{3, 5}, i).bytes == expected);
  }
}

TEST_CASE("augment: a picture that alternates shows both sides in two epochs") {
  constexpr Index count = 2000;
  const ImageDataset data({count, 1, 1, 2}, noise(2 * count), Labels(count, 0), {"one"});
  const auto flips = [&](Rng& rng) {  // in the order of the data set
    Rng same = rng;
    const std::vector<Index> order = same.permutation(count);
    const std::vector<real> numbers =
        batches(data, count, rng, {.hflip = 0.3, .hflip_mode = FlipMode::alternate})[0].images.values();
    std::vector<int> flipped(count);
    for (std::size_t i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(order[i]);
      flipped[at] = real{numbers[2 * i]} != static_cast<real>(data.images[2 * at]) / 255;
    }
    return flipped;
  };
  Rng rng(7);
  const std::vector<int> first = flips(rng), second = flips(rng), third = flips(rng);
  CHECK(std::abs(std::accumulate(first.begin(), first.end(), 0) - 0.3 * count) < 100);
  CHECK(third == first);
  for (std::size_t i = 0; i < count; ++i)
    if (data.images[2 * i] != data.images[2 * i + 1]) CHECK(first[i] != second[i]);
}

TEST_CASE("augment: shifted pictures mirrored at their border are torchvision's RandomCrop") {
  const Golden golden("augment");
  const auto bytes = [&](const std::string& name) {
    const std::vector<int> numbers = golden.ints(name);
    return Bytes(numbers.begin(), numbers.end());
  };
  const Image image{3, 17, 22, bytes("rgb")};
  for (const Index padding : {3, 40}) {
    Bytes all;
    for (Index i = 0; i < 4; ++i) {
      const Bytes one = augment(image, {.crop_padding = padding, .crop_mode = CropMode::reflect}, Draw{3, 5}, i).bytes;
      all.insert(all.end(), one.begin(), one.end());
    }
    CHECK(all == bytes("reflect/" + std::to_string(padding)));
  }
  const Image line{1, 1, 2, {5, 6}};
  CHECK(augment(line, {.crop_padding = 4096, .crop_mode = CropMode::reflect}, {}, 0).bytes.size() == 2);
}

TEST_CASE("augment: erased rectangles are those of torchvision's RandomErasing with the same random numbers") {
  const Golden golden("augment");
  for (const bool pixel : {false, true}) {
    const Augmentation how{.random_erase = 0.7, .erase_mode = pixel ? EraseMode::pixel : EraseMode::constant};
    std::vector<real> all;
    for (Index i = 0; i < 4; ++i) {
      std::vector<real> numbers = golden.tensor("normalized").values();
      erase(numbers.data(), 3, {17, 22}, how, Draw{3, 5}, i);
      all.insert(all.end(), numbers.begin(), numbers.end());
    }
    check_golden(pixel ? "pixel" : "constant", Tensor({4, 3, 17, 22}, all),
                 golden.tensor(pixel ? "erase/pixel" : "erase/constant"));
  }
  // Of a training set it is done after normalisation, to a share of the pictures.
  ImageDataset data({1000, 1, 8, 8}, Bytes(64000, 255), Labels(1000, 0), {"one"});
  data.preprocess.mean = {real(0.5)}, data.preprocess.std = {real(0.5)};
  Rng rng(1);
  const std::vector<real> numbers = batches(data, 1000, rng, {.random_erase = 0.25})[0].images.values();
  Index erased = 0;
  for (std::size_t i = 0; i < 1000; ++i) {
    const auto begin = numbers.begin() + static_cast<std::ptrdiff_t>(64 * i);
    const std::ptrdiff_t zeros = std::count(begin, begin + 64, 0), ones = std::count(begin, begin + 64, 1);
    CHECK(zeros + ones == 64);
    CHECK(zeros <= 24);
    erased += zeros > 0;
  }
  CHECK(std::abs(erased - 250) < 60);
}

TEST_CASE("augment: what cannot be is refused") {
  const ImageDataset data({1, 1, 1, 1}, {7}, {0}, {"one"});
  Rng rng(1);
  CHECK(fails([&] { batches(data, 1, rng, {.hflip = 1.5}); }, {"hflip is a probability, from 0 to 1, got 1.5"}));
  CHECK(fails([&] { batches(data, 1, rng, {.hflip = std::nan("")}); }, {"got nan"}));
  CHECK(
      fails([&] { batches(data, 1, rng, {.crop_padding = -1}); }, {"crop_padding must be 0 to 16384 pixels, got -1"}));
  CHECK(fails([&] { batches(data, 1, rng, {.random_erase = -0.1}); }, {"random_erase is a probability", "got -0.1"}));
  CHECK(fails([&] { batches(data, 1, rng, {.hflip_mode = FlipMode::alternate}); }, {"the share hflip", "which is 0"}));
  CHECK(fails([&] { batches(data, 1, rng, {.crop_mode = CropMode::reflect}); }, {"crop_padding is 0"}));
  CHECK(fails([&] { batches(data, 1, rng, {.erase_mode = EraseMode::pixel}); }, {"random_erase is 0"}));
}
