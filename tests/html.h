#pragma once
#include <doctest/doctest.h>

#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/helpers.h"

/// Pages, as a parser sees them.
namespace bobbin::test {

/// The text of a page, without tags and what is in <script> and <style>. Demands that tags are closed in order, and
/// that nothing is loaded from elsewhere.
inline std::string text_of_page(const std::string& page) {
  static const std::set<std::string> empty{"meta", "link", "img", "input"};
  static const std::regex tag("<(/?)([a-zA-Z0-9]+)((?:\\s+[\\w-]+(?:=\"[^\"<]*\")?)*)\\s*>"),
      outside("(?:src|href|action)=\"(?!data:|#)");
  CHECK(page.starts_with("<!DOCTYPE html>\n"));
  std::vector<std::string> open;
  std::string text, rest = page.substr(15);
  for (std::size_t at = 0; at < rest.size();) {
    const std::size_t next = std::min(rest.find('<', at), rest.size());
    if (open.empty() || open.back() != "style") text += rest.substr(at, next - at);
    if (next == rest.size()) break;
    std::smatch m;
    const auto begin = rest.cbegin() + static_cast<std::ptrdiff_t>(next);
    REQUIRE_MESSAGE(std::regex_search(begin, rest.cend(), m, tag, std::regex_constants::match_continuous),
                    rest.substr(next, 80));
    at = next + static_cast<std::size_t>(m.length());
    CHECK(!std::regex_search(m[3].str(), outside));
    if (m[1].length() > 0) {
      REQUIRE(!open.empty());
      CHECK(open.back() == m[2]);
      open.pop_back();
    } else if (m[2] == "script") {  // its text ends with its tag alone
      at = rest.find("</script>", at);
      REQUIRE(at != std::string::npos);
      at += 9;
    } else if (!empty.contains(m[2])) {
      open.push_back(m[2]);
    }
  }
  CHECK(open.empty());
  return text;
}

}  // namespace bobbin::test
