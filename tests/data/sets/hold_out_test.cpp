#include "data/sets/hold_out.h"

#include <doctest/doctest.h>

#include <set>

#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// Image i is filled with i; of class 0 there are 40, of class 1 fifteen, of class 2 one, of class 3 none.
ImageDataset uneven() {
  std::vector<std::uint8_t> bytes;
  Labels labels;
  for (int i = 0; i < 56; ++i) {
    bytes.insert(bytes.end(), 6, static_cast<std::uint8_t>(i));
    labels.push_back(i == 30 ? 2 : i % 4 == 3 || i > 53 ? 1 : 0);
  }
  return {{56, 1, 2, 3}, bytes, labels, {"a", "b", "c", "d"}};
}

Index count_of(const Labels& labels, int label) { return std::count(labels.begin(), labels.end(), label); }

std::vector<int> numbers(const ImageDataset& data) {
  std::vector<int> all;
  for (Index i = 0; i < data.count(); ++i) all.push_back(data.image(i).bytes.at(5));
  return all;
}

}  // namespace

TEST_CASE("hold_out: so many of each class, each image in one part, the same for the same numbers") {
  const ImageDataset data = uneven();
  const auto [train, val] = hold_out(data, .26, Rng(0));  // of 40 images 10.4, of 15 3.9: 10 and 4
  for (int label = 0; label < 3; ++label)
    CHECK(count_of(val.labels, label) == std::llround(.26 * static_cast<double>(count_of(data.labels, label))));
  CHECK(train.count() + val.count() == 56);
  CHECK(val.class_names == data.class_names);
  const std::vector<int> a = numbers(train), b = numbers(val);
  std::set<int> all(a.begin(), a.end());
  all.insert(b.begin(), b.end());
  CHECK(all.size() == 56);
  for (std::size_t i = 0; i < b.size(); ++i) CHECK(val.labels[i] == data.labels[static_cast<std::size_t>(b[i])]);
  CHECK(std::is_sorted(b.begin(), b.end()));
  CHECK(numbers(hold_out(data, .26, Rng(0)).second) == b);
  CHECK(numbers(hold_out(data, .26, Rng(1)).second) != b);
  CHECK(count_of(hold_out(data, .99, Rng(0)).first.labels, 0) == 1);  // something is left to learn of each class
  CHECK(count_of(hold_out(data, .99, Rng(0)).first.labels, 2) == 1);
}

TEST_CASE("share_of: so many of each class, one at least, and all where so few are left out that they are none") {
  const ImageDataset data = uneven();
  const auto counts = [&](double share) {
    const ImageDataset part = share_of(data, share, Rng(0));
    const std::vector<int> images = numbers(part);
    CHECK(std::is_sorted(images.begin(), images.end()));
    for (std::size_t i = 0; i < images.size(); ++i)
      CHECK(part.labels[i] == data.labels[static_cast<std::size_t>(images[i])]);
    CHECK(images == numbers(share_of(data, share, Rng(0))));
    return std::vector<Index>{count_of(part.labels, 0), count_of(part.labels, 1), count_of(part.labels, 2)};
  };
  CHECK(counts(.26) == std::vector<Index>{10, 4, 1});
  CHECK(counts(.001) == std::vector<Index>{1, 1, 1});
  CHECK(counts(.999) == std::vector<Index>{40, 15, 1});
  CHECK(numbers(share_of(data, .26, Rng(1))) != numbers(share_of(data, .26, Rng(0))));
  CHECK(fails([&] { share_of(data, 0, Rng(0)); }, {"above 0 and below 1, got 0"}));
  CHECK(fails([&] { share_of(data, 1, Rng(0)); }, {"above 0 and below 1, got 1"}));
}

TEST_CASE("hold_out: what cannot be divided is an error, and picture files go with their labels") {
  CHECK(fails([] { hold_out(uneven(), 0, Rng(0)); }, {"above 0 and below 1, got 0"}));
  CHECK(fails([] { hold_out(uneven(), 1, Rng(0)); }, {"above 0 and below 1, got 1"}));
  CHECK(fails([] { hold_out(uneven(), .001, Rng(0)); }, {"nothing to validate on"}));
  CHECK(fails([] { subset(uneven(), {3, 56}); }, {"there is no image 56 in a data set of 56"}));
  const ImageDataset files({"0", "1", "2", "3"}, 3, {0, 1, 0, 1}, {"a", "b"});
  const auto [train, val] = hold_out(files, .5, Rng(0));
  CHECK(val.files.size() == 2);
  CHECK(val.channels == 3);
  for (std::size_t i = 0; i < 2; ++i) CHECK(val.labels[i] == std::stoi(val.files[i].string()) % 2);
}
