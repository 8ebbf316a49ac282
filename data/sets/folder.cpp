#include "data/sets/folder.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "data/files/json.h"
#include "data/sets/find_files.h"
#include "data/sets/split.h"
#include "tensor/check.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

namespace fs = std::filesystem;

// A path within dir, for people; "" for dir itself.
std::string within(const fs::path& dir, const fs::path& path) {
  const std::string text = path.lexically_relative(dir).string();
  return text == "." ? "" : text;
}

std::string counted(std::size_t count, const char* one, const char* several) {
  return count == 1 ? std::string("1 ") + one : with_commas(static_cast<Index>(count)) + " " + several;
}

// A class: its name, and its pictures in the order of their names.
struct Class {
  std::string name;
  std::vector<fs::path> pictures;
};

// Pictures to test on must not be taken for pictures to train on.
void check_no_parts_within(const fs::path& class_folder) {
  bool train = false, other = false;
  for (const fs::path& path : list_folder(class_folder).folders) {
    const SplitName name = split_name(path.filename().string());
    if (name.only) (name.split == Split::train ? train : other) = true;
  }
  check(!train || !other, "image_folder", class_folder,
        " is divided into parts of a data set: expected the classes within the parts, such as train/cat/1.jpg, not the "
        "parts within the classes");
}

// A model's file, tables and pages have the names of its classes.
void check_can_name_a_class(const fs::path& folder) {
  const std::string name = folder.filename().string();
  const bool is_utf8 = nlohmann::json::parse(to_text(name)) == name;
  check(is_utf8 && std::none_of(name.begin(), name.end(), [](unsigned char c) { return std::iscntrl(c) != 0; }),
        "image_folder", "the folder ", folder,
        " cannot name a class: names are UTF-8 without control characters; rename it");
}

// In the order of their names. Adds to `left_out` what is no picture, or not in a class.
std::vector<Class> find_classes(const fs::path& folder, Files& left_out) {
  const Listing here = list_folder(folder);
  std::vector<Class> classes;
  for (const fs::path& path : here.folders) {
    check_can_name_a_class(path);
    check_no_parts_within(path);
    Files files = find_files(path);
    const std::string others = files.describe_others();
    check(!files.pictures.empty(), "image_folder", path, " has no picture", others.empty() ? "" : ", but ", others,
          ": each folder there is taken for a class");
    classes.push_back({path.filename().string(), std::move(files.pictures)});
    left_out.add({{}, std::move(files.others)});
  }
  check(!classes.empty(), "image_folder", folder, " has no folders, expected one for each class");
  left_out.add(here.files);
  return classes;
}

// The data set of these classes, numbered as in class_names.
ImageDataset make_data_set(const std::vector<Class>& classes, const std::vector<std::string>& class_names,
                           Index channels) {
  std::vector<fs::path> files;
  Labels labels;
  for (const Class& c : classes) {
    const auto label = std::find(class_names.begin(), class_names.end(), c.name) - class_names.begin();
    files.insert(files.end(), c.pictures.begin(), c.pictures.end());
    labels.insert(labels.end(), c.pictures.size(), static_cast<int>(label));
  }
  return ImageDataset(std::move(files), channels, std::move(labels), class_names);
}

// Takes every tenth picture of each class out of `train`, and returns them.
std::vector<Class> hold_out(std::vector<Class>& train) {
  std::vector<Class> test;
  for (Class& c : train) {
    Class kept{c.name, {}}, held_out{c.name, {}};
    for (std::size_t i = 0; i < c.pictures.size(); ++i)
      (i % 10 == 9 ? held_out : kept).pictures.push_back(std::move(c.pictures[i]));
    c = std::move(kept);
    if (!held_out.pictures.empty()) test.push_back(std::move(held_out));
  }
  return test;
}

// What was left out: files, and whole folders beside the parts.
std::string describe(const Files& left_out, const std::vector<fs::path>& folders) {
  std::vector<std::string> all;
  if (const std::string others = left_out.describe_others(); !others.empty()) all.push_back(others);
  if (!left_out.pictures.empty())
    all.push_back(counted(left_out.pictures.size(), "picture", "pictures") + " in no class's folder");
  for (const fs::path& path : folders)
    all.push_back("the folder " + path.filename().string() + " with " +
                  counted(find_files(path).pictures.size(), "picture", "pictures"));
  return listed(all);
}

