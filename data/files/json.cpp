#include "data/files/json.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "tensor/check.h"

namespace bobbin {

using nlohmann::json;

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

std::string to_text(const nlohmann::ordered_json& json, int indent) {
  return json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

namespace {

// A value as it can stand in a message.
std::string shown(const json& value) {
  const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  return text.size() <= 60 ? text : text.substr(0, 60) + "...";
}

}  // namespace

JsonObject::JsonObject(const json& object, std::string place) : object_(&object), place_(std::move(place)) {
  check(object.is_object(), "json", place_, " should be an object, got ", shown(object));
}

bool JsonObject::has(const char* key) const { return object_->contains(key) && !object_->at(key).is_null(); }
std::vector<std::string> JsonObject::keys() const {
  std::vector<std::string> all;
  for (const auto& [key, value] : object_->items()) all.push_back(key);
  return all;
}
bool JsonObject::is_object(const char* key) const { return has(key) && object_->at(key).is_object(); }
JsonObject JsonObject::object(const char* key) const { return {at(key), place_ + "." + key}; }

const json& JsonObject::at(const char* key) const {
  check(object_->contains(key), "json", place_, " has no ", key);
  return object_->at(key);
}

void JsonObject::expect(bool ok, const char* key, const std::string& what) const {
  check(ok, "json", place_, ".", key, " should be ", what, ", got ", shown(at(key)));
}

bool JsonObject::boolean(const char* key) const {
  expect(at(key).is_boolean(), key, "true or false");
  return at(key).get<bool>();
}

Index JsonObject::integer(const char* key, Index low, Index high) const { return integer(at(key), key, low, high); }
double JsonObject::number(const char* key, double low, double high) const { return number(at(key), key, low, high); }

std::string JsonObject::text(const char* key) const {
  expect(at(key).is_string(), key, "a string");
  return at(key).get<std::string>();
}

Size2 JsonObject::size(const char* key) const {
  constexpr Index largest = 1 << 20;
  const json& value = at(key);
  if (value.is_object()) return {object(key).integer("height"), object(key).integer("width")};
  if (!value.is_array()) return integer(value, key, 1, largest);
  expect(value.size() == 2, key, "a number, or height and width");
  return {integer(value[0], key, 1, largest), integer(value[1], key, 1, largest)};
}

std::vector<real> JsonObject::numbers(const char* key) const {
  expect(at(key).is_array(), key, "an array of numbers");
  std::vector<real> result;
  for (const json& value : at(key)) result.push_back(static_cast<real>(number(value, key, -1e6, 1e6)));
  return result;
}

std::vector<std::string> JsonObject::names(const char* key) const {
  const json& value = at(key);
  expect(value.is_array() || value.is_object(), key, "the names of the classes");
  std::vector<std::string> result;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const json name = value.is_array() ? value[i] : value.value(std::to_string(i), json());
    expect(name.is_string(), key, "a name for each class, from 0 on");
    result.push_back(name.get<std::string>());
  }
  return result;
}

Index JsonObject::integer(const json& value, const char* key, Index low, Index high) const {
  const auto number =
      value.is_number_unsigned() ? value.get<std::uint64_t>() : std::numeric_limits<std::uint64_t>::max();
  expect(number >= static_cast<std::uint64_t>(low) && number <= static_cast<std::uint64_t>(high), key,
         "a whole number from " + std::to_string(low) + " to " + std::to_string(high));
  return value.get<Index>();
}

double JsonObject::number(const json& value, const char* key, double low, double high) const {
  const bool ok = value.is_number() && value.get<double>() >= low && value.get<double>() <= high;
  std::ostringstream range;
  range << "a number from " << low << " to " << high;
  expect(ok, key, range.str());
  return value.get<double>();
}

}  // namespace bobbin
