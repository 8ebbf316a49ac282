#include "data/sets/split.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <vector>

namespace bobbin {
namespace {

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

}  // namespace bobbin