// Throws Error unless training has all of the classes, which are in `folder`.
void check_known(const std::vector<Class>& classes, const std::vector<std::string>& class_names, const fs::path& folder,
                 const fs::path& trained_on) {
  for (const Class& c : classes)
    check(std::binary_search(class_names.begin(), class_names.end(), c.name), "image_folder", folder / c.name,
          " has no counterpart in ", trained_on);
}

TrainAndTest read_folder(const fs::path& given, Index channels) {
  Files left_out;
  const fs::path dir = unwrapped(given, Split::none, left_out);
  const Parts parts = find_parts(dir);
  const bool divided = !parts.train.empty(), has_val = !parts.val.empty();
  const auto classes_in = [&](const fs::path& part) {
    return unwrapped(part, split_name(part.filename().string()).split, left_out);
  };
  const fs::path folder = divided ? classes_in(parts.train) : dir, val = has_val ? classes_in(parts.val) : fs::path();
  if (divided) left_out.add(list_folder(dir).files);

  std::vector<Class> train = find_classes(folder, left_out);
  check(train.size() >= 2, "image_folder", folder, " has a single folder, ", Quoted{train.front().name},
        ": expected two or more, one for each class");
  const std::vector<Class> test = has_val ? find_classes(val, left_out) : hold_out(train);
  check(!test.empty(), "image_folder", "no class in ", folder,
        " has ten pictures, so that one could be kept back to validate on, and there are no train and val folders");

  std::vector<std::string> class_names;
  for (const Class& c : train) class_names.push_back(c.name);
  check_known(test, class_names, val, folder);

  TrainAndTest data{.train = make_data_set(train, class_names, channels),
                    .test = make_data_set(test, class_names, channels),
                    .name = given.string()};
  const std::string in = within(given, folder), of_each = "every tenth picture of each class";
  std::vector<std::string> notes{
      (in.empty() ? "" : "to train on: " + in + "; ") + "to validate: " + (has_val ? within(given, val) : of_each),
      "classes: " + listed(class_names)};
  if (const std::string rest = describe(left_out, parts.others); !rest.empty()) notes.push_back("left out: " + rest);
  data.train.notes = data.test.notes = notes;
  return data;
}

}  // namespace

TrainAndTest image_folder(const fs::path& dir, Index channels) {
  check(channels == 1 || channels == 3, "image_folder", "pictures have 1 channel, grey, or 3, got ", channels);
  try {
    return read_folder(dir, channels);
  } catch (const fs::filesystem_error& error) {
    fail("image_folder", error.path1(), " cannot be read: ", error.code().message());
  }
}

std::optional<ImageDataset> images_to_test_on(const fs::path& given, const TrainAndTest& data, bool needed) {
  Files left_out;
  const fs::path dir = unwrapped(given, Split::none, left_out);
  const Parts parts = find_parts(dir);
  const auto is_test = [](const fs::path& folder) {
    return split_name(folder.filename().string()).split == Split::test;
  };
  if (!parts.train.empty() && is_test(parts.val)) return {};
  std::vector<fs::path> found;
  std::copy_if(parts.others.begin(), parts.others.end(), std::back_inserter(found), is_test);
  if (parts.train.empty() || found.empty()) {
    check(!needed, "image_folder", given,
          " has no images to test on beside those to validate; --val-split holds some out");
    return {};
  }
  if (found.size() > 1)
    fail("image_folder", found[0], " and ", found[1], " both look like the test set: rename one of them");
  const fs::path folder = unwrapped(found[0], Split::test, left_out);
  const std::vector<Class> classes = find_classes(folder, left_out);
  check_known(classes, data.train.class_names, folder, parts.train);
  ImageDataset images = make_data_set(classes, data.train.class_names, data.train.channels);
  images.preprocess = data.train.preprocess;
  images.notes = {"to test on in the end: " + within(given, folder)};
  return images;
}

}  // namespace bobbin
