#include "data/sets/dataset.h"

#include <doctest/doctest.h>

#include "tensor/check.h"
#include "tests/data/files.h"

using namespace bobbin;
using namespace bobbin::test;
using doctest::Contains;

namespace {
const std::vector<std::string> two = {"cat", "dog"};
}

TEST_CASE("an image data set holds images, labels and names that fit together") {
  const ImageDataset data({3, 2, 4, 5}, noise(120), {1, 0, 1}, two);
  CHECK(data.count() == 3);
  CHECK(data.num_classes() == 2);
  CHECK(data.channels == 2);
  CHECK(data.height == 4);
  CHECK(data.width == 5);
  CHECK(data.preprocess.size == Size2(4, 5));
  CHECK(data.images == noise(120));
  CHECK(data.labels == Labels{1, 0, 1});

  using D = ImageDataset;
  CHECK_THROWS_AS(D({3, 4, 5}, noise(60), {1, 0, 1}, two), Error);
  CHECK_THROWS_WITH_AS(D({3, 1, 4, 5, 1}, noise(60), {1, 0, 1}, two), Contains("(N, C, H, W), got (3, 1, 4, 5, 1)"),
                       Error);
  CHECK_THROWS_WITH_AS(D({3, 1, 4, 5}, noise(61), {1, 0, 1}, two), Contains("have 60 bytes, got 61"), Error);
  CHECK_THROWS_WITH_AS(D({3, 1, 4, 5}, noise(60), {1, 0}, two), Contains("there are 3 images and 2 labels"), Error);
  CHECK_THROWS_WITH_AS(D({3, 1, 4, 5}, noise(60), {1, 2, 0}, two), Contains("label 2 at index 1, there are 2 classes"),
                       Error);
  CHECK_THROWS_WITH_AS(D({3, 1, 4, 5}, noise(60), {1, 0, -1}, two), Contains("label -1 at index 2"), Error);
}

TEST_CASE("a data set is read from two IDX files") {
  const TempFolder folder;
  const auto gray = write_file(folder / "gray", idx({3, 4, 5}, noise(60)));
  const auto rgb = write_file(folder / "rgb.gz", gzip(idx({2, 3, 4, 5}, noise(120))));
  const auto three = write_file(folder / "three", idx({3}, {0, 1, 1}));
  const auto pair = write_file(folder / "pair", gzip(idx({2}, {1, 0})));

  const ImageDataset grays = make_image_dataset(read_idx(gray), read_idx(three), two);
  CHECK(grays.channels == 1);
  CHECK(grays.height == 4);
  CHECK(grays.width == 5);
  CHECK(grays.labels == Labels{0, 1, 1});
  CHECK(grays.class_names == two);
  const ImageDataset colours = make_image_dataset(read_idx(rgb), read_idx(pair), two);
  CHECK(colours.channels == 3);
  CHECK(colours.images == noise(120));

  CHECK_THROWS_WITH_AS(make_image_dataset(read_idx(gray), read_idx(pair), two), Contains("gray\" has 3 images, but"),
                       Error);
  CHECK_THROWS_WITH_AS(make_image_dataset(read_idx(gray), read_idx(pair), two), Contains("pair\" has 2 labels"), Error);
  CHECK_THROWS_WITH_AS(make_image_dataset(read_idx(three), read_idx(gray), two),
                       Contains("three\" holds an array of the shape (3), expected images"), Error);
  CHECK_THROWS_WITH_AS(make_image_dataset(read_idx(gray), read_idx(gray), two), Contains("expected labels (N)"), Error);

  Bytes labels(20, 9);
  labels[17] = 10;
  const auto bad = write_file(folder / "bad", idx({20}, labels));
  const auto images = write_file(folder / "images", idx({20, 1, 1}, noise(20)));
  CHECK_THROWS_WITH_AS(make_image_dataset(read_idx(images), read_idx(bad), std::vector<std::string>(10)),
                       Contains(("label 10 at index 17 of \"" + bad.string() + "\", there are 10 classes").c_str()),
                       Error);
}
