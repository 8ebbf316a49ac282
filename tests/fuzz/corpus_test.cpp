// Every reader takes or refuses the files that it was fuzzed from, and those that it once failed on.
#include <doctest/doctest.h>

#include "tests/fuzz/targets.h"

using namespace bobbin::test;
namespace fs = std::filesystem;

TEST_CASE("fuzz: the corpus of each reader") {
  const TempFolder folder;
  for (const FuzzTarget& target : fuzz_targets()) {
    int files = 0;
    for (const auto& file : fs::directory_iterator("tests/fuzz/corpus/" + target.name)) {
      INFO(file.path());  // the last words of a crash are the file's name
      const bool taken = target.read(folder, read_file(file.path()));
      if (file.path().filename().string().starts_with("seed-")) CHECK(taken);
      ++files;
    }
    CHECK_MESSAGE(files > 0, target.name);
  }
}
