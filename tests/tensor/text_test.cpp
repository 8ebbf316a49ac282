#include "tensor/text.h"

#include <doctest/doctest.h>

using namespace bobbin;

TEST_CASE("text: lines end as on Unix or as on Windows, the last or the first may be special") {
  using Lines = std::vector<std::string>;
  CHECK(lines_of("") == Lines{});
  CHECK(lines_of("\n") == Lines{""});
  CHECK(lines_of("a") == Lines{"a"});
  CHECK(lines_of("a b\n\nc\n") == Lines{"a b", "", "c"});
  CHECK(lines_of("a\r\n\r\nb\rc\r\n") == Lines{"a", "", "b\rc"});
  CHECK(lines_of("a\r\nb\r") == Lines{"a", "b"});
  CHECK(lines_of("\xef\xbb\xbf"
                 "a\n"
                 "\xef\xbb\xbf"
                 "b") == Lines{"a",
                               "\xef\xbb\xbf"
                               "b"});
  CHECK(lines_of("\xef\xbb\xbf") == Lines{});
}

TEST_CASE("text: letters of UTF-8, padded to a width") {
  CHECK(letters("Bär") == 3);
  CHECK(letters("") == 0);
  CHECK(padded("Bär", 5) == "Bär  ");
  CHECK(padded("Bär", 2) == "Bär");
}
