#include "data/images/codec.h"

#include <png.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>
#include <utility>

#include "data/codecs/codecs.h"
#include "data/files/read_file.h"
#include "data/files/write_file.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

constexpr Index most_on_a_side = 16384;
constexpr Index most_pixels = Index{1} << 26;
constexpr std::uintmax_t most_bytes = std::uintmax_t{1} << 28;
// A header cannot promise pixels, and have memory taken for them, for which the file has no room. The densest that
// there is: a PNG of one bit a pixel, packed 1032 to 1, deflate's limit. Where plain pictures take no room, so many are
// believed.
constexpr Index most_pixels_in_a_byte = 8 * 1032;
constexpr Index most_plain_pixels = Index{1} << 24;

const Codec* const codecs[] = {
    &jpeg_codec, &png_codec, &gif_codec, &bmp_codec, &pnm_codec,
#ifdef BOBBIN_WEBP
    &webp_codec,
#endif
#ifdef BOBBIN_TIFF
    &tiff_codec,
#endif
};

constexpr std::string_view names[] = {
    ".jpg",  ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".dib", ".pbm", ".pgm", ".ppm", ".pnm",
#ifdef BOBBIN_WEBP
    ".webp",
#endif
#ifdef BOBBIN_TIFF
    ".tif",  ".tiff",
#endif
};

// What is often met among pictures, or with a picture's name, and not read; `at` is where in the file `text` stands.
struct Other {
  std::size_t at;
  std::string_view text;
  const char* what;
};
using namespace std::string_view_literals;
constexpr Other others[] = {
    {8, "WEBP", "a WebP picture, which this build does not read: it takes libwebp (Debian's libwebp-dev)"},
    {0, "II*\0"sv, "a TIFF picture, which this build does not read: it takes libtiff 4.5 (Debian's libtiff-dev)"},
    {0, "MM\0*"sv, "a TIFF picture, which this build does not read: it takes libtiff 4.5 (Debian's libtiff-dev)"},
    {4, "ftypavi", "an AVIF picture, which is not read"},
    {4, "ftyphe", "a HEIC picture, which is not read"},
    {4, "ftypmi", "a HEIC picture, which is not read"},
    {4, "ftyp", "a film, not a picture"},
    {4, "jP  ", "a JPEG 2000 picture, which is not read"},
    {4, "JXL ", "a JPEG XL picture, which is not read"},
    {0, "\xff\x0a", "a JPEG XL picture, which is not read"},
    {0, "8BPS", "a Photoshop picture, which is not read"},
    {0, "\0\0\1\0"sv, "an icon, which is not read"},
    {0, "%PDF", "a PDF document, not a picture"},
    {0, "<svg", "an SVG drawing, which is not read"},
    {0, "<?xml", "an SVG drawing or another text in XML, which is not read"},
    {0, "<!DOCTYPE", "a page in HTML, not a picture"},
    {0, "<!doctype", "a page in HTML, not a picture"},
    {0, "<html", "a page in HTML, not a picture"},
    {0, "PK\3\4", "a ZIP archive, not a picture"},
    {0, "\x1f\x8b", "packed by gzip, not a picture"},
    {0, "version https://git-lfs", "a pointer of Git LFS: git lfs pull fetches the picture"},
};

// What can be decoded: a file, and what its checks found.
struct Checked {
  std::vector<std::uint8_t> bytes;
  const Codec* codec = nullptr;
  Size2 size = 0;
};

