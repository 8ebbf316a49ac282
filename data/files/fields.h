#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "data/files/json.h"
#include "tensor/size2.h"

/// fields() is for a config what visit() is for a module: it names each field once, and from that come its flag, its
/// line in --help, config.json, the metadata of a model's file and what --resume refuses to change.
///
///     struct MLPConfig {
///       Size2 img_size = 28;
///       Index num_hiddens = 256;
///
///       void fields(Fields& f) {
///         f("img_size", img_size, {.help = "size of images in pixels", .low = 1, .high = 4096});
///         f("num_hiddens", num_hiddens, {.help = "hidden units", .low = 1, .high = 65536});
///       }
///     };
namespace bobbin {

/// Attributes of a field beside its name and its default, the value that it has at first.
struct About {
  const char* help = "";
  double low = std::numeric_limits<double>::lowest();  ///< the smallest that a number may be
  double high = std::numeric_limits<double>::max();    ///< and the largest
  std::vector<std::string> choices{};  ///< what a word may be; of an enumeration the names, in the order of its values
  const char* flag = nullptr;          ///< without its --; null: the name with - for _; "": there is none
  const char* alias = nullptr;         ///< a second flag, such as -b
  bool fixed = false;                  ///< decided when a run begins: --resume cannot change it
  bool may_lack = false;               ///< the first files did not have it; without it, it keeps its default
  bool in_file = true;                 ///< part of what a model's file says; else it is a setting of the run alone
};

/// One field of a config.
class Field {
 public:
  /// An enumeration, as the number of one of the choices.
  struct Choice {
    std::function<std::size_t()> get;      ///< which choice it is
    std::function<void(std::size_t)> set;  ///< makes it another
  };
  using Place = std::variant<bool*, int*, Index*, std::uint64_t*, float*, double*, std::string*, Size2*,
                             std::vector<real>*, std::vector<Index>*, Choice>;

  Field(std::string name, Place place, About about);

  /// "num_hiddens".
  const std::string& name() const { return name_; }
  /// "num-hiddens"; "" if it has no flag.
  const std::string& flag() const { return flag_; }
  const About& about() const { return about_; }
  const Place& place() const { return place_; }

  /// The value, as JSON: 0.1, true, "avg", [96, 64]; a size whose sides are equal is one number.
  nlohmann::json value() const;
  /// Sets it. Throws Error, "WHERE should be a whole number from 1 to 65536, got 0", for what it cannot be.
  void set(const nlohmann::json& value, const std::string& where) const;
  /// The same for words of the command line: one, or for a size or several numbers one for each.
  void parse(const std::vector<std::string>& words, const std::string& where) const;

 private:
  std::string name_, flag_;
  Place place_;
  About about_;
};

/// The fields of a config, or of several, in order. Refers to them.
class Fields {
 public:
  /// Names a field: f("width", width, {.help = "...", .low = 1}).
  template <class T>
  void operator()(const char* name, T& member, About about) {
    if constexpr (std::is_enum_v<T>)
      list_.emplace_back(name,
                         Field::Choice{[&member] { return static_cast<std::size_t>(member); },
                                       [&member](std::size_t i) { member = static_cast<T>(i); }},
                         std::move(about));
    else
      list_.emplace_back(name, &member, std::move(about));
  }

  /// In the order in which they were named.
  std::vector<Field>::const_iterator begin() const { return list_.begin(); }
  std::vector<Field>::const_iterator end() const { return list_.end(); }

 private:
  std::vector<Field> list_;
};

/// The fields of a config, such as ViTConfig.
template <class Config>
Fields fields_of(Config& config) {
  Fields all;
  config.fields(all);
  return all;
}

/// The fields that a file keeps, under their names: {"img_size": 96, "num_hiddens": 512, ...}.
nlohmann::ordered_json to_json(const Fields& fields);
/// Sets them. Throws Error if one is missing or wrong.
void read_json(const Fields& fields, const JsonObject& from);

}  // namespace bobbin
