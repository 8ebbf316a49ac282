// Every reader takes the valid files that fuzzing begins with, and takes or refuses those that a reader once failed on.
#include <doctest/doctest.h>

#include <set>

#include "tests/fuzz/targets.h"

using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

bool is_seed(const fs::path& file) { return file.filename().string().starts_with("seed-"); }

std::set<fs::path> corpus(const FuzzTarget& target) {
  const fs::path folder = "tests/fuzz/corpus/" + target.name;
  return {fs::directory_iterator(folder), fs::directory_iterator()};
}

}  // namespace

TEST_CASE("fuzz: the corpus of each reader") {
  const TempFolder folder;
  for (const FuzzTarget& target : fuzz_targets()) {
    CAPTURE(target.name);
    CHECK(!corpus(target).empty());
    for (const fs::path& file : corpus(target)) {
      CAPTURE(file);  // the last words of a crash are the file's name
      const bool taken = target.read(folder, read_file(file));
      if (is_seed(file)) CHECK(taken);
    }
  }
}

TEST_CASE("fuzz: files that are cut off at any byte") {
  const std::set<std::string> must_refuse{"idx", "safetensors", "checkpoint"};  // the others may be shorter
  const TempFolder folder;
  for (const FuzzTarget& target : fuzz_targets()) {
    CAPTURE(target.name);
    for (const fs::path& file : corpus(target)) {
      if (!is_seed(file)) continue;
      CAPTURE(file);
      Bytes bytes = read_file(file);
      while (!bytes.empty()) {
        bytes.pop_back();
        CAPTURE(bytes.size());
        const bool taken = target.read(folder, bytes);
        if (must_refuse.contains(target.name)) CHECK(!taken);
      }
    }
  }
}
