// BMP, Windows' and OS/2's bitmaps: those that Pillow reads.
#include <algorithm>
#include <array>
#include <bit>

#include "data/codecs/codecs.h"

namespace bobbin {
namespace {

enum Packing : std::size_t { raw = 0, runs_of_8_bits = 1, runs_of_4_bits = 2, bit_fields = 3 };

struct Header {
  Size2 size = 0;
  bool top_first = false;
  std::size_t bits = 0;  // a pixel
  std::size_t packing = raw;
  std::array<std::size_t, 3> masks{0xff0000, 0xff00, 0xff};  // where red, green and blue are in it
  Palette palette{};
  std::size_t pixels = 0;  // where they begin in the file
};

// Four bytes a colour, or three: blue, green, red.
Palette read_palette(CodecFile& file, std::size_t count, std::size_t bytes) {
  Palette palette{};
  for (std::size_t i = 0; i < count; ++i) {
    const CodecFile::Bytes color = file.take(bytes);
    palette[i] = {color[2], color[1], color[0]};
  }
  fill_rest(palette, count);
  return palette;
}

Header read_header(CodecFile& file) {
  Header header;
  file.take(10);  // BM, the file's size
  header.pixels = file.little_endian(4);
  const std::size_t length = file.little_endian(4);
  const bool first_version = length == 12;
  file.require(
      first_version || length == 40 || length == 52 || length == 56 || length == 64 || length == 108 || length == 124,
      "is a BMP with a header of ", length, " bytes, which is not known");
  CodecFile rest = file.part(length - 4);
  std::size_t colors = 0;
  if (first_version) {
    header.size.width = static_cast<Index>(rest.little_endian(2));
    header.size.height = static_cast<Index>(rest.little_endian(2));
    rest.take(2);
    header.bits = rest.little_endian(2);
  } else {
    header.size.width = static_cast<Index>(rest.little_endian(4));
    const std::size_t height = rest.little_endian(4);
    header.top_first = height >> 24 == 0xff;  // the height is negative
    header.size.height = static_cast<Index>(header.top_first ? (std::size_t{1} << 32) - height : height);
    rest.take(2);
    header.bits = rest.little_endian(2);
    header.packing = rest.little_endian(4);
    rest.take(12);
    colors = rest.little_endian(4);
    rest.take(4);
  }
  const std::size_t bits = header.bits, packing = header.packing;
  file.require(bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32, "is a BMP of ", bits,
               " bits a pixel, expected 1, 4, 8, 16, 24 or 32");
  const bool has_palette = bits <= 8;
  file.require(packing == raw || (packing == bit_fields && bits >= 16) || (packing == runs_of_8_bits && bits == 8) ||
                   (packing == runs_of_4_bits && bits == 4),
               "is a BMP packed in a way that is not read (number ", packing, ", ", bits, " bits a pixel)");
  if (bits == 16) header.masks = {0x7c00, 0x3e0, 0x1f};
  if (packing == bit_fields) {
    CodecFile& from = length >= 52 ? rest : file;
    for (std::size_t& mask : header.masks) mask = from.little_endian(4);
    if (bits == 32 && header.masks == std::array<std::size_t, 3>{}) header.masks = {0xff0000, 0xff00, 0xff};
  }
  if (has_palette) {
    if (colors == 0) colors = std::size_t{1} << bits;
    file.require(colors <= 256, "is a BMP of ", colors, " colours, expected at most 256");
    const std::size_t bytes = first_version ? 3 : 4;
    if (header.pixels == 14 + length) header.pixels += bytes * colors;  // as some programs write it
    header.palette = read_palette(file, colors, bytes);
  }
  if (header.pixels == 0) header.pixels = file.position();
  return header;
}

bool packed_in_runs(const Header& header) {
  return header.packing == runs_of_8_bits || header.packing == runs_of_4_bits;
}

// Lines begin at multiples of four bytes.
std::size_t bytes_a_line(const Header& header) {
  return (static_cast<std::size_t>(header.size.width) * header.bits + 31) / 32 * 4;
}

Size2 check_bmp(CodecFile file) {
  const Header header = read_header(file);
  CodecFile pixels(file.all(), file.path());
  pixels.take(header.pixels);
  if (packed_in_runs(header) || header.size.height == 0) return header.size;
  const auto width = static_cast<std::size_t>(header.size.width), height = static_cast<std::size_t>(header.size.height);
  if (width <= 1 << 20 && height <= 1 << 20)
    pixels.take((height - 1) * bytes_a_line(header) + (width * header.bits + 7) / 8);
  return header.size;
}

// Pairs of bytes: a count and what comes so often; or 0 and 0, the line is at its end; 1, the picture is; 2, go so far
// to the right and down; or a count of pixels that stand there as they are, filled up to an even number of bytes. What
// is left out has colour 0.
std::vector<std::uint8_t> unpack_runs(CodecFile file, const Header& header) {
  const bool four_bits = header.packing == runs_of_4_bits;
  const auto width = static_cast<std::size_t>(header.size.width);
  const std::size_t size = width * static_cast<std::size_t>(header.size.height);
  std::vector<std::uint8_t> numbers;
  numbers.reserve(size);
  const auto fill = [&](std::size_t count) { numbers.resize(std::min(size, numbers.size() + count)); };
  // 4-bit numbers stand two in a byte
  const auto number = [&](auto bytes, std::size_t i) -> std::uint8_t {
    return four_bits ? static_cast<std::uint8_t>(bytes[i / 2] >> (i % 2 ? 0 : 4) & 15) : bytes[i];
  };
  for (std::size_t x = 0; numbers.size() < size;) {
    std::size_t count = file.byte();
    const std::uint8_t what = file.byte();
    if (count > 0) {
      count = std::min(count, x < width ? width - x : 0);
      const std::array<std::uint8_t, 2> same{what, what};
      for (std::size_t i = 0; i < count && numbers.size() < size; ++i) numbers.push_back(number(same, i % 2));
      x += count;
    } else if (what == 0) {
      fill((width - numbers.size() % width) % width);
      x = 0;
    } else if (what == 1) {
      break;
    } else if (what == 2) {
      const std::size_t right = file.byte(), down = file.byte();
      fill(right + down * width);
      x = numbers.size() % width;
    } else {
      count = std::min<std::size_t>(what, size - numbers.size());
      const CodecFile::Bytes bytes = file.take(four_bits ? (count + 1) / 2 : count);
      for (std::size_t i = 0; i < count; ++i) numbers.push_back(number(bytes, i));
      x += what;
      if (file.position() % 2 == 1 && numbers.size() < size) file.byte();
    }
  }
  file.require(numbers.size() == size, "is damaged: it ends before its pixels do");
  return numbers;
}

// Where a channel lies in a pixel: so many bits from the lowest, a number of 0 ... highest.
struct Channel {
  int shift = 0;
  std::size_t highest = 0;

