// PBM, PGM and PPM (Netpbm): black and white, grey, and colours, as text or as bytes.
#include <cmath>

#include "data/codecs/codecs.h"

namespace bobbin {
namespace {

bool is_space(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

constexpr int at_end = -1;

// The next byte. A comment, from a # to the end of its line, is as if it were not there.
int next_byte(CodecFile& file) {
  const auto byte = [&] { return file.rest().empty() ? at_end : int{file.byte()}; };
  int c = byte();
  while (c == '#') {
    while (c != '\n' && c != '\r' && c != at_end) c = byte();
    c = byte();
  }
  return c;
}

// The next byte that is no space.
int next_digit(CodecFile& file) {
  int c = next_byte(file);
  while (is_space(c)) c = next_byte(file);
  file.require(c != at_end, "is not whole: it ends after ", file.all().size(), " bytes");
  return c;
}

// A whole number in digits, and the one space behind it.
std::size_t read_number(CodecFile& file) {
  const std::size_t begin = file.position();
  std::size_t number = 0, digits = 0;
  int c = next_digit(file);
  for (; c >= '0' && c <= '9' && digits < 10; ++digits, c = next_byte(file))
    number = 10 * number + static_cast<std::size_t>(c - '0');
  file.require(digits > 0 && (is_space(c) || c == at_end), "is damaged: behind byte ", begin,
               " it has no whole number");
  return number;
}

struct Header {
  int kind = 0;  // 1 ... 6
  Size2 size = 0;
  std::size_t highest = 1;  // that a pixel can have: white
  int channels() const { return kind % 3 == 0 ? 3 : 1; }
  bool text() const { return kind <= 3; }
  bool bits() const { return kind % 3 == 1; }
};

Header read_header(CodecFile& file) {
  Header header;
  file.take(1);  // P
  header.kind = file.byte() - '0';
  header.size.width = static_cast<Index>(read_number(file));
  header.size.height = static_cast<Index>(read_number(file));
  if (!header.bits()) header.highest = read_number(file);
  file.require(header.highest >= 1 && header.highest < 65536, "is damaged: its highest level is ", header.highest,
               ", expected 1 to 65535");
  // Pillow reads them and cuts them off at 255, which makes them white.
  file.require(header.channels() == 3 || header.highest < 256, "is a PGM of 16 bits a pixel, expected 8");
  return header;
}

std::size_t bytes_a_line(const Header& header) {
  const auto width = static_cast<std::size_t>(header.size.width);
  if (header.bits()) return (width + 7) / 8;
  return width * static_cast<std::size_t>(header.channels()) * (header.highest < 256 ? 1 : 2);
}

Size2 check_pnm(CodecFile file) {
  const Header header = read_header(file);
  const auto height = static_cast<std::size_t>(header.size.height);
  if (!header.text() && bytes_a_line(header) < 1 << 20 && height < 1 << 20) file.take(height * bytes_a_line(header));
  return header.size;
}

Pixels decode_pnm(CodecFile file, Size2 size) {
  const Header header = read_header(file);
  Pixels pixels(size, header.channels());
  // A level of 0 ... highest as one of 0 ... 255.
  const auto scaled = [&](std::size_t level) {
    const double share = static_cast<double>(level) / static_cast<double>(header.highest);
    return static_cast<std::uint8_t>(std::fmin(255, std::nearbyint(share * 255)));
  };
  if (header.bits()) {  // 1 is black
    for (Index y = 0; y < size.height; ++y) {
      std::uint8_t* line = pixels.line(y);
      if (header.text()) {  // there need not be space between digits
        for (Index x = 0; x < size.width; ++x) {
          const int c = next_digit(file);
          file.require(c == '0' || c == '1', "is damaged: at byte ", file.position(), " there is neither 0 nor 1");
          line[x] = static_cast<std::uint8_t>(c - '0');
        }
      } else {
        unpack_bits(file.take(bytes_a_line(header)).data(), 1, size.width, line);
      }
      for (Index x = 0; x < size.width; ++x) line[x] = line[x] ? 0 : 255;
    }
    return pixels;
  }
  for (std::uint8_t& level : pixels.bytes) {
    if (header.text()) {
      const std::size_t number = read_number(file);
      file.require(number <= header.highest, "is damaged: it has a level of ", number, ", expected at most ",
                   header.highest);
      level = scaled(number);
    } else {
      level = scaled(file.big_endian(header.highest < 256 ? 1 : 2));
    }
  }
  return pixels;
}

}  // namespace

const Codec pnm_codec{
    "PPM",
    [](CodecFile::Bytes file) {
      return file.size() >= 3 && file[0] == 'P' && file[1] >= '1' && file[1] <= '6' && is_space(file[2]);
    },
    check_pnm,
    decode_pnm,
    false,
};

}  // namespace bobbin
