#include "data/sets/folder.h"

#include <algorithm>
#include <cctype>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "data/images/codec.h"
#include "data/sets/split.h"
#include "tensor/check.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

namespace fs = std::filesystem;

// --- What is in a folder ------------------------------------------------------------------------------------

// __MACOSX is what macOS adds to an archive: hidden files, in folders that are not.
bool hidden(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with('.') || name == "__MACOSX";
}

// ".txt", in small letters.
std::string kind_of(const fs::path& path) {
  std::string ending = path.extension().string();
  const auto plain = [](unsigned char c) { return std::isalnum(c) != 0; };
  if (ending.size() < 2 || ending.size() > 16 || !std::all_of(ending.begin() + 1, ending.end(), plain))
    return "without an ending";
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending;
}

// What lies in a folder itself.
struct Listing {
  std::vector<fs::path> folders;  // in the order of their names
  FilesInFolder files;
};

Listing list(const fs::path& folder) {
  Listing found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const fs::path& path = entry.path();
    if (hidden(path)) continue;
    if (entry.is_directory())
      found.folders.push_back(path);
    else if (has_picture_name(path))
      found.files.pictures.push_back(path);
    else
      ++found.files.others[kind_of(path)];
  }
  std::sort(found.folders.begin(), found.folders.end());
  return found;
}

void add(std::map<std::string, Index>& to, const std::map<std::string, Index>& more) {
  for (const auto& [kind, count] : more) to[kind] += count;
}

std::string counted(std::size_t count, const char* one, const char* several) {
  return count == 1 ? std::string("1 ") + one : with_commas(static_cast<Index>(count)) + " " + several;
}

// Words in a list, of which only the first are said, on one line whatever the names of folders are.
std::string listed(const std::vector<std::string>& words, std::size_t most = 10) {
  std::string text;
  for (std::size_t i = 0; i < std::min(words.size(), most); ++i) text += (i > 0 ? ", " : "") + words[i];
  if (words.size() > most) text += " and " + with_commas(static_cast<Index>(words.size() - most)) + " more";
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return std::iscntrl(c) != 0; }, '?');
  return text;
}

// A path within dir, for people; "" for dir itself.
std::string within(const fs::path& dir, const fs::path& path) {
  const std::string text = path.lexically_relative(dir).string();
  return text == "." ? "" : text;
}

// --- Parts of a data set that is divided ----------------------------------------------------------------------

// A single folder in a folder, as an archive is unpacked: the innermost of these, in which there is more. One whose
// name is that of a part, but not of the part that this is, is looked at by its name.
fs::path unwrapped(fs::path folder, Split part = Split::none) {
  for (int level = 0; level < 8; ++level) {
    const Listing outer = list(folder);
    if (outer.folders.size() != 1 || !outer.files.pictures.empty()) break;
    const fs::path& only = outer.folders.front();
    const Split split = split_name(only.filename().string()).split;
    if (split != Split::none && split != part) break;
    const Listing inner = list(only);
    if (inner.folders.empty() || !inner.files.pictures.empty()) break;
    folder = only;
  }
  return folder;
}

// A folder whose name is that of a part.
struct Candidate {
  fs::path path;
  bool only_name;      // says nothing else
  bool holds_folders;  // for classes, it seems
  bool empty;
};

struct Parts {
  fs::path train, val;           // "" if there is none
  std::vector<fs::path> others;  // beside them
};

// The one that is meant: its name says nothing else, or no other does.
const Candidate* choose(const std::vector<Candidate>& candidates, const char* what) {
  for (const bool only_name : {true, false}) {
    std::vector<const Candidate*> found;
    for (const Candidate& c : candidates)
      if (c.holds_folders && c.only_name == only_name) found.push_back(&c);
    if (found.empty()) continue;
    check(found.size() == 1, "image_folder", found[0]->path, " and ", found.back()->path, " both look like the ", what,
          " set: move one of them away, or rename it if it is a class");
    return found.front();
  }
  return nullptr;
}

