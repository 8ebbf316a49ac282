#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tensor/size2.h"

namespace bobbin {

/// Reads JSON that came from outside; `what` says in messages what it is. JSON takes many times the memory of its text,
/// and most of what is done with it calls itself for every level.
/// Throws Error if the text is not JSON in UTF-8, has a number beyond double, is nested more than 32 deep, or has more
/// than 2,000,000 parts (values, keys, brackets), each of which takes up to a hundred bytes.
nlohmann::json parse_json(const std::string& text, const std::string& what);

/// The text of JSON that has to be legible whatever is in it: what is no UTF-8 becomes a replacement character.
std::string to_text(const nlohmann::ordered_json& json, int indent = -1);

/// A JSON object that somebody else wrote, with its place for messages ("config.json.size"). Every value is checked
/// when it is taken: each of these throws Error, "PLACE.KEY should be a string, got 3", for a key that is not there or
/// has another value. Refers to the JSON.
class JsonObject {
 public:
  /// Throws Error unless it is an object.
  JsonObject(const nlohmann::json& object, std::string place);

  /// Where the object stands, for errors.
  const std::string& place() const { return place_; }
  /// Whether there is such a key, and its value is not null.
  bool has(const char* key) const;
  std::vector<std::string> keys() const;
  /// The value, whatever it is.
  const nlohmann::json& at(const char* key) const;
  JsonObject object(const char* key) const;
  bool is_object(const char* key) const;
  bool boolean(const char* key) const;
  Index integer(const char* key, Index low = 1, Index high = 1 << 20) const;
  double number(const char* key, double low, double high) const;
  std::string text(const char* key) const;
  /// "size": 96, or height and width: [96, 64] or {"height": 96, "width": 64}.
  Size2 size(const char* key) const;
  std::vector<real> numbers(const char* key) const;
  /// An array of names, or an object that has them under "0", "1", ...
  std::vector<std::string> names(const char* key) const;
  /// Throws Error unless `ok`: "PLACE.KEY should be WHAT, got VALUE".
  void expect(bool ok, const char* key, const std::string& what) const;

 private:
  Index integer(const nlohmann::json& value, const char* key, Index low, Index high) const;
  double number(const nlohmann::json& value, const char* key, double low, double high) const;

  const nlohmann::json* object_;
  std::string place_;
};

}  // namespace bobbin
