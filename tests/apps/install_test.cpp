// `make install` lays down all that a program elsewhere needs to use the library.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/apps/program.h"

using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

// A project with headers of its own that have the names of ours.
const char* const hello = R"(
#include <bobbin.h>

#include "nn/layers.h"
#include "tensor/tensor.h"

int main(int, char** argv) {
  return bobbin::run_main(argv, [] {
    bobbin::Rng rng(0);
    bobbin::MLP model({.img_size = 4, .num_hiddens = 8, .num_classes = 3}, rng);
    bobbin::SGD sgd(named_parameters(model));
    bobbin::Tape tape;
    tape.backward(cross_entropy(model(rng.normal({2, 1, 4, 4})), bobbin::Labels{0, 2}));
    sgd.step(0.1);
    bobbin::write_png("x.png", {1, 2, 3, {0, 50, 100, 150, 200, 250}});  // with all that pictures need
    const bobbin::Image image = bobbin::read_image("x.png", 1);
    std::printf("%d pixels, %s, %s\n", static_cast<int>(image.bytes.size()), my_layers, my_tensor);
    bobbin::read_image("no.png", 1);
  });
}
)";

// Another source of the same program, and a header by its path.
const char* const other = R"(
#include <bobbin/tensor/tensor.h>
#include <bobbin.h>
bobbin::Index size_of(const bobbin::Tensor& t) { return t.size(); }
)";

// The flags come from pkg-config, or, where there is none, straight from its file, which is nearly shell.
const char* const script = R"sh(
set -e
make install PREFIX="$PREFIX"
cd "$DIR"
export PKG_CONFIG_PATH="$PREFIX/lib/pkgconfig"
if command -v pkg-config; then
  flags=$(pkg-config --cflags --libs bobbin)
else
  eval "$(grep '^prefix=' "$PKG_CONFIG_PATH/bobbin.pc")"
  flags=$(sed -n 's/^Cflags: //p; s/^Libs: //p' "$PKG_CONFIG_PATH/bobbin.pc" | sed 's/${prefix}/"$prefix"/' | tr '\n' ' ')
fi
eval "${CXX:-g++} -Wall -Wextra -Werror -I. hello.cpp other.cpp $flags -o hello"
./hello > output 2> errors || echo $? > status
)sh";

}  // namespace

TEST_CASE("install: a program elsewhere, with headers named as ours, builds against the library and runs") {
  for (const char* folder : {"usr", "a folder, it's für #5"}) {
    CAPTURE(folder);
    const TempFolder dir;
    const fs::path prefix = dir / folder;
    fs::create_directories(dir / "nn");
    fs::create_directories(dir / "tensor");
    std::ofstream(dir / "hello.cpp") << hello;
    std::ofstream(dir / "other.cpp") << other;
    std::ofstream(dir / "nn/layers.h") << "inline const char* my_layers = \"my layers\";\n";
    std::ofstream(dir / "tensor/tensor.h") << "inline const char* my_tensor = \"my tensor\";\n";
    std::ofstream(dir / "script") << script;

    setenv("DIR", dir.path().c_str(), 1);
    setenv("PREFIX", prefix.c_str(), 1);
    const Result built = run("sh \"$DIR/script\"");
    unsetenv("DIR");
    unsetenv("PREFIX");
    INFO(built.output);
    CHECK(built.status == 0);
    CHECK(content(dir / "output") == "6 pixels, my layers, my tensor\n");
    const std::string errors = content(dir / "errors");
    CHECK_MESSAGE(errors.starts_with("hello: "), errors);
    CHECK(std::count(errors.begin(), errors.end(), '\n') == 1);
    CHECK(content(dir / "status") == "1\n");
    CHECK(!fs::exists(prefix / "include/bobbin/tensor/cpu"));
  }
}

TEST_CASE("install: CMake finds the library, also where its folder was moved to") {
  if (run("command -v cmake").status != 0) return (void)std::puts("skipped a test case: no cmake");
  const TempFolder dir;
  std::ofstream(dir / "CMakeLists.txt") << R"(cmake_minimum_required(VERSION 3.13)
project(mine CXX)
find_package(Bobbin REQUIRED)
find_package(Bobbin 0.1 REQUIRED)
add_executable(mine mine.cpp)
target_link_libraries(mine Bobbin::bobbin)
find_package(Bobbin 9.0 QUIET)
if(Bobbin_FOUND)
  message(FATAL_ERROR "a version that is not there")
endif()
)";
  std::ofstream(dir / "mine.cpp") << R"(#include <bobbin.h>
