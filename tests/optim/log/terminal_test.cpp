#include "optim/log/terminal.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>

using namespace bobbin;

TEST_CASE("wrap: no line is longer, what was indented goes on indented, and no word is lost") {
  const std::string help = "A program.\n\n  --flag INT=1        says how many there are of these\n  -h\n";
  CHECK(wrap(help, 0, 22) == help);
  CHECK(wrap(help, 100, 22) == help);
  CHECK(wrap(help, 40, 22) ==
        "A program.\n\n  --flag INT=1        says how many\n                    there are of these\n  -h\n");
  CHECK(wrap("one two three\n", 7, 4) == "one two\nthree\n");
  CHECK(wrap("  a_word_that_is_long\n", 10, 4) == "  a_word_t\n    hat_is\n    _long\n");
  CHECK(wrap("", 10, 4) == "");
}

TEST_CASE("columns: $COLUMNS, where there is no terminal, if it is a number") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  unsetenv("COLUMNS");
  CHECK(columns(ends[1]) == 0);
  for (const auto& [said, width] : {std::pair("72", 72), {"", 0}, {"wide", 0}, {"-3", 0}}) {
    setenv("COLUMNS", said, 1);
    CHECK(columns(ends[1]) == width);
  }
  unsetenv("COLUMNS");
  CHECK(!can_rewrite_line(ends[1]));
  close(ends[0]);
  close(ends[1]);
}
