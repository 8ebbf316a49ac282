// GIF (CompuServe, 1989): the first picture in it, as Pillow gives it.
#include <algorithm>
#include <array>
#include <string_view>

#include "data/codecs/codecs.h"

namespace bobbin {
namespace {

// What a GIF says up to the packed pixels of its first picture.
struct Header {
  Size2 screen = 0;         // grown to hold the picture
  Index left = 0, top = 0;  // where the picture lies on it
  Size2 size = 0;           // of the picture
  Palette palette{};
  int background = 0;  // the number of the colour around the picture: the transparent one, or 0
  bool interlaced = false;
};

// Three bytes a colour.
Palette read_palette(CodecFile& file, int flags) {
  Palette palette{};
  const std::size_t count = std::size_t{2} << (flags & 7);
  for (std::size_t i = 0; i < count; ++i) {
    const CodecFile::Bytes color = file.take(3);
    std::copy(color.begin(), color.end(), palette[i].begin());
  }
  fill_rest(palette, count);
  return palette;
}

// Data come in blocks of a length and as many bytes; an empty one is the last.
CodecFile::Bytes take_block(CodecFile& file) { return file.take(file.byte()); }

// Leaves `file` before the packed pixels of the first picture.
Header read_header(CodecFile& file) {
  Header header;
  file.take(6);  // GIF87a or GIF89a
  header.screen.width = static_cast<Index>(file.little_endian(2));
  header.screen.height = static_cast<Index>(file.little_endian(2));
  const int flags = file.byte();
  file.take(2);
  if (flags & 0x80) {
    header.palette = read_palette(file, flags);
  } else {
    fill_rest(header.palette, 0);
  }
  for (;;) {
    const std::uint8_t kind = file.byte();
    if (kind == ',') break;
    file.require(kind != ';', "is a GIF without a picture");
    if (kind != '!') continue;  // as decoders do
    const bool control = file.byte() == 0xf9;
    CodecFile::Bytes block = take_block(file);
    if (control && block.size() >= 4 && (block[0] & 1)) header.background = block[3];
    while (!block.empty()) block = take_block(file);
  }
  header.left = static_cast<Index>(file.little_endian(2));
  header.top = static_cast<Index>(file.little_endian(2));
  header.size.width = static_cast<Index>(file.little_endian(2));
  header.size.height = static_cast<Index>(file.little_endian(2));
  const int picture_flags = file.byte();
  if (picture_flags & 0x80) header.palette = read_palette(file, picture_flags);
  header.interlaced = picture_flags & 0x40;
  header.screen.width = std::max(header.screen.width, header.left + header.size.width);
  header.screen.height = std::max(header.screen.height, header.top + header.size.height);
  return header;
}

Size2 check_gif(CodecFile file) {
  const Header header = read_header(file);
  file.byte();
  while (!take_block(file).empty()) {
  }
  return header.screen;
}

// The picture's lines in the order in which they come.
std::vector<Index> order_of_lines(const Header& header) {
  std::vector<Index> lines;
  const auto every = [&](Index first, Index step) {
    for (Index y = first; y < header.size.height; y += step) lines.push_back(y);
  };
  if (!header.interlaced) return every(0, 1), lines;
  every(0, 8), every(4, 8), every(2, 4), every(1, 2);
  return lines;
}

// LZW (Welch, 1984): each code stands for a string, which is that of another code and one pixel more. A new string, the
// last one and the first pixel of this one, joins the table with each code. Codes grow by a bit when the table has
// filled what they can say, up to 12.
class LZW {
 public:
  LZW(CodecFile& file) : file_(file), bits_(file.byte()) {
    file.require(bits_ >= 1 && bits_ <= 8, "is damaged: its codes have ", bits_, " bits");
    clear_ = 1u << bits_;
    reset();
  }

  std::uint8_t next_pixel() {
    if (string_.empty()) decode();
    const std::uint8_t pixel = string_.back();
    string_.pop_back();
    return pixel;
  }

 private:
  static constexpr std::size_t most_codes = 4096;

  void reset() { code_bits_ = bits_ + 1, next_ = clear_ + 2, last_ = none; }

  unsigned next_code() {
    while (held_bits_ < code_bits_) {
      if (block_.empty()) block_ = take_block(file_);
      file_.require(!block_.empty(), "is damaged: it ends before its pixels do");
      held_ |= std::uint32_t{block_[0]} << held_bits_;
      block_ = block_.subspan(1);
      held_bits_ += 8;
    }
    const unsigned code = held_ & ((1u << code_bits_) - 1);
    held_ >>= code_bits_, held_bits_ -= code_bits_;
    return code;
  }

  // The string of the next code, its last pixel first.
  void decode() {
    unsigned code = next_code();
    while (code == clear_) reset(), code = next_code();
    file_.require(code != clear_ + 1, "is damaged: it ends before its pixels do");
    file_.require(last_ == none ? code < clear_ : code <= next_, "is damaged: it has a code before its meaning");
    const unsigned whole = code;
    if (last_ != none && code == next_) string_.push_back(first_), code = last_;  // the string that it will be
    for (; code >= clear_; code = rest_[code]) string_.push_back(pixel_[code]);
    first_ = static_cast<std::uint8_t>(code);
    string_.push_back(first_);
    if (last_ != none && next_ < most_codes) {
      pixel_[next_] = first_, rest_[next_] = static_cast<std::uint16_t>(last_);
      if (++next_ == 1u << code_bits_ && code_bits_ < 12) ++code_bits_;
    }
    last_ = whole;
  }

  static constexpr unsigned none = ~0u;
  CodecFile& file_;
  CodecFile::Bytes block_;
  int bits_, code_bits_ = 0, held_bits_ = 0;
  unsigned clear_ = 0, next_ = 0, last_ = none;
  std::uint32_t held_ = 0;
  std::uint8_t first_ = 0;                        // pixel of the last string
  std::array<std::uint8_t, most_codes> pixel_{};  // the last of a code's string
  std::array<std::uint16_t, most_codes> rest_{};  // the code of what is before it
  std::vector<std::uint8_t> string_;              // what has not been taken yet, the first pixel at the back
};

Pixels decode_gif(CodecFile file, Size2 screen) {
  const Header header = read_header(file);
  Pixels numbers(screen, 1);
  std::fill(numbers.bytes.begin(), numbers.bytes.end(), static_cast<std::uint8_t>(header.background));
  LZW pixels(file);
  for (const Index y : order_of_lines(header))
    for (Index x = 0; x < header.size.width; ++x) numbers.line(header.top + y)[header.left + x] = pixels.next_pixel();
  return look_up(header.palette, numbers);
}

}  // namespace

const Codec gif_codec{
    "GIF",
    [](CodecFile::Bytes file) {
      const std::string_view begin(reinterpret_cast<const char*>(file.data()), std::min<std::size_t>(6, file.size()));
      return begin == "GIF87a" || begin == "GIF89a";
    },
    check_gif,
    decode_gif,
    false,
};

}  // namespace bobbin
