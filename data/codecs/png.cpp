// PNG, by libpng.
#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <initializer_list>
#include <string>
#include <utility>

#include "data/codecs/codecs.h"

namespace bobbin {
namespace {

constexpr std::size_t signature = 8;  // bytes

// A PNG is a signature of 8 bytes and then chunks: the length of the data, four letters, the data, and the CRC-32 of
// letters and data. The first has the letters IHDR and begins with the size, the last IEND.
Size2 check_png(CodecFile file) {
  Size2 size(0, 0);
  std::string name;
  for (file.take(signature); name != "IEND";) {
    const bool first = file.position() == signature;
    const std::size_t begin = file.position();
    const CodecFile::Bytes chunk = file.take(file.big_endian(4) + 4);
    file.require(file.big_endian(4) == crc32_z(0, chunk.data(), chunk.size()),
                 "is damaged: the checksum of its chunk at byte ", begin, " is wrong");
    name.assign(chunk.begin(), chunk.begin() + 4);
    file.require(name != "CgBI", "is of Apple's own kind of PNG, which only its devices read");
    if (!first) continue;
    file.require(name == "IHDR" && chunk.size() == 4 + 13, "is damaged: it does not begin with the header of a PNG");
    CodecFile header(chunk.subspan(4), file.path());
    size.width = static_cast<Index>(header.big_endian(4));
    size.height = static_cast<Index>(header.big_endian(4));
  }
  return size;
}

// What zlib has packed, if that is at most 1 MiB, as much as Pillow unpacks.
std::vector<std::uint8_t> unpacked(CodecFile::Bytes packed) {
  std::vector<std::uint8_t> text(std::size_t{1} << 20);
  uLongf size = text.size();
  if (uncompress(text.data(), &size, packed.data(), packed.size()) != Z_OK) size = 0;
  text.resize(size);
  return text;
}

// Text is in chunks of three kinds: tEXt, a keyword, 0 and the text; zTXt, a keyword, 0, 0 and the text packed; iTXt, a
// keyword, 0, whether the text is packed, 0, a language, 0, the keyword in that language, 0 and the text.
struct Text {
  std::string keyword;
  std::vector<std::uint8_t> text;

