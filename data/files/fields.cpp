#include "data/files/fields.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "tensor/check.h"

namespace bobbin {
namespace {

using nlohmann::json;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

// The shortest text that is this number again: 0.1, and not 0.10000000149011612 for a float.
template <class T>
json shortest(T number) {
  std::array<char, 64> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
  return json::parse(text.data(), end);
}

// Checks one value of a field, whose place in messages is `where`.
class Reader {
 public:
  Reader(const About& about, const std::string& where) : about_(about), where_(where) {}

  [[noreturn]] void refuse(const std::string& expected, const json& value) const {
    fail("fields", where_, " should be ", expected, ", got ",
         value.dump(-1, ' ', true, json::error_handler_t::replace));
  }
  bool boolean(const json& value) const {
    if (!value.is_boolean()) refuse("true or false", value);
    return value.get<bool>();
  }
  std::string text(const json& value) const {
    if (!value.is_string()) refuse("a string", value);
    return value.get<std::string>();
  }
  template <class T>
  T number(const json& given) const {
    const json value = unquoted(given);
    const bool whole = std::is_integral_v<T>, kind = whole ? value.is_number_integer() : value.is_number();
    const double number = kind ? value.get<double>() : 0;
    if (!kind || number < about_.low || number > about_.high)
      refuse((whole ? "a whole number" : "a number") + range(), given);
    return value.get<T>();
  }
  std::size_t choice(const json& value) const {
    const auto found =
        std::find(about_.choices.begin(), about_.choices.end(), value.is_string() ? value.get<std::string>() : "");
    if (found == about_.choices.end()) refuse(choices(), value);
    return static_cast<std::size_t>(found - about_.choices.begin());
  }

 private:
  // The text of a number, as the command line gives it.
  static json unquoted(const json& value) {
    if (!value.is_string()) return value;
    const json inside = json::parse(value.get<std::string>(), nullptr, /*allow_exceptions=*/false);
    return inside.is_number() ? inside : value;
  }
  std::string range() const {
    std::ostringstream text;
    text.precision(12);
    if (about_.low > std::numeric_limits<double>::lowest()) text << " from " << about_.low;
    if (about_.high < std::numeric_limits<double>::max()) text << " to " << about_.high;
    return text.str();
  }
  std::string choices() const {
    std::string text;
    for (std::size_t i = 0; i < about_.choices.size(); ++i)
      text += (i == 0 ? "" : i + 1 == about_.choices.size() ? " or " : ", ") + about_.choices[i];
    return text;
  }

  const About& about_;
  const std::string& where_;
};

}  // namespace

Field::Field(std::string name, Place place, About about)
    : name_(std::move(name)),
      flag_(about.flag ? about.flag : name_),
      place_(std::move(place)),
      about_(std::move(about)) {
  std::replace(flag_.begin(), flag_.end(), '_', '-');
}

json Field::value() const {
  return std::visit(Overloaded{
                        [](const bool* on) { return json(*on); },
                        [](const int* n) { return json(*n); },
                        [](const Index* n) { return json(*n); },
                        [](const std::uint64_t* n) { return json(*n); },
                        [](const std::string* text) { return json(*text); },
                        [](const Size2* s) {
                          return s->height == s->width ? json(s->height) : json{s->height, s->width};
                        },
                        [](const std::vector<real>* numbers) {
                          json all = json::array();
                          for (const real n : *numbers) all.push_back(shortest(n));
                          return all;
                        },
                        [&](const Choice& choice) { return json(about_.choices.at(choice.get())); },
                        [](const auto* number) { return shortest(*number); },
                    },
                    place_);
}

void Field::set(const json& value, const std::string& where) const {
  const Reader read(about_, where);
  std::visit(Overloaded{
                 [&](bool* on) { *on = read.boolean(value); },
                 [&](std::string* text) {
                   *text = about_.choices.empty() ? read.text(value) : about_.choices[read.choice(value)];
                 },
                 [&](Size2* size) {
                   if (value.is_array() && value.size() != 2) read.refuse("a number, or height and width", value);
                   *size = value.is_array() ? Size2(read.number<Index>(value[0]), read.number<Index>(value[1]))
                                            : Size2(read.number<Index>(value));
                 },
                 [&](std::vector<real>* numbers) {
                   std::vector<real> all;
                   if (value.is_array())
                     for (const json& one : value) all.push_back(read.number<real>(one));
                   else if (value != json(""))  // of a single one; "" stands for none
                     all.push_back(read.number<real>(value));
                   *numbers = all;
                 },
                 [&](const Choice& choice) { choice.set(read.choice(value)); },
                 [&]<class T>(T* number) { *number = read.number<T>(value); },
             },
             place_);
}

nlohmann::ordered_json to_json(const Fields& fields) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const Field& field : fields)
    if (field.about().in_file) json[field.name()] = field.value();
  return json;
}

void read_json(const Fields& fields, const JsonObject& from) {
  for (const Field& field : fields)
    if (field.about().in_file) field.set(from.at(field.name().c_str()), from.place() + "." + field.name());
}

}  // namespace bobbin
