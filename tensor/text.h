#pragma once
#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/real.h"

/// Text as people read and write it.
namespace bobbin {

/// What printf prints, of which the first 511 bytes count.
template <class... Values>
std::string format(const char* pattern, Values... values) {
  std::array<char, 512> text{};
  std::snprintf(text.data(), text.size(), pattern, values...);
  return text.data();
}

/// 6457866 as 6,457,866.
inline std::string with_commas(Index number) {
  std::string text = std::to_string(number);
  for (auto at = static_cast<int>(text.size()) - 3; at > 0; at -= 3) text.insert(static_cast<std::size_t>(at), 1, ',');
  return text;
}

/// How many letters UTF-8 has, and the text with as many spaces behind it as make `width` of them.
inline std::size_t letters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}
inline std::string padded(const std::string& text, std::size_t width) {
  return text + std::string(width - std::min(letters(text), width), ' ');
}

/// A file's name as a word of a shell's command: as it is, or in quotes where the shell would make something else of
/// it, and never like a flag.
inline std::string shell_word(const std::string& name) {
  const bool plain = !name.empty() && name.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789_./+:=@%,-") == name.npos;
  if (name.starts_with('-')) return shell_word("./" + name);
  if (plain) return name;
  std::string word = "'";
  for (const char c : name) c == '\'' ? word += "'\\''" : word += c;
  return word + "'";
}

/// The lines of a text without their ends, LF or as Windows writes them CR LF, and without the mark of UTF-8 that some
/// editors put before the first. The last may have no end.
inline std::vector<std::string> lines_of(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::vector<std::string> lines;
  for (std::size_t end = 0; !text.empty(); text.remove_prefix(std::min(end + 1, text.size()))) {
    end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.emplace_back(line);
  }
  return lines;
}

}  // namespace bobbin
