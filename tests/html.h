#pragma once
#include <doctest/doctest.h>

#include <cctype>
#include <set>
#include <string>
#include <vector>

#include "tests/helpers.h"

/// Pages, as a parser sees them.
namespace bobbin::test {

/// The text of a page, without tags and what is in <script> and <style>. Demands that attributes are in double quotes,
/// that tags are closed in order, and that nothing is loaded from elsewhere.
inline std::string text_of_page(const std::string& page) {
  static const std::set<std::string> empty{"meta", "link", "img", "input"};
  CHECK(page.starts_with("<!DOCTYPE html>\n"));
  std::vector<std::string> open;
  std::string text;
  std::size_t at = 16;
  const auto take_while = [&](const auto& is_part) {
    const std::size_t begin = at;
    while (at < page.size() && is_part(static_cast<unsigned char>(page[at]))) ++at;
    return page.substr(begin, at - begin);
  };
  const auto take = [&](char c) { return at < page.size() && page[at] == c && ++at > 0; };
  while (at < page.size()) {
    const std::string between = take_while([](unsigned char c) { return c != '<'; });
    if (open.empty() || open.back() != "style") text += between;
    if (!take('<')) break;
    const bool closes = take('/');
    const std::string name = take_while([](unsigned char c) { return std::isalnum(c) != 0; });
    CAPTURE(page.substr(at - name.size(), 80));
    REQUIRE(!name.empty());
    take_while([](unsigned char c) { return std::isspace(c) != 0; });
    while (!take('>')) {
      const std::string key = take_while([](unsigned char c) { return std::isalnum(c) || c == '-'; });
      REQUIRE(!key.empty());
      if (take('=')) {
        REQUIRE(take('"'));
        const std::string value = take_while([](unsigned char c) { return c != '"'; });
        REQUIRE(take('"'));
        CHECK(value.find('<') == std::string::npos);
        if (key == "src" || key == "href" || key == "action")
          CHECK((value.starts_with("data:") || value.starts_with("#")));
      }
      take_while([](unsigned char c) { return std::isspace(c) != 0; });
    }
    if (closes) {
      REQUIRE(!open.empty());
      CHECK(open.back() == name);
      open.pop_back();
    } else if (name == "script") {  // its text ends with its tag alone
      at = page.find("</script>", at);
      REQUIRE(at != std::string::npos);
      at += 9;
    } else if (!empty.contains(name)) {
      open.push_back(name);
    }
  }
  CHECK(open.empty());
  return text;
}

}  // namespace bobbin::test
