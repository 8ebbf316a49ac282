// PNG, by libpng.
#include <png.h>
#include <zlib.h>

#include <cstring>
#include <string>

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
};

}  // namespace bobbin
