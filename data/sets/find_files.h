#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tensor/real.h"

/// The pictures in folders, and a word for all that is none.
namespace bobbin {

/// Pictures, which are the files for which has_picture_name() is true, and how many other files there are.
struct Files {
  std::vector<std::filesystem::path> pictures;  ///< in the order of their names
  std::map<std::string, Index> others;          ///< of what kind they are, ".txt", and how many

  void add(const Files& more);
  /// "7 .heic, 1 .txt": the others, the most frequent first; "" if there are none.
  std::string describe_others() const;
};

/// The files in a folder and in the folders within, but for hidden ones and what macOS adds to an archive. Links to
/// folders are not followed, and count as others. Throws std::filesystem::filesystem_error if a folder cannot be read.
Files find_files(const std::filesystem::path& folder);

/// What lies in a folder itself, but for what is hidden.
struct Listing {
  std::vector<std::filesystem::path> folders;  ///< in the order of their names; links to folders, too
  Files files;
};
/// Throws std::filesystem::filesystem_error if the folder cannot be read.
Listing list_folder(const std::filesystem::path& folder);

/// Words in a list, of which only the first are said, on one line whatever is in them: "cat, dog and 98 more".
std::string listed(const std::vector<std::string>& words, std::size_t most = 10);

}  // namespace bobbin