int main() { std::printf("%g\n", static_cast<double>(sum(bobbin::Tensor::ones({2, 3})).item())); }
)";
  const Result r = run("set -e; make install PREFIX='" + (dir / "before").string() + "'; cd '" + dir.path().string() +
                       "'; mv before 'a folder'; cmake -S . -B made -DCMAKE_PREFIX_PATH=\"$PWD/a folder\" && "
                       "cmake --build made && made/mine > output");
  INFO(r.output);
  CHECK(r.status == 0);
  CHECK(content(dir / "output") == "6\n");
}

TEST_CASE("install: programs by names of their own, with pages and completion") {
  const TempFolder dir;
  const std::string usr = dir.path().string() + "/usr";
  const Result r = run("make install DESTDIR='" + dir.path().string() + "' PREFIX=/usr");
  INFO(r.output);
  REQUIRE(r.status == 0);
  CHECK(run("ls '" + usr + "/bin'").output ==
        "bobbin-attention\nbobbin-bench\nbobbin-classify\nbobbin-convert\nbobbin-evaluate\nbobbin-knn\nbobbin-plot\n"
        "bobbin-sweep\nbobbin-train\n");
  CHECK(run("'" + usr + "/bin/bobbin-train' --help").status == 0);
  CHECK(contains(run("cd '" + dir.path().string() + "' && usr/bin/bobbin-sweep --no-such-flag 1,2").output,
                 "--no-such-flag"));  // which train says
  // Each flag of --help has its place in the page, and groff has nothing to say.
  const std::string page = usr + "/share/man/man1/bobbin-train.1";
  CHECK(run("grep -c '^.fB.-' '" + page + "'").output ==
        run("'" + usr + "/bin/bobbin-train' --help | grep -c '^  -'").output);
  if (run("command -v groff").status == 0) CHECK(run("groff -man -ww -Tutf8 '" + page + "' > /dev/null").output == "");
  CHECK(contains(content(page), "bobbin\\-train \\- trains an image classifier\n"));
  if (run("command -v bash").status == 0)
    CHECK(run("bash -c 'cd \"" + usr + R"(/share/bash-completion/completions"; source ./bobbin-train
               complete -p bobbin-convert; complete -p convert')")
              .output.starts_with("complete -o default -F _bobbin bobbin-convert\n"));
}

TEST_CASE("install: the sources as make tarball packs them know their version without git") {
  if (run("git rev-parse").status != 0) return (void)std::puts("skipped a test case: no git");
  const TempFolder dir;
  const std::string made = dir / "made";
  const Result r = run("set -e; make tarball B='" + made + "'; cd '" + dir.path().string() +
                       "'; tar -xzf made/bobbin-*.tar.gz; cd bobbin-*; make -np help 2> none | sed -n 's/^COMMIT := "
                       "//p'; make help 2> none");
  INFO(r.output);
  CHECK(r.status == 0);
  CHECK(contains(r.output, "\n0.1.0\nmake "));
}

TEST_CASE("install: the program of README.md is compiled by the lines below it, to the letter") {
  const TempFolder dir;
  const std::string readme = content("README.md");
  const std::size_t begin = readme.find("```cpp\n") + 7, end = readme.find("```\n", begin);
  std::ofstream(dir / "mine.cpp") << readme.substr(begin, end - begin);
  const std::size_t install = readme.find("    make install PREFIX=$HOME/bobbin\n"),
                    set = readme.find("    export PKG_CONFIG_PATH"), blank = readme.find("\n\n", set);
  REQUIRE((end < install && install < set && set < blank));
  if (run("command -v pkg-config").status != 0) return;
  const Result r = run("set -e; export HOME=" + dir.path().string() + "\n" + readme.substr(install, set - install) +
                       "cd $HOME\n" + readme.substr(set, blank - set) + "\nldd mine");
  INFO(r.output);
  CHECK(r.status == 0);
}

TEST_CASE("install: bobbin.h has every header but those that are of no use elsewhere") {
  const Result r =
      run("reached=$(${CXX:-g++} -std=c++20 -fopenmp -I. -MM apps/include/bobbin.h | tr '\\\\\\n' '  ');"
          "for h in $(find tensor data autograd nn optim -name '*.h' | grep -vE '/(cpu|cuda|codecs|pretrained)/' | "
          "sort); do "
          "  case $reached in *\" $h \"*) ;; *) echo $h ;; esac;"
          "done");
  CHECK(r.output ==
        "data/drawing/font.h\ndata/files/other_file.h\ndata/sets/find_files.h\ndata/sets/split.h\n"
        "optim/log/report_script.h\noptim/log/terminal.h\ntensor/backend.h\ntensor/comm/world.h\ntensor/"
        "common.h\ntensor/cubic.h\ntensor/"
        "rows.h\n");
}
