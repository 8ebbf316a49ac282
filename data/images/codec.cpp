#include "data/images/codec.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "data/files/read_file.h"
#include "data/files/write_file.h"
#include "data/images/check.h"
#include "tensor/check.h"

namespace {

// stb_image's memory. A damaged file may leave pixels unset, so it comes zeroed, to be the same each time; and data
// that unpack without end must not take all there is.
constexpr std::size_t most_memory = std::size_t{1} << 30;
void* allocate_zeroed(std::size_t size) { return size > most_memory ? nullptr : std::calloc(1, size); }
void* reallocate(void* block, std::size_t size) { return size > most_memory ? nullptr : std::realloc(block, size); }

}  // namespace

// Static, so that a program may have an stb_image of its own.
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_ASSERT(condition)  // a damaged file must not end the program
#define STBI_MALLOC(size) allocate_zeroed(size)
#define STBI_REALLOC(block, size) reallocate(block, size)
#define STBI_FREE(block) std::free(block)
// In a damaged JPEG it shifts a 0 by 32 bits and more, and adds beyond what an int holds. That makes pixels wrong that
// are wrong anyway, and no more, so the sanitizer of clang, with which we fuzz, need not say so.
#ifdef __clang__
#pragma clang attribute push(__attribute__((no_sanitize("shift", "signed-integer-overflow"))), apply_to = function)
#endif
#include <stb/stb_image.h>
#ifdef __clang__
#pragma clang attribute pop
#endif
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

namespace bobbin {
namespace {

constexpr Index most_on_a_side = 16384;
constexpr Index most_pixels = Index{1} << 26;
constexpr std::uintmax_t most_bytes = std::uintmax_t{1} << 28;
// The densest that there is: a PNG of one bit a pixel, packed 1032 to 1, deflate's limit. So a header cannot promise
// pixels, and have memory taken for them, for which the file has no room.
constexpr Index most_pixels_in_a_byte = 8 * 1032;

struct Free {
  void operator()(stbi_uc* pixels) const { stbi_image_free(pixels); }
};

void check_decoded(const std::filesystem::path& path, bool ok) {
  if (ok) return;  // the reason may have letters from the file in it
  fail("read_image", path, " cannot be decoded: it is damaged or of a rare kind (", Quoted{stbi_failure_reason()}, ")");
}

// One pixel of `in` channels, which are grey, grey and alpha, RGB, or RGB and alpha: channel c of `out` channels.
std::uint8_t channel(const stbi_uc* pixel, int in, Index out, Index c) {
  if (in <= 2) return pixel[0];
  if (out == 3) return pixel[c];
  return static_cast<std::uint8_t>((19595 * pixel[0] + 38470 * pixel[1] + 7471 * pixel[2] + 0x8000) >> 16);
}

}  // namespace

namespace {

// The file, after all checks that need no decoding.
std::vector<std::uint8_t> checked_file(const std::filesystem::path& path) {
  std::vector<std::uint8_t> bytes = read_file("read_image", path, most_bytes);
  const auto begins_with = [&](std::string_view signature) {
    return bytes.size() >= signature.size() && std::memcmp(bytes.data(), signature.data(), signature.size()) == 0;
  };
  const bool png = begins_with("\x89PNG\r\n\x1a\n");
  check(png || begins_with("\xff\xd8"), "read_image", path, " is neither a JPEG nor a PNG picture");
  png ? check_png(bytes, path) : check_jpeg(bytes, path);

  const int size = static_cast<int>(bytes.size());
  int width = 0, height = 0, in = 0;
  check_decoded(path, stbi_info_from_memory(bytes.data(), size, &width, &height, &in) != 0);
  check(std::max(width, height) <= most_on_a_side && Index{width} * height <= most_pixels, "read_image", path, " has ",
        height, " x ", width, " pixels, expected at most ", most_on_a_side, " on a side and ", most_pixels, " in all");
  check(Index{width} * height / most_pixels_in_a_byte <= Index{size}, "read_image", path, " promises ", height, " x ",
        width, " pixels, which its ", size, " bytes cannot hold");
  return bytes;
}

}  // namespace

bool has_picture_name(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending == ".jpg" || ending == ".jpeg" || ending == ".jpe" || ending == ".jfif" || ending == ".png";
}

void check_picture(const std::filesystem::path& path) { checked_file(path); }

Image read_image(const std::filesystem::path& path, Index channels) {
  check(channels == 1 || channels == 3, "read_image", "a picture is read with 1 channel or 3, got ", channels);
  const std::vector<std::uint8_t> bytes = checked_file(path);
  const int size = static_cast<int>(bytes.size());
  int width = 0, height = 0, in = 0;
  const std::unique_ptr<stbi_uc, Free> pixels(stbi_load_from_memory(bytes.data(), size, &width, &height, &in, 0));
  check_decoded(path, pixels != nullptr);

  const Index plane = Index{height} * width;
  Image image{channels, height, width, std::vector<std::uint8_t>(static_cast<std::size_t>(channels * plane))};
  for (Index c = 0; c < channels; ++c)
    for (Index i = 0; i < plane; ++i)
      image.bytes[static_cast<std::size_t>(c * plane + i)] = channel(pixels.get() + i * in, in, channels, c);
  return image;
}

void write_png(const std::filesystem::path& path, const Image& image) {
  const auto& [channels, height, width, bytes] = image;
  const Index plane = height * width;
  check(channels == 1 || channels == 3, "write_png", "a picture has 1 channel or 3, got ", channels);
  check(height >= 1 && width >= 1 && std::max(height, width) <= most_on_a_side && plane <= most_pixels, "write_png",
        "a picture has 1 to ", most_on_a_side, " pixels on a side and ", most_pixels, " in all, got ", height, " x ",
        width);
  check(static_cast<Index>(bytes.size()) == channels * plane, "write_png", "a picture of ", channels, " x ", height,
        " x ", width, " has ", channels * plane, " bytes, got ", bytes.size());
  std::vector<std::uint8_t> pixels;
  pixels.reserve(bytes.size());
  for (Index i = 0; i < plane; ++i)
    for (Index c = 0; c < channels; ++c) pixels.push_back(bytes[static_cast<std::size_t>(c * plane + i)]);
  std::string file;
  const auto append = [](void* to, void* data, int size) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(data), static_cast<std::size_t>(size));
  };
  check(stbi_write_png_to_func(append, &file, static_cast<int>(width), static_cast<int>(height),
                               static_cast<int>(channels), pixels.data(), 0) != 0,
        "write_png", "there is not enough memory to pack ", path);
  write_file(path, file);
}

}  // namespace bobbin
