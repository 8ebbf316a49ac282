#include "data/images/check.h"

#include <zlib.h>

#include <algorithm>
#include <numeric>
#include <string>

#include "tensor/check.h"

namespace bobbin {
namespace {

using Bytes = std::span<const std::uint8_t>;

// A file whose bytes are taken from the front, each only if it is there.
class Reader {
 public:
  Reader(Bytes bytes, const std::filesystem::path& path) : rest_(bytes), size_(bytes.size()), path_(path) {}

  Bytes take(std::size_t count) {
    require(count <= rest_.size(), " is not whole: it ends after ", size_, " bytes");
    const Bytes taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  std::uint8_t byte() { return take(1)[0]; }
  /// The next bytes as a number, the highest first.
  std::size_t number(std::size_t bytes) {
    std::size_t number = 0;
    for (const std::uint8_t byte : take(bytes)) number = number << 8 | byte;
    return number;
  }
  std::size_t position() const { return size_ - rest_.size(); }

  template <class... Parts>
  void require(bool ok, const Parts&... parts) const {
    check(ok, "read_image", path_, parts...);
  }

 private:
  Bytes rest_;
  std::size_t size_;
  const std::filesystem::path& path_;
};

// Tables of codes, one after the other: a number, how many codes there are of 1 ... 16 bits, and the value of each.
// stb_image has room for 256.
bool code_tables_are_sound(Bytes tables) {
  while (!tables.empty()) {
    if (tables.size() < 17) return false;
    const std::size_t table = 17 + std::accumulate(tables.begin() + 1, tables.begin() + 17, std::size_t{0});
    if (table > 17 + 256 || table > tables.size()) return false;
    tables = tables.subspan(table);
  }
  return true;
}

// The frame: six bytes, the last of them the number of channels, then three a channel, of which the second says how
// many pixels it has on each side for each of the picture's coarsest channel. stb_image repeats them to the number of
// the finest channel, so that must be a whole multiple.
bool frame_is_sound(Bytes frame) {
  if (frame.size() < 6 || frame.size() != 6 + std::size_t{3} * frame[5]) return false;
  for (const int shift : {4, 0}) {
    const auto pixels = [&](std::size_t at) { return frame[at] >> shift & 15; };
    int finest = 0;
    for (std::size_t at = 7; at < frame.size(); at += 3) finest = std::max(finest, pixels(at));
    for (std::size_t at = 7; at < frame.size(); at += 3)
      if (pixels(at) == 0 || finest % pixels(at) != 0) return false;
  }
  return true;
}

}  // namespace

// A PNG is a signature of 8 bytes and then chunks: the length of the data, four letters, the data, and the CRC-32 of
// letters and data. The last has the letters IEND.
void check_png(Bytes bytes, const std::filesystem::path& path) {
  Reader file(bytes, path);
  std::string name;
  for (file.take(8); name != "IEND";) {
    const std::size_t begin = file.position();
    const Bytes chunk = file.take(file.number(4) + 4);
    file.require(file.number(4) == crc32_z(0, chunk.data(), chunk.size()),
                 " is damaged: the checksum of its chunk at byte ", begin, " is wrong");
    name.assign(chunk.begin(), chunk.begin() + 4);
    file.require(name != "CgBI", " is of Apple's own kind of PNG, which only its devices read");
  }
}

// A JPEG is a row of segments: 0xff, a marker, and the length of what follows, itself included. Between them stand the
// packed pixels, in which 0xff is followed by 0 or by a marker from 0xd0 to 0xd7. The marker 0xd9 is the end; where it
// is missing, stb_image would go on with zeros.
void check_jpeg(Bytes bytes, const std::filesystem::path& path) {
  Reader file(bytes, path);
  file.take(2);
  for (bool pixels = false;;) {
    while (file.byte() != 0xff) {
    }
    std::size_t marker = 0xff;
    while (marker == 0xff) marker = file.byte();
    if (marker == 0xd9) return file.require(pixels, " is damaged: it ends without pixels");
    pixels |= marker == 0xda;
    if (marker == 0 || (marker >= 0xd0 && marker <= 0xd7)) continue;
    const std::size_t begin = file.position(), length = file.number(2);
    file.require(length >= 2, " is damaged: its segment at byte ", begin, " has the length ", length);
    const Bytes segment = file.take(length - 2);
    const bool sound = marker == 0xc4                     ? code_tables_are_sound(segment)
                       : marker >= 0xc0 && marker <= 0xc2 ? frame_is_sound(segment)
                                                          : true;
    file.require(sound, " is damaged: its segment at byte ", begin, " contradicts itself");
  }
}

}  // namespace bobbin
