#include "data/files/json.h"

#include <nlohmann/json.hpp>

#include "tensor/check.h"

namespace bobbin {

nlohmann::json parse_json(const std::string& text, const std::string& what) {
  constexpr int deepest = 32, most = 2'000'000;
  int parts = 0;
  const auto accept = [&](int depth, nlohmann::json::parse_event_t, const nlohmann::json&) {
    check(depth <= deepest, "parse_json", what, " is nested more than ", deepest, " deep");
    check(++parts <= most, "parse_json", what, " has more than ", most, " values, keys and brackets");
    return true;
  };
  try {
    return nlohmann::json::parse(text, accept);
  } catch (const nlohmann::json::parse_error& error) {
    fail("parse_json", what, " is not JSON in UTF-8: it breaks at byte ", error.byte);
  } catch (const nlohmann::json::out_of_range&) {
    fail("parse_json", what, " has a number that is too large");
  }
}

}  // namespace bobbin
