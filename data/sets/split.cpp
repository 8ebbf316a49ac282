#include "data/sets/split.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <string_view>

#include "tensor/check.h"

namespace bobbin {
namespace {

namespace fs = std::filesystem;

// In small letters. A byte of a letter beyond ASCII is one of a word.
std::vector<std::string> words_of(const std::string& name) {
  std::vector<std::string> words(1);
  bool after_small = false;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    const bool capital = std::isupper(byte), small = std::islower(byte) || byte >= 0x80;
    if ((capital && after_small) || !(capital || small)) words.emplace_back();
    if (capital || small) words.back() += static_cast<char>(std::tolower(byte));
    after_small = small;
  }
  std::erase(words, "");
  return words;
}

bool is_one_of(const std::string& word, std::initializer_list<std::string_view> all) {
  return std::find(all.begin(), all.end(), word) != all.end();
}

// Words that say only that there is data.
bool says_nothing(const std::string& word) {
  return is_one_of(word, {"set", "data", "dataset", "image", "images", "img", "imgs", "picture", "pictures", "photo",
                          "photos", "folder", "split", "samples"});
}

Split split_of(std::string word) {
  for (const std::string_view ending : {"dataset", "set", "data", "images", "imgs"})
    if (word.size() > ending.size() && word.ends_with(ending)) {
      word.resize(word.size() - ending.size());
      break;
    }
  if (is_one_of(word, {"train", "training"})) return Split::train;
  if (is_one_of(word, {"val", "valid", "validation", "dev"})) return Split::val;
  if (is_one_of(word, {"test", "testing", "eval", "evaluation"})) return Split::test;
  return Split::none;
}

// A folder whose name is that of a part.
struct Candidate {
  fs::path path;
  bool only_name;      // says nothing else
  bool holds_folders;  // for classes, it seems
  bool empty;
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
  explicit Division(const fs::path& dir) : dir_(dir), folders_(list_folder(dir).folders) {
    for (const fs::path& path : folders_) {
      const SplitName name = split_name(path.filename().string());
      classes_ += !name.only;
      if (name.split == Split::none) continue;
      const Listing inside = list_folder(path);
      const std::size_t folders = inside.folders.size(), pictures = inside.files.pictures.size();
      named_[static_cast<std::size_t>(name.split)].push_back(
          {path, name.only, folders > 1 || (folders == 1 && pictures == 0), folders + pictures == 0});
    }
  }

  // Both parts are "" where there are classes only.
  Parts find() const {
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
    const std::string other = val ? "" : other_than(*train);
    check(other.empty(), "image_folder", train->path,
          " looks like the training set, for it holds folders, but beside it are pictures in ", other,
          ", and no validation or test set: rename it if it is a class, or move the others away if they are none");
    Parts parts{train->path, val ? val->path : fs::path(), {}};
    for (const fs::path& path : folders_)
      if (path != parts.train && path != parts.val) parts.others.push_back(path);
    return parts;
  }

 private:
  const std::vector<Candidate>& named(Split split) const { return named_[static_cast<std::size_t>(split)]; }

  // Another folder that holds pictures, but not those that are there to test on; "" if there is none.
  std::string other_than(const Candidate& part) const {
    for (const fs::path& path : folders_) {
      const SplitName name = split_name(path.filename().string());
      const bool to_test_on = name.split == Split::test && name.only && list_folder(path).folders.empty();
      if (path != part.path && !to_test_on && !find_files(path).pictures.empty()) return path.filename().string();
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
  std::vector<fs::path> folders_;
  std::size_t classes_ = 0;  // folders whose names say something else than a part
  std::vector<Candidate> named_[4];
};

}  // namespace

SplitName split_name(const std::string& folder) {
  SplitName name{Split::none, true};
  for (const std::string& word : words_of(folder)) {
    const Split split = split_of(word);
    if (split == Split::none) {
      name.only = name.only && says_nothing(word);
    } else {
      if (name.split != Split::none && name.split != split) return {};
      name.split = split;
    }
  }
  return name.split == Split::none ? SplitName{} : name;
}

Parts find_parts(const fs::path& dir) { return Division(dir).find(); }

fs::path unwrapped(fs::path folder, Split part, Files& left_out) {
  for (int level = 0; level < 8; ++level) {
    const Listing outer = list_folder(folder);
    if (outer.folders.size() != 1 || !outer.files.pictures.empty()) break;
    const fs::path& only = outer.folders.front();
    const Split split = split_name(only.filename().string()).split;
    if (split != Split::none && split != part) break;
    const Listing inner = list_folder(only);
    if (inner.folders.empty() || !inner.files.pictures.empty()) break;
    left_out.add(outer.files);
    folder = only;
  }
  return folder;
}

}  // namespace bobbin
