#include "data/files/fields.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
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

// A word of the command line as the number that it is, or as it stands.
template <class T>
json number_of(const std::string& word) {
  T number{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  const bool whole_word = error == std::errc() && end == word.data() + word.size();
  return whole_word && std::isfinite(static_cast<double>(number)) ? json(number) : json(word);
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
  T number(const json& value) const {
    constexpr bool whole = std::is_integral_v<T>;
    const bool is_number = whole ? value.is_number_integer() : value.is_number();
    const double number = is_number ? value.get<double>() : 0;  // before it is cut down to T
    if (!is_number || number < about_.low || number > about_.high)
      refuse((whole ? "a whole number" : "a number") + range(), value);
    return value.get<T>();
  }
  std::size_t choice(const json& value) const {
    const auto found =
        std::find(about_.choices.begin(), about_.choices.end(), value.is_string() ? value.get<std::string>() : "");
    if (found == about_.choices.end()) refuse(choices(), value);
    return static_cast<std::size_t>(found - about_.choices.begin());
  }

 private:
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
                        [](const std::vector<Index>* numbers) { return json(*numbers); },
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
                 [&]<class T>(std::vector<T>* numbers) {
                   std::vector<T> all;
                   if (value.is_array())
                     for (const json& one : value) all.push_back(read.number<T>(one));
                   else
                     all.push_back(read.number<T>(value));
                   *numbers = all;
                 },
                 [&](const Choice& choice) { choice.set(read.choice(value)); },
                 [&]<class T>(T* number) { *number = read.number<T>(value); },
             },
             place_);
}

void Field::parse(const std::vector<std::string>& words, const std::string& where) const {
  const auto as_json = [&](const std::string& word) {
    return std::visit(
        Overloaded{
            [&](const bool*) { return word == "true" || word == "false" ? json(word == "true") : json(word); },
            [&](const std::string*) { return json(word); },
            [&](const Choice&) { return json(word); },
            [&](const std::uint64_t*) { return number_of<std::uint64_t>(word); },
            [&](const int*) { return number_of<Index>(word); },
            [&](const Index*) { return number_of<Index>(word); },
            [&](const Size2*) { return number_of<Index>(word); },
            [&](const std::vector<Index>*) { return number_of<Index>(word); },
            [&](const auto*) { return number_of<double>(word); },
        },
        place_);
  };
  json all = json::array();
  for (const std::string& word : words) all.push_back(as_json(word));
  set(all.size() == 1 ? all[0] : all, where);
}

nlohmann::ordered_json to_json(const Fields& fields) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const Field& field : fields)
    if (field.about().in_file) json[field.name()] = field.value();
  return json;
}

void read_json(const Fields& fields, const JsonObject& from) {
  for (const Field& field : fields)
    if (field.about().in_file && (!field.about().may_lack || from.has(field.name().c_str())))
      field.set(from.at(field.name().c_str()), from.place() + "." + field.name());
}

}  // namespace bobbin
