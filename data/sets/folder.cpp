#include "data/sets/folder.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tensor/check.h"

namespace bobbin {
namespace {

namespace fs = std::filesystem;

bool hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

bool is_picture(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png";
}

// A class: its name, and its pictures in the order of their names.
struct Class {
  std::string name;
  std::vector<fs::path> pictures;
};

std::vector<fs::path> folders_in(const fs::path& folder) {
  std::vector<fs::path> folders;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (!hidden(entry.path()) && entry.is_directory()) folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end());
  return folders;
}

// In the order of their names.
std::vector<Class> find_classes(const fs::path& folder) {
  std::vector<Class> classes;
  for (const fs::path& path : folders_in(folder)) {
    classes.push_back({path.filename().string(), find_pictures(path)});
    check(!classes.back().pictures.empty(), "image_folder", path,
          " has no picture (.jpg, .jpeg or .png): each folder in ", folder, " is taken for a class");
  }
  check(!classes.empty(), "image_folder", folder, " has no folders, expected one for each class");
  return classes;
}

// The folder beside dir/train; nothing if there is none.
fs::path validation_folder(const fs::path& dir) {
  for (const char* name : {"val", "valid", "test"})
    if (fs::is_directory(dir / name)) return dir / name;
  return {};
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

TrainAndTest read_folder(const fs::path& dir, Index channels) {
  const fs::path val = validation_folder(dir);
  // Without folders in it, or another beside it, "train" is a class of vehicles.
  const bool divided = fs::is_directory(dir / "train") && (!val.empty() || !folders_in(dir / "train").empty());
  const fs::path folder = divided ? dir / "train" : dir;
  std::vector<Class> train = find_classes(folder);
  check(train.size() >= 2, "image_folder", folder, " has a single folder, ", Quoted{train.front().name},
        ": expected two or more, one for each class");
  const std::vector<Class> test = divided && !val.empty() ? find_classes(val) : hold_out(train);
  check(!test.empty(), "image_folder", "no class in ", folder,
        " has ten pictures, so that one could be kept back to validate on, and there are no train and val folders");

  std::vector<std::string> class_names;
  for (const Class& c : train) class_names.push_back(c.name);
  for (const Class& c : test)
    check(std::binary_search(class_names.begin(), class_names.end(), c.name), "image_folder", val / c.name,
          " has no counterpart in ", dir / "train");
  return {.train = make_data_set(train, class_names, channels),
          .test = make_data_set(test, class_names, channels),
          .name = dir.string()};
}

}  // namespace

// Links to folders are not followed, so that none leads in a circle.
std::vector<fs::path> find_pictures(const fs::path& folder) {
  std::vector<fs::path> pictures;
  for (auto entry = fs::recursive_directory_iterator(folder); entry != fs::recursive_directory_iterator(); ++entry) {
    const fs::path& path = entry->path();
    if (hidden(path)) {
      entry.disable_recursion_pending();
    } else if (is_picture(path) && !entry->is_directory()) {
      pictures.push_back(path);
    }
  }
  std::sort(pictures.begin(), pictures.end());
  return pictures;
}

TrainAndTest image_folder(const fs::path& dir, Index channels) {
  check(channels == 1 || channels == 3, "image_folder", "pictures have 1 channel, grey, or 3, got ", channels);
  try {
    return read_folder(dir, channels);
  } catch (const fs::filesystem_error& error) {
    fail("image_folder", error.path1(), " cannot be read: ", error.code().message());
  }
}

}  // namespace bobbin