class Division {
 public:
  Division(const fs::path& dir, const Listing& listing) : dir_(dir) {
    for (const fs::path& path : listing.folders) {
      const SplitName name = split_name(path.filename().string());
      classes_ += !name.only;
      if (name.split == Split::none) continue;
      const Listing inside = list(path);
      const std::size_t folders = inside.folders.size(), pictures = inside.files.pictures.size();
      named_[static_cast<std::size_t>(name.split)].push_back(
          {path, name.only, folders > 1 || (folders == 1 && pictures == 0), folders + pictures == 0});
    }
  }

  // Both parts are "" where there are classes only.
  Parts find(const Listing& listing) const {
    const Candidate* const train = choose(named(Split::train), "training");
    const Candidate* val = choose(named(Split::val), "validation");
    if (!val) val = choose(named(Split::test), "test");
    if (!train) {
      check_no_part(val);
      check_classes();
      return {};
    }
    for (const Candidate& c : named(Split::val))
      check(val || !c.only_name, "image_folder", c.path, c.empty ? " is empty" : " has no folders",
            ", expected one for each class");
    check(val || alone(*train, listing), "image_folder", train->path,
          " looks like the training set, for it holds folders, but beside it are pictures in ",
          other_than(*train, listing),
          ", and no validation or test set: rename it if it is a class, or move the others away if they are none");
    Parts parts{train->path, val ? val->path : fs::path(), {}};
    for (const fs::path& path : listing.folders)
      if (path != parts.train && path != parts.val) parts.others.push_back(path);
    return parts;
  }

 private:
  const std::vector<Candidate>& named(Split split) const { return named_[static_cast<std::size_t>(split)]; }

  // No folder beside it holds pictures.
  static bool alone(const Candidate& part, const Listing& listing) { return other_than(part, listing).empty(); }
  static std::string other_than(const Candidate& part, const Listing& listing) {
    for (const fs::path& path : listing.folders) {
      const SplitName name = split_name(path.filename().string());
      const bool pictures_to_test = name.split == Split::test && name.only && list(path).folders.empty();
      if (path != part.path && !pictures_to_test && !find_files(path).pictures.empty()) return path.filename().string();
    }
    return "";
  }

  // There is no training set, so there should not be a part to validate on.
  void check_no_part(const Candidate* val) const {
    if (!val) return;
    for (const Candidate& c : named(Split::train))
      if (c.only_name)
        fail("image_folder", c.path, " has no folders, expected one for each class: ", val->path,
             " has, and looks like what belongs to it");
    fail("image_folder", val->path, " looks like a part of a divided data set, for it holds folders, but in ", dir_,
         " is no training set: name that \"train\", or rename this one if it is a class");
  }

  // Folders with pictures only are classes, unless several have the names of parts; and pictures to test on beside
  // several classes are hardly one of them.
  void check_classes() const {
    std::vector<const Candidate*> parts;
    for (const Split split : {Split::train, Split::val, Split::test})
      for (const Candidate& c : named(split))
        if (c.only_name && !c.empty) parts.push_back(&c);
    if (parts.empty()) return;
    check(
        parts.size() == 1, "image_folder", parts.front()->path, " and ", parts.back()->path,
        " have the names of parts of a data set, but hold pictures: expected a folder for each class in them, such as "
        "train/cat/1.jpg");
    const bool train = split_name(parts.front()->path.filename().string()).split == Split::train;
    check(train || classes_ < 2, "image_folder", parts.front()->path,
          " has the name of a part of a data set, but holds pictures, as the ", classes_,
          " classes beside it do: move it away if they are there to test on, or rename it if it is a class");
  }

  const fs::path& dir_;
  std::size_t classes_ = 0;  // folders whose names say something else than a part
  std::vector<Candidate> named_[4];
};

// --- Classes --------------------------------------------------------------------------------------------------

