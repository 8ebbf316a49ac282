// `make docs`: no public name is without documentation, and one that is would be noticed.
#include <fstream>
#include <string>

#include "tests/apps/program.h"

using namespace bobbin::test;

namespace {

// What doxygen, with the settings of make docs, says of these headers: pages it makes none.
Result doxygen(const std::string& headers, const TempFolder& dir) {
  return run(
      "{ cat .make/Doxyfile; echo GENERATE_HTML=NO GENERATE_AUTOGEN_DEF=YES | tr ' ' '\\n'; echo OUTPUT_DIRECTORY=" +
      dir.path().string() + "; echo INPUT=" + headers + "; } | doxygen - 2>&1");
}

bool has_doxygen() {
  if (run("command -v doxygen").status == 0) return true;
  std::puts("skipped a test case: no doxygen");
  return false;
}

// Each name has its documentation: by a comment before it or behind it, or with others.
const char* const sample = R"(#pragma once
/// A sample.
namespace bobbin {

/// A pair. Throws Error for none.
struct Pair {
  int first = 0, second = 0;  // of (B, T)
  Pair(int first, int second);
  bool operator<(const Pair& other) const;

  // Their sum.
  int sum() const { return first + second; }
  void visit(auto&& v) { v("first", first); }
};

/// The larger of both, and the smaller.
int larger(const Pair& pair);
int smaller(const Pair& pair);

}  // namespace bobbin
)";

}  // namespace

TEST_CASE("docs: every name of the public headers is documented") {
  if (!has_doxygen()) return;
  const TempFolder dir;
  const Result r = doxygen(
      "$(${CXX:-g++} -std=c++20 -fopenmp -I. -MM apps/include/bobbin.h | tr ' \\\\' '\\n' | "
      "grep '[.]h$' | tr '\\n' ' ')",
      dir);
  CHECK_MESSAGE(r.status == 0, r.output);
}

TEST_CASE("docs: a name without documentation is an error, which says where") {
  if (!has_doxygen()) return;
  const TempFolder dir;
  const std::string file = dir / "sample.h";
  const auto check_without = [&](const std::string& comment) {
    std::string text = sample;
    if (!comment.empty()) text.replace(text.find(comment), comment.size(), "");
    std::ofstream(file) << text;
    return doxygen(file, dir);
  };
  const Result whole = check_without("");
  CHECK_MESSAGE(whole.status == 0, whole.output);
  for (const auto& [comment, place] :
       {std::pair{"/// A pair. Throws Error for none.", ":6: error: Compound bobbin::Pair"},
        {"// Their sum.", ":12: error: Member sum()"},
        {"/// The larger of both, and the smaller.", ":18: error: Member smaller("}}) {
    INFO(std::string(comment));
    const Result r = check_without(comment);
    CHECK(r.status != 0);
    CHECK_MESSAGE(r.output.find(place) != std::string::npos, r.output);
  }
}
