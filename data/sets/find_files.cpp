#include "data/sets/find_files.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "data/images/codec.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

namespace fs = std::filesystem;

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

}  // namespace

void Files::add(const Files& more) {
  pictures.insert(pictures.end(), more.pictures.begin(), more.pictures.end());
  for (const auto& [kind, count] : more.others) others[kind] += count;
}

std::string Files::describe_others() const {
  std::vector<std::pair<std::string, Index>> kinds(others.begin(), others.end());
  std::stable_sort(kinds.begin(), kinds.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::string> words;
  for (const auto& [kind, count] : kinds) words.push_back(with_commas(count) + " " + kind);
  return listed(words);
}

// Links to folders are not followed, so that none leads in a circle.
Files find_files(const fs::path& folder) {
  Files found;
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

Listing list_folder(const fs::path& folder) {
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

std::string listed(const std::vector<std::string>& words, std::size_t most) {
  std::string text;
  for (std::size_t i = 0; i < std::min(words.size(), most); ++i) text += (i > 0 ? ", " : "") + words[i];
  if (words.size() > most) text += " and " + with_commas(static_cast<Index>(words.size() - most)) + " more";
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return std::iscntrl(c) != 0; }, '?');
  return text;
}

}  // namespace bobbin
