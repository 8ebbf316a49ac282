#include "data/drawing/xml.h"

#include <algorithm>
#include <cstdint>

namespace bobbin {
namespace {

// How many bytes the first letter of a UTF-8 text has; 0 if it is none, or none that XML allows.
std::size_t letter_size(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned first = byte(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  if (first < 0xc0 || first > 0xf7) return 0;
  const std::size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  std::uint32_t code = first & (0x7fu >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if (byte(i) >> 6 != 2) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr std::uint32_t least[] = {0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code < 0xe000, none = (code & 0xfffe) == 0xfffe;
  return code >= least[size - 2] && code <= 0x10ffff && !surrogate && !none ? size : 0;
}

}  // namespace

std::vector<std::string> xml_letters(std::string_view text) {
  std::vector<std::string> letters;
  while (!text.empty()) {
    const std::size_t size = letter_size(text);
    const std::string letter = size > 0 ? std::string(text.substr(0, size)) : "?";
    letters.push_back(letter == "&" ? "&amp;" : letter == "<" ? "&lt;" : letter == ">" ? "&gt;" : letter);
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return letters;
}

std::string xml_text(std::string_view text) {
  std::string all;
  for (const std::string& letter : xml_letters(text)) all += letter == "\"" ? "&quot;" : letter;
  return all;
}

}  // namespace bobbin