  // Only the text of these keywords is unpacked.
  Text(const std::string& kind, CodecFile::Bytes chunk, std::initializer_list<const char*> keywords) {
    const auto field = [&] {
      const auto end = std::find(chunk.begin(), chunk.end(), 0);
      const std::string before(chunk.begin(), end);
      chunk = chunk.subspan(std::min(before.size() + 1, chunk.size()));
      return before;
    };
    keyword = field();
    if (std::find(keywords.begin(), keywords.end(), keyword) == keywords.end()) return;
    bool packed = kind == "zTXt";
    if (packed) chunk = chunk.subspan(std::min<std::size_t>(1, chunk.size()));
    if (kind == "iTXt") {
      packed = !chunk.empty() && chunk[0] != 0;
      chunk = chunk.subspan(std::min<std::size_t>(2, chunk.size()));
      field(), field();
    }
    text = packed ? unpacked(chunk) : std::vector<std::uint8_t>(chunk.begin(), chunk.end());
  }
};

// ImageMagick's Exif: an empty line, a name, the length, then two digits for each byte.
std::vector<std::uint8_t> from_profile(const std::vector<std::uint8_t>& profile) {
  std::string digits;
  int lines = 0;
  for (const std::uint8_t c : profile)
    if (c == '\n')
      ++lines;
    else if (lines >= 3 && !std::isspace(c))
      digits += static_cast<char>(c);
  std::vector<std::uint8_t> bytes(digits.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    if (const char* two = &digits[2 * i]; std::from_chars(two, two + 2, bytes[i], 16).ptr != two + 2) return {};
  return bytes;
}

// Of all chunks the last that says it, as in Pillow: the chunk eXIf before a text.
Notes notes_of_png(CodecFile file) {
  constexpr const char *profile = "Raw profile type exif", *xmp = "XML:com.adobe.xmp";
  Notes notes;
  std::vector<std::uint8_t> as_text;
  std::string name;
  for (file.take(signature); name != "IEND";) {
    const CodecFile::Bytes chunk = file.take(file.big_endian(4) + 4), content = chunk.subspan(4);
    file.take(4);
    name.assign(chunk.begin(), chunk.begin() + 4);
    if (name == "eXIf") notes.exif.emplace(content.begin(), content.end());
    if (name != "tEXt" && name != "zTXt" && name != "iTXt") continue;
    Text text(name, content, {profile, xmp});
    if (text.keyword == profile) as_text = from_profile(text.text);
    if (text.keyword == xmp) notes.xmp = std::move(text.text);
  }
  if (!notes.exif && !as_text.empty()) notes.exif = std::move(as_text);
  return notes;
}

// libpng's errors jump back as libjpeg's do.
struct Decoder {
  png_structp png = nullptr;
  png_infop info = nullptr;
  CodecFile::Bytes rest;
  std::string message;

  explicit Decoder(CodecFile::Bytes file) : rest(file) { message.reserve(200); }
  ~Decoder() { png_destroy_read_struct(&png, &info, nullptr); }
  Decoder(const Decoder&) = delete;

  static void report(png_structp png, png_const_charp text) {
    static_cast<Decoder*>(png_get_error_ptr(png))->message.assign(text, strnlen(text, 200));
    png_longjmp(png, 1);
  }
  static void read(png_structp png, png_bytep to, std::size_t count) {
    CodecFile::Bytes& rest = static_cast<Decoder*>(png_get_io_ptr(png))->rest;
    if (count > rest.size()) png_error(png, "it ends too soon");
    std::memcpy(to, rest.data(), count);
    rest = rest.subspan(count);
  }

  // False: it fails with `message`. After it the pixels come as bytes: grey, the numbers of colours, or RGB.
  bool read_header() {
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, report, [](png_structp, png_const_charp) {});
    info = png ? png_create_info_struct(png) : nullptr;
    if (!info) return message = "there is not enough memory", false;
    if (setjmp(png_jmpbuf(png))) return false;
    png_set_read_fn(png, this, read);
    png_set_crc_action(png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);          // check_png() has seen to them
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);  // texts, profiles: not even unpacked
    png_read_info(png, info);
    png_set_packing(png);
    if (!(color_type() & PNG_COLOR_MASK_COLOR)) png_set_expand_gray_1_2_4_to_8(png);
    png_set_strip_16(png);
    png_set_strip_alpha(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    return true;
  }
  bool read_lines(png_bytepp lines) {
    if (setjmp(png_jmpbuf(png))) return false;
    png_read_image(png, lines);
    return true;
  }
  int color_type() const { return png_get_color_type(png, info); }
};

Pixels decode_png(CodecFile file, Size2 size) {
  Decoder decoder(file.all());
  if (!decoder.read_header()) file.cannot_be_decoded(decoder.message.c_str());
  Pixels pixels(size, decoder.color_type() == PNG_COLOR_TYPE_RGB ? 3 : 1);
  file.require(
      png_get_image_height(decoder.png, decoder.info) == size.height &&
          png_get_rowbytes(decoder.png, decoder.info) == static_cast<std::size_t>(size.width * pixels.channels),
      "is damaged: it contradicts itself");
  std::vector<png_bytep> lines;
  for (Index y = 0; y < size.height; ++y) lines.push_back(pixels.line(y));
  if (!decoder.read_lines(lines.data())) file.cannot_be_decoded(decoder.message.c_str());
  if (decoder.color_type() != PNG_COLOR_TYPE_PALETTE) return pixels;

  Palette palette{};
  png_colorp colors = nullptr;
  int count = 0;
  png_get_PLTE(decoder.png, decoder.info, &colors, &count);
  for (int i = 0; i < count; ++i)
    palette[static_cast<std::size_t>(i)] = {colors[i].red, colors[i].green, colors[i].blue};
  return look_up(palette, pixels);
}

}  // namespace

const Codec png_codec{
    "PNG",
    [](CodecFile::Bytes file) { return file.size() >= signature && png_sig_cmp(file.data(), 0, signature) == 0; },
    check_png,
    decode_png,
    false,
    notes_of_png,
};

}  // namespace bobbin
