#include "apps/common/features.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "data/files/json.h"
#include "data/files/read_file.h"
#include "data/files/safetensors.h"
#include "data/files/write_file.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

bool is_csv(const std::filesystem::path& file) { return file.extension() == ".csv"; }

// As JSON. A file name need not be UTF-8.
std::string list_of(const std::vector<std::string>& pictures) {
  return nlohmann::json(pictures).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The fields of the table's next line, from `at` on, which moves behind it.
std::vector<std::string> next_line(const std::string& text, std::size_t& at) {
  std::vector<std::string> fields(1);
  for (bool quoted = false; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '"' && quoted && at + 1 < text.size() && text[at + 1] == '"')
      fields.back() += text[++at];
    else if (c == '"')
      quoted = !quoted;
    else if (c == ',' && !quoted)
      fields.emplace_back();
    else if (c == '\n' && !quoted)
      break;
    else if (c != '\r' || quoted)
      fields.back() += c;
  }
  ++at;
  return fields;
}

std::optional<real> number_in(const std::string& field) {
  real number = 0;
  const char* const end = field.data() + field.size();
  const auto [stop, error] = std::from_chars(field.data(), end, number);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

Features read_csv(const std::filesystem::path& file) {
  const std::vector<std::uint8_t> bytes = read_file("read_features", file, std::uintmax_t{1} << 38);
  const std::string text(bytes.begin(), bytes.end());
  std::size_t at = 0;
  const std::vector<std::string> first = next_line(text, at);
  const std::size_t columns = first.size();
  check(columns >= 2 && !number_in(first[1]), "read_features", "its first line should be image,f0,f1,...");
  Features features;
  std::vector<real> numbers;
  while (at < text.size()) {
    const std::vector<std::string> fields = next_line(text, at);
    const std::size_t line = features.pictures.size() + 2;
    check(fields.size() == columns, "read_features", "line ", line, " has ", fields.size(), " fields, the first has ",
          columns);
    features.pictures.push_back(fields[0]);
    for (std::size_t i = 1; i < columns; ++i) {
      const std::optional<real> number = number_in(fields[i]);
      check(number.has_value(), "read_features", "line ", line, " has ", Quoted{fields[i]}, ", which is no number");
      numbers.push_back(*number);
    }
  }
  check(!features.pictures.empty(), "read_features", "there are no features in it");
  features.rows = Tensor({static_cast<Index>(features.pictures.size()), static_cast<Index>(columns - 1)}, numbers);
  return features;
}

Features read_tensors(const std::filesystem::path& file) {
  const Safetensors content = read_safetensors(file);
  const auto rows = content.tensors.find("features");
  const auto names = content.metadata.find("pictures");
  check(rows != content.tensors.end() && names != content.metadata.end(), "read_features",
        "it holds no features: classify --features writes them");
  check(rows->second.rank() == 2, "read_features", "features should have the shape (pictures, numbers), got ",
        rows->second.shape());
  const nlohmann::json list = parse_json("{\"pictures\":" + names->second + "}", "its list of pictures");
  Features features{JsonObject(list, "its metadata").names("pictures"), rows->second};
  check(static_cast<Index>(features.pictures.size()) == features.rows.shape()[0], "read_features", "there are ",
        features.rows.shape()[0], " features, but ", features.pictures.size(), " pictures");
  return features;
}

}  // namespace

void check_room_for_names(const std::filesystem::path& file, const std::vector<std::filesystem::path>& pictures) {
  if (is_csv(file)) return;
  try {
    check_safetensors(file, {}, {{"pictures", list_of({pictures.begin(), pictures.end()})}});
  } catch (const Error&) {
    fail("features", "the names of ", pictures.size(), " pictures are more than the safetensors file ", file,
         " can hold; one whose name ends in .csv has room for them");
  }
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

void write_features(const std::filesystem::path& file, const Features& features) {
  if (!is_csv(file))
    return write_safetensors(file, {{"features", features.rows}}, {{"pictures", list_of(features.pictures)}});
  const Index width = features.rows.shape()[1];
  const std::vector<real> values = features.rows.values();
  std::string text = "image";
  for (Index i = 0; i < width; ++i) text += ",f" + std::to_string(i);
  text += '\n';
  std::size_t at = 0;
  for (const std::string& picture : features.pictures) {
    text += csv_field(picture);
    for (Index i = 0; i < width; ++i) {
      char number[32];
      std::snprintf(number, sizeof number, ",%.9g", static_cast<double>(values[at++]));
      text += number;
    }
    text += '\n';
  }
  write_file(file, text);
}

Features read_features(const std::filesystem::path& file) {
  return with_context("read_features", file, [&] { return is_csv(file) ? read_csv(file) : read_tensors(file); });
}

std::string class_of(const std::string& picture) {
  return std::filesystem::path(picture).parent_path().filename().string();
}

}  // namespace bobbin
