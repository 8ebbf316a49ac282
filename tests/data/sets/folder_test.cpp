#include "data/sets/folder.h"

#include <doctest/doctest.h>

#include <string>

#include "data/images/codec.h"
#include "data/sets/batches.h"
#include "tests/data/files.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

// A picture of one colour, in a folder that is made.
fs::path add(const fs::path& path, std::uint8_t level = 0) {
  fs::create_directories(path.parent_path());
  write_png(path, {1, 2, 3, Bytes(6, level)});
  return path;
}

std::vector<std::string> names(const ImageDataset& data) {
  std::vector<std::string> all;
  for (const fs::path& file : data.files) all.push_back(file.filename());
  return all;
}

}  // namespace

TEST_CASE("image_folder: classes and pictures in the order of their names, the tenth is kept back") {
  const TempFolder folder;
  for (int i = 0; i < 21; ++i) add(folder / "dog" / ((i < 10 ? "0" : "") + std::to_string(i) + ".png"));
  for (const char* name : {"b.PNG", "a.jpg", "more/c.Jpeg", ".hidden.png", "notes.txt", "thumbs.db"})
    add(folder / "Cat" / name);
  add(folder / "Cat" / ".thumbnails" / "a.png");
  add(folder / ".git" / "a.png");
  add(folder / "stray.png");
  fs::create_directory_symlink(folder.path(), folder / "dog" / "circle");
  fs::create_directory_symlink(folder / "dog", folder / "wolf");  // a class that is a link is one

  const TrainAndTest data = image_folder(folder.path());
  CHECK(data.name == folder.path().string());
  CHECK(data.train.class_names == std::vector<std::string>{"Cat", "dog", "wolf"});
  CHECK(data.test.class_names == data.train.class_names);
  CHECK(data.train.count() == 3 + 19 + 19);
  CHECK(names(data.test) == std::vector<std::string>{"09.png", "19.png", "09.png", "19.png"});
  CHECK(data.test.labels == Labels{1, 1, 2, 2});
  const std::vector<std::string> train = names(data.train);
  CHECK(std::vector<std::string>(train.begin(), train.begin() + 5) ==
        std::vector<std::string>{"a.jpg", "b.PNG", "c.Jpeg", "00.png", "01.png"});
  CHECK(Labels(data.train.labels.begin(), data.train.labels.begin() + 5) == Labels{0, 0, 0, 1, 1});
  CHECK(data.train.channels == 3);
}

TEST_CASE("image_folder: train and val, or test, where it is divided already") {
  const TempFolder folder;
  for (const char* name : {"train/b/1.png", "train/a/1.png", "train/c/1.png", "test/c/2.png", "test/a/2.png"})
    add(folder / name);
  fs::path before = folder / "test";
  for (const char* part : {"test", "valid", "val"}) {
    fs::rename(before, folder / part);
    before = folder / part;
    const TrainAndTest data = image_folder(folder.path(), 1);
    CHECK(data.train.labels == Labels{0, 1, 2});
    CHECK(data.test.labels == Labels{0, 2});
    CHECK(data.test.class_names == std::vector<std::string>{"a", "b", "c"});
    CHECK(data.test.channels == 1);
  }
  add(folder / "val" / "d" / "1.png");
  CHECK(fails([&] { image_folder(folder.path()); }, {(folder / "val" / "d").string(), "has no counterpart in"}));
}

TEST_CASE("image_folder: train alone is divided, and is a class if it has pictures only") {
  const TempFolder folder;
  for (const char* name : {"cat", "dog"})
    for (int i = 0; i < 10; ++i) add(folder / "train" / name / (std::to_string(i) + ".png"));
  const TrainAndTest data = image_folder(folder.path());
  CHECK(data.train.class_names == std::vector<std::string>{"cat", "dog"});
  CHECK(data.train.count() == 18);
  CHECK(names(data.test) == std::vector<std::string>{"9.png", "9.png"});
  fs::remove_all(folder / "train" / "dog");
  CHECK(fails([&] { image_folder(folder.path()); }, {(folder / "train").string(), "has a single folder, \"cat\""}));

  const TempFolder vehicles;
  for (const char* name : {"bus", "train"})
    for (int i = 0; i < 10; ++i) add(vehicles / name / (std::to_string(i) + ".png"));
  CHECK(image_folder(vehicles.path()).train.class_names == std::vector<std::string>{"bus", "train"});
  add(vehicles / "val" / "bus" / "1.png");
  CHECK(fails([&] { image_folder(vehicles.path()); }, {(vehicles / "train").string(), "has no folders, expected one"}));
}

TEST_CASE("image_folder: what is no data set is refused by name") {
  const TempFolder folder;
  CHECK(fails([&] { image_folder(folder.path()); }, {folder.path().string(), "has no folders, expected one for each"}));
  CHECK(fails([&] { image_folder(folder / "none"); }, {(folder / "none").string(), "cannot be read: No such file"}));
  CHECK(fails([&] { image_folder(folder.path(), 2); }, {"1 channel, grey, or 3, got 2"}));
  for (int i = 0; i < 9; ++i) add(folder / "cat" / (std::to_string(i) + ".png"));
  CHECK(fails([&] { image_folder(folder.path()); },
              {folder.path().string(), "has a single folder, \"cat\": expected two or more, one for each class"}));
  add(folder / "cow" / "1.png");
  CHECK(fails([&] { image_folder(folder.path()); }, {"no class in", folder.path().string(), "has ten pictures"}));
  fs::create_directory(folder / "dog");
  CHECK(
      fails([&] { image_folder(folder.path()); }, {(folder / "dog").string(), "has no picture (.jpg, .jpeg or .png)"}));
}

TEST_CASE("image_folder: batches read the pictures, and name one that is none") {
  const TempFolder folder;
  for (std::uint8_t i = 0; i < 10; ++i) add(folder / "a" / (std::to_string(i) + ".png"), i);
  add(folder / "b" / "1.png", 9);
  ImageDataset data = image_folder(folder.path()).train;
  data.preprocess.size = {4, 5};
  with_threads([&] {
    for (auto [X, y] : batches(data, 10)) {
      REQUIRE(X.shape() == Shape{10, 3, 4, 5});
      for (Index i = 0; i < 10; ++i) CHECK(X[i].values() == std::vector<real>(60, static_cast<real>(i) / 255));
    }
  });
  // What is wrong with a picture only when it is prepared.
  write_png(folder / "a" / "5.png", {1, 1, 2000, Bytes(2000)});
  data.preprocess.crop_pct = 1;
  data.preprocess.size = 50;
  CHECK(
      fails([&] { batches(data, 2)[2]; }, {"[batches]", (folder / "a" / "5.png").string() + "\": images have 1 to "}));
  data.preprocess.crop_pct = 0;
  write_file(folder / "a" / "5.png", {'n', 'o'});
  Labels seen;
  const auto loop = [&] {
    for (const auto& [X, y] : batches(data, 2)) seen.insert(seen.end(), y.begin(), y.end());
  };
  CHECK(fails(loop, {(folder / "a" / "5.png").string(), "is neither a JPEG nor a PNG picture"}));
  CHECK(seen.size() == 4);
  fs::remove(folder / "a" / "5.png");
  CHECK(fails(loop, {(folder / "a" / "5.png").string(), "No such file"}));
}
