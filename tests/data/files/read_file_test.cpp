#include "data/files/read_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "data/files/idx.h"
#include "data/files/safetensors.h"
#include "data/images/codec.h"
#include "tests/data/files.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

TEST_CASE("read_file: a whole file, unless it is larger than expected") {
  const TempFolder folder;
  const fs::path path = write_file(folder / "a", {1, 2, 3});
  CHECK(read_file("test", path, 3) == Bytes{1, 2, 3});
  CHECK(fails([&] { read_file("test", path, 2); }, {"[test] ", path.string(), "has 3 bytes, expected at most 2"}));
  CHECK(fails([&] { read_file("test", write_file(folder / "b", {}), 2); }, {(folder / "b").string(), "is empty"}));
}

TEST_CASE("readers: what is no file is refused at once, and never waited for") {
  const TempFolder folder;
  const fs::path pipe = folder / "pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  const std::vector<std::function<void(const fs::path&)>> readers{
      [](const fs::path& path) { read_file("test", path, 99); }, [](const fs::path& path) { read_idx(path); },
      [](const fs::path& path) { read_safetensors(path); }, [](const fs::path& path) { read_image(path, 3); }};
  alarm(20);  // who opens a pipe to which nobody writes is still there then, and ends with the tests
  for (std::size_t reader = 0; reader < readers.size(); ++reader) {
    CAPTURE(reader);
    const auto says = [&](const fs::path& path, const std::string& what) {
      return fails([&] { readers[reader](path); }, {path.string(), what});
    };
    CHECK(says(pipe, "is a pipe, expected a file"));
    CHECK(says("/dev/zero", "is a device, expected a file"));
    CHECK(says(folder.path(), "is a folder, expected a file"));
    CHECK(says(folder / "none", "cannot be opened: No such file"));
    fs::create_directory_symlink(pipe, folder / "link");
    CHECK(says(folder / "link", "is a pipe"));
    fs::remove(folder / "link");
  }
  alarm(0);
}