Checked check_file(const std::filesystem::path& path) {
  Checked file;
  file.bytes = read_file("read_image", path, most_bytes);
  for (const Codec* codec : codecs)
    if (codec->recognises(file.bytes)) file.codec = codec;
  if (!file.codec) {
    const std::string_view begin(reinterpret_cast<const char*>(file.bytes.data()),
                                 std::min<std::size_t>(file.bytes.size(), 32));
    for (const Other& other : others)
      check(other.at >= begin.size() || !begin.substr(other.at).starts_with(other.text), "read_image", path, " is ",
            other.what);
    std::string more;
    for (const Codec* codec : codecs)
      if (codec != &jpeg_codec && codec != &png_codec) more += std::string(more.empty() ? "" : ", ") + codec->name;
    fail("read_image", path, " is neither a JPEG nor a PNG picture, nor one of the other kinds that are read (", more,
         ")");
  }
  const auto [height, width] = file.size = file.codec->check({file.bytes, path});
  const Index room = static_cast<Index>(file.bytes.size()) * most_pixels_in_a_byte;
  check(height >= 1 && width >= 1 && std::max(width, height) <= most_on_a_side && width * height <= most_pixels,
        "read_image", path, " has ", height, " x ", width, " pixels, expected at most ", most_on_a_side,
        " on a side and ", most_pixels, " in all, and at least 1");
  check(width * height <= std::max(room, file.codec->plain_takes_no_room ? most_plain_pixels : 0), "read_image", path,
        " promises ", height, " x ", width, " pixels, which its ", file.bytes.size(), " bytes cannot hold");
  const CodecFile content(file.bytes, path);
  if (file.codec->may_lack_pixels && file.codec->may_lack_pixels(content)) file.codec->decode(content, file.size);
  return file;
}

}  // namespace

Image read_image(const std::filesystem::path& path, Index channels, bool exif) {
  check(channels == 1 || channels == 3, "read_image", "a picture is read with 1 channel or 3, got ", channels);
  const Checked file = check_file(path);
  const CodecFile content(file.bytes, path);
  Pixels pixels = file.codec->decode(content, file.size);
  if (exif && file.codec->notes) {
    const Notes notes = file.codec->notes(content);
    pixels = upright(std::move(pixels), orientation(notes.exif, notes.xmp));
  }

  const auto& [height, width] = pixels.size;
  Image image{channels, height, width, std::vector<std::uint8_t>(static_cast<std::size_t>(channels * height * width))};
  for (Index y = 0; y < height; ++y)
    for (Index c = 0; c < channels; ++c) {
      const std::uint8_t* in = pixels.line(y);
      std::uint8_t* out = image.bytes.data() + (c * height + y) * width;
      for (Index x = 0; x < width; ++x)
        out[x] = pixels.channels == 1 ? in[x]
                 : channels == 3      ? in[3 * x + c]
                                      : luma(in[3 * x], in[3 * x + 1], in[3 * x + 2]);
    }
  return image;
}

bool has_picture_name(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::find(std::begin(names), std::end(names), ending) != std::end(names);
}

void check_picture(const std::filesystem::path& path) { check_file(path); }

std::string to_png(const Image& image) {
  const auto& [channels, height, width, bytes] = image;
  check(channels == 1 || channels == 3, "write_png", "a picture has 1 channel or 3, got ", channels);
  check(height >= 1 && width >= 1 && std::max(height, width) <= most_on_a_side && height * width <= most_pixels,
        "write_png", "a picture has 1 to ", most_on_a_side, " pixels on a side and ", most_pixels, " in all, got ",
        height, " x ", width);
  const Index plane = height * width;
  check(static_cast<Index>(bytes.size()) == channels * plane, "write_png", "a picture of ", channels, " x ", height,
        " x ", width, " has ", channels * plane, " bytes, got ", bytes.size());
  std::vector<std::uint8_t> pixels;
  pixels.reserve(bytes.size());
  for (Index i = 0; i < plane; ++i)
    for (Index c = 0; c < channels; ++c) pixels.push_back(bytes[static_cast<std::size_t>(c * plane + i)]);

  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(width);
  png.height = static_cast<png_uint_32>(height);
  png.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
  std::string file(size, '\0');
  check(png_image_write_to_memory(&png, file.data(), &size, 0, pixels.data(), 0, nullptr) != 0, "write_png",
        "there is not enough memory to pack a picture of ", height, " x ", width);
  file.resize(size);
  return file;
}

void write_png(const std::filesystem::path& path, const Image& image) { write_file(path, to_png(image)); }

}  // namespace bobbin
