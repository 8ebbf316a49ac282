#include "data/sets/check_pictures.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "data/images/codec.h"
#include "tests/data/files.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

// 30 pictures of each of two classes to train on, 10 to validate.
struct Pictures {
  TempFolder folder;
  fs::path path(int c, int i) const { return folder / (std::to_string(c) + "-" + std::to_string(i) + ".png"); }
  ImageDataset part(int begin, int end) const {
    std::vector<fs::path> files;
    Labels labels;
    for (int c = 0; c < 2; ++c)
      for (int i = begin; i < end; ++i) {
        files.push_back(path(c, i));
        if (!fs::exists(files.back())) write_png(files.back(), {1, 5, 7, Bytes(35, static_cast<std::uint8_t>(i))});
        labels.push_back(c);
      }
    return ImageDataset(files, 1, labels, {"cat", "dog"});
  }
  TrainAndTest data() const { return {part(0, 30), part(30, 40), "pictures"}; }
};

}  // namespace

TEST_CASE("check_pictures: all bad ones are listed together, or left out") {
  const Pictures pictures;
  TrainAndTest data = pictures.data();
  check_pictures(data, false);
  check_pictures(data, true);
  CHECK(data.train.count() == 60);
  CHECK(data.train.notes.empty());

  write_file(pictures.path(1, 3), {'n', 'o'});
  CHECK(
      error_of([&] { check_pictures(data, false); }).starts_with("[check_pictures] \"" + pictures.path(1, 3).string()));
  CHECK(fails([&] { check_pictures(data, false); }, {"; mend it, or leave it out with --skip-bad"}));
  write_file(pictures.path(0, 7), {});
  fs::remove(pictures.path(1, 31));
  Bytes half = read_file(pictures.path(1, 5));
  half.resize(half.size() / 2);
  write_file(pictures.path(1, 5), half);
  with_threads([&] {
    const std::string error = error_of([&] { check_pictures(data, false); });
    CHECK(contains(error, "4 of 80 pictures cannot be read; mend them"));
    CHECK(std::count(error.begin(), error.end(), '\n') == 4);
    std::size_t at = 0;  // in their order
    for (const fs::path& path : {pictures.path(0, 7), pictures.path(1, 3), pictures.path(1, 5), pictures.path(1, 31)}) {
      CHECK(error.find(path.string()) > at);
      at = error.find(path.string());
    }
  });
  CHECK(data.train.count() == 60);

  const std::vector<fs::path> before = data.train.files;
  check_pictures(data, true);
  CHECK(data.train.count() == 57);
  CHECK(data.test.count() == 19);
  CHECK(data.train.files[6] == before[6]);
  CHECK(data.train.files[7] == before[8]);
  CHECK(std::count(data.train.labels.begin(), data.train.labels.end(), 1) == 28);
  const std::string folder = pictures.folder.path().filename().string();
  CHECK(contains(data.train.notes.back(),
                 "left out: 4 of 80 pictures, which cannot be read: " + folder + "/0-7.png, " + folder + "/1-3.png"));
  check_pictures(data.test, false);

  for (int i = 0; i < 30; ++i) write_file(pictures.path(0, i), {'x'});
  data = pictures.data();
  const std::string error = error_of([&] { check_pictures(data, false); });
  CHECK(std::count(error.begin(), error.end(), '\n') == 21);
  CHECK(contains(error, "32 of 80 pictures"));
  CHECK(contains(error, "\n  and 12 more"));
  CHECK(fails([&] { check_pictures(data, true); }, {"no picture of the class \"cat\" is left to train on"}));
  for (int i = 0; i < 30; ++i) write_file(pictures.path(1, i), {'x'});
  data = pictures.data();
  CHECK(fails([&] { check_pictures(data, true); }, {"none of the 60 pictures", "can be read"}));
}

TEST_CASE("check_pictures: what only shows when a picture is fitted to the model is left out, too") {
  const Pictures pictures;
  TrainAndTest data = pictures.data();
  write_png(pictures.path(0, 2), {1, 1, 2000, Bytes(2000)});
  data.train.preprocess = {.size = 50, .crop_pct = 1};
  check_pictures(data, true);
  CHECK(data.train.count() == 59);
}