// A class: its name, and its pictures in the order of their names.
struct Class {
  std::string name;
  std::vector<fs::path> pictures;
};

// In the order of their names. Adds to `left_out` what is no picture, or not in a class.
std::vector<Class> find_classes(const fs::path& folder, FilesInFolder& left_out) {
  const Listing here = list(folder);
  std::vector<Class> classes;
  for (const fs::path& path : here.folders) {
    FilesInFolder files = find_files(path);
    const std::string others = files.describe_others();
    check(!files.pictures.empty(), "image_folder", path, " has no picture", others.empty() ? "" : ", but ", others,
          ": each folder in ", folder, " is taken for a class");
    classes.push_back({path.filename().string(), std::move(files.pictures)});
    add(left_out.others, files.others);
  }
  check(!classes.empty(), "image_folder", folder, " has no folders, expected one for each class");
  left_out.pictures.insert(left_out.pictures.end(), here.files.pictures.begin(), here.files.pictures.end());
  add(left_out.others, here.files.others);
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
std::string describe(const FilesInFolder& left_out, const std::vector<fs::path>& folders) {
  std::vector<std::string> all;
  if (const std::string others = left_out.describe_others(); !others.empty()) all.push_back(others);
  if (!left_out.pictures.empty())
    all.push_back(counted(left_out.pictures.size(), "picture", "pictures") + " in no class's folder");
  for (const fs::path& path : folders)
    all.push_back("the folder " + path.filename().string() + " with " +
                  counted(find_files(path).pictures.size(), "picture", "pictures"));
  return listed(all);
}

TrainAndTest read_folder(const fs::path& given, Index channels) {
  const fs::path dir = unwrapped(given);
  const Listing listing = list(dir);
  const Parts parts = Division(dir, listing).find(listing);
  const bool divided = !parts.train.empty(), has_val = !parts.val.empty();
  const auto classes_of = [](const fs::path& part) {
    return unwrapped(part, split_name(part.filename().string()).split);
  };
  const fs::path folder = divided ? classes_of(parts.train) : dir, val = has_val ? classes_of(parts.val) : fs::path();

  FilesInFolder left_out;
  if (divided) left_out = listing.files;
  std::vector<Class> train = find_classes(folder, left_out);
  check(train.size() >= 2, "image_folder", folder, " has a single folder, ", Quoted{train.front().name},
        ": expected two or more, one for each class");
  const std::vector<Class> test = has_val ? find_classes(val, left_out) : hold_out(train);
  check(!test.empty(), "image_folder", "no class in ", folder,
        " has ten pictures, so that one could be kept back to validate on, and there are no train and val folders");

  std::vector<std::string> class_names;
  for (const Class& c : train) class_names.push_back(c.name);
  for (const Class& c : test)
    check(std::binary_search(class_names.begin(), class_names.end(), c.name), "image_folder", val / c.name,
          " has no counterpart in ", folder);

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

std::string FilesInFolder::describe_others() const {
  std::vector<std::pair<std::string, Index>> kinds(others.begin(), others.end());
  std::stable_sort(kinds.begin(), kinds.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::string> words;
  for (const auto& [kind, count] : kinds) words.push_back(with_commas(count) + " " + kind);
  return listed(words);
}

// Links to folders are not followed, so that none leads in a circle.
FilesInFolder find_files(const fs::path& folder) {
  FilesInFolder found;
  for (auto entry = fs::recursive_directory_iterator(folder); entry != fs::recursive_directory_iterator(); ++entry) {
    const fs::path& path = entry->path();
    if (hidden(path)) {
      entry.disable_recursion_pending();
    } else if (entry->is_directory()) {
      if (entry->is_symlink()) ++found.others["link to a folder"];
    } else if (has_picture_name(path)) {
      found.pictures.push_back(path);
    } else {
      ++found.others[kind_of(path)];
    }
  }
  std::sort(found.pictures.begin(), found.pictures.end());
  return found;
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