  explicit Channel(std::size_t mask) : shift(mask == 0 ? 0 : std::countr_zero(mask)), highest(mask >> shift) {}
  bool is_sound() const { return highest <= 255 && (highest & (highest + 1)) == 0; }
  /// From 0 to 255.
  std::uint8_t operator()(std::size_t pixel) const {
    const std::size_t level = pixel >> shift & highest;
    return static_cast<std::uint8_t>(highest == 255 || highest == 0 ? level : level * 255 / highest);
  }
};

Pixels decode_bmp(CodecFile file, Size2 size) {
  const Header header = read_header(file);
  file = CodecFile(file.all(), file.path());
  file.take(header.pixels);
  const bool has_palette = header.bits <= 8;
  const Channel channels[] = {Channel(header.masks[0]), Channel(header.masks[1]), Channel(header.masks[2])};
  for (const Channel& channel : channels) file.require(channel.is_sound(), "is a BMP whose channels have unusual bits");
  Pixels pixels(size, has_palette ? 1 : 3);
  const std::vector<std::uint8_t> unpacked =
      packed_in_runs(header) ? unpack_runs(file, header) : std::vector<std::uint8_t>();
  for (Index i = 0; i < size.height; ++i) {
    std::uint8_t* line = pixels.line(header.top_first ? i : size.height - 1 - i);
    if (!unpacked.empty()) {
      std::copy_n(unpacked.begin() + i * size.width, size.width, line);
      continue;
    }
    const CodecFile::Bytes in =
        file.take(std::min(bytes_a_line(header), file.rest().size()));  // the last may lack its end
    if (has_palette) {
      unpack_bits(in.data(), static_cast<int>(header.bits), size.width, line);
      continue;
    }
    const std::size_t bytes = header.bits / 8;
    for (std::size_t x = 0; x < static_cast<std::size_t>(size.width); ++x) {
      std::size_t pixel = 0;
      for (std::size_t b = 0; b < bytes; ++b) pixel |= std::size_t{in[x * bytes + b]} << 8 * b;
      for (const Channel& channel : channels) *line++ = channel(pixel);
    }
  }
  return has_palette ? look_up(header.palette, pixels) : pixels;
}

}  // namespace

const Codec bmp_codec{
    "BMP",     [](CodecFile::Bytes file) { return file.size() >= 14 && file[0] == 'B' && file[1] == 'M'; },
    check_bmp, decode_bmp,
    false,
};

}  // namespace bobbin
