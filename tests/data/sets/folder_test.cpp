#include "data/sets/folder.h"

#include <doctest/doctest.h>

#include <algorithm>
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

// Makes pictures at these paths; of "cat/1-10.png" ten, "cat/1.png" to "cat/10.png".
void add_all(const TempFolder& folder, const std::vector<std::string>& paths) {
  for (const std::string& path : paths)
    if (const std::size_t ten = path.find("1-10"); ten == std::string::npos)
      add(folder / path);
    else
      for (int i = 1; i <= 10; ++i) add(folder / (path.substr(0, ten) + std::to_string(i) + path.substr(ten + 4)));
}

// The pictures, with where they lie in the folder.
std::string paths(const ImageDataset& data, const TempFolder& folder) {
  std::string all;
  for (const fs::path& file : data.files) all += file.lexically_relative(folder.path()).string() + " ";
  return all;
}

bool notes_say(const ImageDataset& data, const std::string& part) {
  return std::any_of(data.notes.begin(), data.notes.end(), [&](const auto& note) { return contains(note, part); });
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

TEST_CASE("image_folder: parts by the names that people give them, in folders as archives are unpacked") {
  const struct {
    std::string train, val, says;  // the folders in which the classes are
    std::vector<std::string> beside;
  } layouts[] = {
      {"Train", "Test", "to train on: Train; to validate: Test", {}},
      {"Training", "Testing", "to train on: Training; to validate: Testing", {}},
      {"TRAIN", "VALIDATION", "to validate: VALIDATION", {}},
      {"train_set", "test_set", "to train on: train_set; to validate: test_set", {}},
      {"training_set/training_set",
       "test_set/test_set",
       "to train on: training_set/training_set; to validate: test_set",
       {}},
      {"seg_train/seg_train",
       "seg_test/seg_test",
       "left out: the folder seg_pred with 2 pictures",
       {"seg_pred/seg_pred/1.png", "seg_pred/seg_pred/2.png"}},
      {"train", "dev", "to validate: dev", {}},
      {"train", "eval", "to validate: eval", {}},
      {"Train_Images", "Val-Images", "to validate: Val-Images", {}},
      {"trainset", "valset", "to validate: valset", {}},
      // All three: validation is on val.
      {"Train", "Valid", "left out: the folder Test with 1 picture", {"Test/cat/1.png"}},
      {"training", "validation", "left out: the folder testing with 1 picture", {"testing/1.png"}},
      // Within one folder, or several.
      {"chest_xray/train", "chest_xray/val", "to train on: chest_xray/train; to validate: chest_xray/val", {}},
      {"real_vs_fake/real-vs-fake/train",
       "real_vs_fake/real-vs-fake/valid",
       "the folder test with 1 picture",
       {"real_vs_fake/real-vs-fake/test/cat/1.png"}},
      {"fruits/Training",
       "fruits/Test",
       "the folder test-multiple_fruits with 1 picture",
       {"fruits/test-multiple_fruits/1.png"}},
      {"data/train", "data/test", "to validate: data/test", {"__MACOSX/data/train/cat/._1.png", "data/.git/a/1.png"}},
      // Of two names, that which says nothing else.
      {"train", "val", "the folder train_masks with 1 picture", {"train_masks/cat/1.png"}},
  };
  for (const auto& l : layouts) {
    CAPTURE(l.train);
    const TempFolder folder;
    add_all(folder, {l.train + "/cat/1.png", l.train + "/dog/1.png", l.val + "/cat/1.png", l.val + "/dog/2.png"});
    add_all(folder, l.beside);
    const TrainAndTest data = image_folder(folder.path());
    CHECK(data.train.class_names == std::vector<std::string>{"cat", "dog"});
    CHECK(data.test.class_names == data.train.class_names);
    CHECK(paths(data.train, folder) == l.train + "/cat/1.png " + l.train + "/dog/1.png ");
    CHECK(paths(data.test, folder) == l.val + "/cat/1.png " + l.val + "/dog/2.png ");
    CHECK(notes_say(data.train, l.says));
    CHECK(notes_say(data.test, "classes: cat, dog"));
  }
}

TEST_CASE("image_folder: a training set without one to validate on, and classes that have the names of parts") {
  const struct {
    std::vector<std::string> paths, class_names;
    std::string says;
  } layouts[] = {
      {{"Training/cat/1-10.png", "Training/dog/1.png"},
       {"cat", "dog"},
       "to train on: Training; to validate: every tenth"},
      {{"seg_train/seg_train/cat/1-10.png", "seg_train/seg_train/dog/1.png"}, {"cat", "dog"}, "every tenth"},
      // Pictures to test on, of which nobody says what they are.
      {{"train/cat/1-10.png", "train/dog/1.png", "test/1.png"}, {"cat", "dog"}, "left out: the folder test with 1 pic"},
      {{"PetImages/Cat/1-10.png", "PetImages/Dog/1.png"}, {"Cat", "Dog"}, "to train on: PetImages; to validate: every"},
      {{"car/1-10.png", "train/1.png", "bus/1.png"}, {"bus", "car", "train"}, "classes: bus, car, train"},
      {{"valid/1-10.png", "invalid/1.png"}, {"invalid", "valid"}, "classes: invalid, valid"},
      {{"test/1-10.png", "control/1.png"}, {"control", "test"}, "classes: control, test"},
      {{"bullet_train/1-10.png", "steam_train/1.png", "antigen_test/1.png"},
       {"antigen_test", "bullet_train", "steam_train"},
       "classes: antigen_test"},
  };
  for (const auto& l : layouts) {
    CAPTURE(l.paths[0]);
    const TempFolder folder;
    add_all(folder, l.paths);
    const TrainAndTest data = image_folder(folder.path());
    CHECK(data.train.class_names == l.class_names);
    CHECK(data.test.count() == 1);
    CHECK(notes_say(data.train, l.says));
  }
}

TEST_CASE("image_folder: where the names leave a doubt, it is said") {
  const struct {
    std::vector<std::string> paths;
    std::vector<std::string> says;
  } layouts[] = {
      {{"train/a/1.png", "Training/a/1.png", "test/a/1.png"}, {"both look like the training set"}},
      {{"seg_train/a/1.png", "old_train/a/1.png", "test/a/1.png"}, {"both look like the training set"}},
      {{"train/a/1.png", "val/a/1.png", "validation/a/1.png"}, {"both look like the validation set"}},
      {{"train/a/1.png", "test/a/1.png", "Testing/a/1.png"}, {"both look like the test set"}},
      {{"train/1-10.png", "test/1-10.png"}, {"train\" and \"", "test\" have the names of parts", "hold pictures"}},
      {{"val/1-10.png", "test/1-10.png", "other/1-10.png"}, {"have the names of parts"}},
      {{"cats/1-10.png", "dogs/1-10.png", "test/1-10.png"},
       {"test\" has the name of a part", "the 2 classes beside it"}},
      {{"test/a/1-10.png", "test/b/1.png"}, {"test\" looks like a part", "is no training set"}},
      {{"val/a/1-10.png", "test/b/1.png"}, {"val\" looks like a part", "is no training set"}},
      {{"train_val/a/1-10.png", "test/b/1.png"}, {"test\" looks like a part", "is no training set"}},
      {{"train/small/1-10.png", "train/large/1-10.png", "bus/1-10.png"},
       {"train\" looks like the training set", "beside it are pictures in bus"}},
      {{"train/a/1.png", "train/b/1-10.png", "val/1.png"}, {"val\" has no folders, expected one for each class"}},
      {{"cat/train/1-10.png", "cat/test/1.png", "dog/train/1.png"}, {"cat\" is divided into parts", "train/cat/1.jpg"}},
      {{"train/a/1.png", "train/b/1.png", "test/A/1.png"}, {"test/A\" has no counterpart"}},
  };
  for (const auto& l : layouts) {
    CAPTURE(l.paths[0]);
    CAPTURE(l.says[0]);
    const TempFolder folder;
    add_all(folder, l.paths);
    CHECK(fails([&] { image_folder(folder.path()); }, l.says));
  }
  const TempFolder folder;
  add_all(folder, {"train/a/1.png", "train/b/1-10.png"});
  fs::create_directory(folder / "val");
  CHECK(fails([&] { image_folder(folder.path()); },
              {(folder / "val").string(), "is empty, expected one for each class"}));
  fs::remove_all(folder / "train");
  fs::create_directory_symlink(folder.path(), folder / "val" / "circle");
  CHECK(fails([&] { image_folder(folder.path()); }, {"[image_folder]"}));
}

TEST_CASE("image_folder: every file that is left out is counted by its kind, but for hidden ones") {
  const TempFolder folder;
  add_all(folder, {"a/1-10.png", "b/1.jpg", "b/2.JPEG", "stray.png"});
  for (const char* name : {"a/1.heic", "a/2.HEIC", "a/deep/3.heic", "b/notes.txt", "labels.csv", "b/README",
                           "b/.DS_Store", ".gitignore", "a/x.a-b", "b/.thumbnails/1.heic"}) {
    fs::create_directories((folder / name).parent_path());
    write_file(folder / name, {'x'});
  }
  fs::create_directory_symlink(folder / "a", folder / "b" / "link");
  const TrainAndTest data = image_folder(folder.path());
  CHECK(data.train.count() + data.test.count() == 12);
  CHECK(notes_say(data.train,
                  "left out: 3 .heic, 2 without an ending, 1 .csv, 1 .txt, 1 link to a folder, 1 picture in "
                  "no class's folder"));
  const TempFolder outer;  // and on the way to the classes
  add_all(outer, {"archive/train/train/a/1.png", "archive/train/train/b/1.png", "archive/val/a/1.png"});
  for (const char* name : {"1.html", "archive/1.csv", "archive/train/1.pdf", "archive/val/1.xml"})
    write_file(outer / name, {'x'});
  CHECK(notes_say(image_folder(outer.path()).train, "left out: 1 .csv, 1 .html, 1 .pdf, 1 .xml"));
  fs::remove_all(folder / "b");
  add(folder / "c" / "1.png");
  fs::remove(folder / "c" / "1.png");
  write_file(folder / "c" / "1.heic", {'x'});
  CHECK(fails([&] { image_folder(folder.path()); }, {(folder / "c").string(), "has no picture, but 1 .heic"}));
}

TEST_CASE("image_folder: every picture whose name this build can read is taken") {
  const TempFolder folder;
  const std::vector<std::string> endings{".jpg",  ".jpeg", ".png", ".bmp",  ".gif", ".ppm", ".pgm",
                                         ".jfif", ".webp", ".tif", ".tiff", ".JPG", ".Png"};
  Index read = 0;
  for (const std::string& ending : endings) {
    add_all(folder, {"a/1-10.png"});
    write_png(folder / "a" / ("x" + ending), {1, 1, 1, {0}});
    read += has_picture_name("x" + ending);
  }
  CHECK(read >= 5);
  add(folder / "b" / "1.png");
  const TrainAndTest data = image_folder(folder.path());
  CHECK(data.train.count() + data.test.count() == 10 + read + 1);
  CHECK(notes_say(data.train, "left out") == (read < static_cast<Index>(endings.size())));
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
  CHECK(fails([&] { image_folder(folder.path()); }, {(folder / "dog").string(), "has no picture: each folder"}));
  for (int i = 0; i < 10; ++i) add(folder / "dog" / (std::to_string(i) + ".png"));
  for (const char* name : {"K\xf6ln", "two\nlines"}) {  // in Latin-1, as old archives have it
    add(folder / name / "1.png");
    CHECK(fails([&] { image_folder(folder.path()); }, {"cannot name a class: names are UTF-8 without control"}));
    fs::remove_all(folder / name);
  }
  add(folder / "K\u00f6ln" / "1.png");
  CHECK(image_folder(folder.path()).train.class_names == std::vector<std::string>{"K\u00f6ln", "cat", "cow", "dog"});
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
  CHECK(fails(loop, {(folder / "a" / "5.png").string() + "\" is "}));
  CHECK(seen.size() == 4);
  fs::remove(folder / "a" / "5.png");
  CHECK(fails(loop, {(folder / "a" / "5.png").string(), "No such file"}));
}
