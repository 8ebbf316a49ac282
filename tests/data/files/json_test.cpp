#include "data/files/json.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

std::string complaint(const std::string& text) {
  return error_of([&] { parse_json(text, "the text"); });
}

}  // namespace

TEST_CASE("json: a document, or one sentence") {
  CHECK(parse_json("{\"a\": [1, 2.5, null, \"\\u00e4\"]}", "the text").at("a").at(3) == "ä");
  CHECK(parse_json(" 7 ", "the text") == 7);
  CHECK(complaint("") == "[parse_json] the text is not JSON in UTF-8: it breaks at byte 1");
  CHECK(complaint("{\"a\": 1,\n}") == "[parse_json] the text is not JSON in UTF-8: it breaks at byte 10");
  CHECK(contains(complaint("\"\xff\""), "at byte 2"));
  CHECK(contains(complaint("[1] x"), "at byte 5"));
  CHECK(contains(complaint("[1e999]"), "a number that is too large"));
}

TEST_CASE("json: neither depth nor memory without end") {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(complaint(nested(33)) == "");
  CHECK(contains(complaint(nested(34)), "the text is nested more than 32 deep"));
  CHECK(contains(complaint(nested(10'000'000)), "nested more than 32 deep"));
  CHECK(contains(complaint(std::string(10'000'000, '{')), "breaks at byte 2"));
  std::string many = "[0";
  while (many.size() < 5'000'000) many += ",0";
  CHECK(contains(complaint(many), "more than 2000000 values"));
}
