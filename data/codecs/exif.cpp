#include "data/codecs/exif.h"

#include <algorithm>
#include <bit>
#include <string_view>

// Exif is a TIFF without pixels: the byte order, "II" or "MM", 42, and where its directory stands. That is a count and
// entries of 12 bytes: a tag, a type, how many values, and these, or where they stand if they take more than 4 bytes.
// Whatever it says, Pillow's ImageFileDirectory_v2 is followed, so that damage has its consequences, too.

namespace bobbin {
namespace {

using Bytes = CodecFile::Bytes;
constexpr std::size_t tag_of_orientation = 274;

std::string_view text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// The bytes of a type's values; 0: there is no such type.
std::size_t size_of(std::size_t type) {
  constexpr std::size_t sizes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8};
  return type < std::size(sizes) ? sizes[type] : 0;
}

class Directory {
 public:
  Directory(Bytes tiff, bool little) : tiff_(tiff), little_(little) {}

  // A number at most 8 bytes long, of bytes that are there.
  std::uint64_t number(Bytes bytes) const {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) value = value << 8 | bytes[little_ ? bytes.size() - 1 - i : i];
    return value;
  }

  // The first value of the first entry for the tag that can be read, 0 for text or bytes; nothing without one.
  std::optional<double> find(std::size_t wanted) const {
    std::uint64_t at = number(tiff_.subspan(4, 4)), outside = 0;
    if (!has(at, 2)) return {};
    std::uint64_t count = number(tiff_.subspan(at, 2));
    for (at += 2; count > 0 && has(at, 12); at += 12, --count) {
      const auto field = [&](std::size_t from, std::size_t size) { return tiff_.subspan(at + from, size); };
      const std::uint64_t type = number(field(2, 2)), size = number(field(4, 4)) * size_of(type);
      if (size == 0) continue;
      Bytes values = field(8, 4);
      if (size > 4) {
        if ((outside += size) > tiff_.size()) continue;  // more than the file: Pillow takes no such entry any more
        const std::uint64_t where = number(values);
        if (!has(where, size)) return {};  // nor one after it
        values = tiff_.subspan(where, size);
      }
      if (number(field(0, 2)) == wanted) return first(type, values);
    }
    return {};
  }

 private:
  bool has(std::uint64_t at, std::uint64_t count) const { return at <= tiff_.size() && count <= tiff_.size() - at; }

  double first(std::size_t type, Bytes values) const {
    const std::size_t size = size_of(type), half = std::min<std::size_t>(size, 4);
    const std::uint64_t n = number(values.first(size));
    const auto over = static_cast<std::uint32_t>(number(values.first(half))),
               under = static_cast<std::uint32_t>(number(values.subspan(size - half, half)));
    const auto with_sign = [](std::uint32_t bits) { return static_cast<double>(static_cast<std::int32_t>(bits)); };
    switch (type) {
      case 3:
      case 4:
      case 13:
      case 16:
        return static_cast<double>(n);
      case 6:
        return static_cast<std::int8_t>(n);
      case 8:
        return static_cast<std::int16_t>(n);
      case 9:
        return with_sign(over);
      case 5:
        return static_cast<double>(over) / static_cast<double>(under);
      case 10:
        return with_sign(over) / with_sign(under);
      case 11:
        return std::bit_cast<float>(over);
      case 12:
        return std::bit_cast<double>(n);
      default:
        return 0;
    }
  }

  Bytes tiff_;
  bool little_;
};

std::optional<double> orientation_in_exif(Bytes exif) {
  constexpr std::string_view name("Exif\0\0", 6);
  for (int i = 0; i < 2 && text_of(exif).starts_with(name); ++i) exif = exif.subspan(name.size());
  if (exif.empty()) return {};
  constexpr std::string_view begins[] = {
      {"II\x2a\0", 4}, {"II\0\x2a", 4}, {"MM\0\x2a", 4}, {"MM\x2a\0", 4}, {"MM\0\x2b", 4}};
  const std::string_view begin = text_of(exif.first(std::min<std::size_t>(exif.size(), 4)));
  if (exif.size() < 8 || std::find(std::begin(begins), std::end(begins), begin) == std::end(begins)) return 1;
  return Directory(exif, begin[0] == 'I').find(tag_of_orientation);
}

// The attribute tiff:Orientation="6", or the element <tiff:Orientation>6<.
std::optional<double> orientation_in_xmp(std::string_view xmp) {
  constexpr std::string_view name = "tiff:Orientation";
  for (std::size_t at = xmp.find(name); at != xmp.npos; at = xmp.find(name, at + 1)) {
    std::string_view rest = xmp.substr(at + name.size());
    const std::size_t before = rest.starts_with("=\"") ? 2 : rest.starts_with(">") ? 1 : 0;
    rest.remove_prefix(before);
    if (before && !rest.empty() && rest[0] >= '0' && rest[0] <= '9') return rest[0] - '0';
  }
  return {};
}

}  // namespace

int orientation(const std::optional<Bytes>& exif, Bytes xmp) {
  std::optional<double> found;
  if (exif) found = orientation_in_exif(*exif);
  if (!found) found = orientation_in_xmp(text_of(xmp));
  for (int known = 2; known <= 8; ++known)
    if (found == known) return known;
  return 1;
}

}  // namespace bobbin
