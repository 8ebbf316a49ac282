// `make install` lays down all that a program elsewhere needs to use the library.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace fs = std::filesystem;

namespace {

const char* const program = R"(
#include <cstdio>
#include "data/images/codec.h"
#include "tensor/tensor.h"

int main() {
  bobbin::Tensor t = bobbin::Tensor::zeros({2, 3});
  bobbin::write_png("x.png", {1, 2, 3, {0, 50, 100, 150, 200, 250}});  // with all that pictures need
  const bobbin::Image image = bobbin::read_image("x.png", 1);
  std::printf("%d numbers, %d pixels\n", static_cast<int>(t.size()), static_cast<int>(image.bytes.size()));
}
)";

// The flags come from pkg-config, or, where there is none, straight from its file: a ${prefix} there is shell, too.
const char* const script = R"(
set -e
make install PREFIX="$DIR/usr"
cd "$DIR"
export PKG_CONFIG_PATH="$DIR/usr/lib/pkgconfig"
if command -v pkg-config; then
  flags=$(pkg-config --cflags --libs bobbin)
else
  prefix=$DIR/usr
  eval "flags=\"$(sed -n 's/^Cflags: //p; s/^Libs: //p' usr/lib/pkgconfig/bobbin.pc | tr '\n' ' ')\""
fi
${CXX:-g++} -std=c++20 hello.cpp $flags -o hello
./hello > output
)";

std::string read(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("a program elsewhere builds against the installed library and runs") {
  std::string name = (fs::temp_directory_path() / "bobbin-install-XXXXXX").string();
  REQUIRE(mkdtemp(name.data()) != nullptr);
  const fs::path dir = name;
  std::ofstream(dir / "hello.cpp") << program;
  std::ofstream(dir / "script") << script;

  const std::string command = "DIR='" + name + "' sh '" + name + "/script' > '" + name + "/log' 2>&1";
  const int status = std::system(command.c_str());
  INFO(read(dir / "log"));
  CHECK(status == 0);
  CHECK(read(dir / "output") == "6 numbers, 6 pixels\n");
  fs::remove_all(dir);
}
