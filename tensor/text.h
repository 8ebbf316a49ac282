#pragma once
#include <array>
#include <cstdio>
#include <string>

#include "tensor/real.h"

/// Numbers as people read them, and names as they type them.
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

}  // namespace bobbin
