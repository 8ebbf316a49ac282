// TIFF, by libtiff: the first picture, of the kinds of which Pillow makes 8 bits a channel.
#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "data/codecs/codecs.h"

namespace bobbin {
namespace {

// The file in memory, as libtiff wants to read it, and what it complained of first.
struct Source {
  CodecFile::Bytes bytes;
  std::size_t position = 0;
  char complaint[200] = "";

  static tmsize_t read(thandle_t handle, void* to, tmsize_t count) {
    auto& [bytes, position, complaint] = *static_cast<Source*>(handle);
    const std::size_t there = std::min(static_cast<std::size_t>(count), bytes.size() - position);
    std::memcpy(to, bytes.data() + position, there);
    position += there;
    return static_cast<tmsize_t>(there);
  }
  static toff_t seek(thandle_t handle, toff_t offset, int whence) {
    auto& [bytes, position, complaint] = *static_cast<Source*>(handle);
    if (whence == SEEK_CUR) offset += position;
    if (whence == SEEK_END) offset += bytes.size();
    return position = std::min<std::size_t>(offset, bytes.size());
  }
  static int complain(TIFF*, void* self, const char*, const char* format, std::va_list values) {
    auto& complaint = static_cast<Source*>(self)->complaint;
    if (!*complaint) std::vsnprintf(complaint, sizeof complaint, format, values);
    return 1;
  }
};

struct Close {
  void operator()(TIFF* tiff) const { TIFFClose(tiff); }
};
using Tiff = std::unique_ptr<TIFF, Close>;

Tiff open(Source& source) {
  TIFFOpenOptions* options = TIFFOpenOptionsAlloc();
  TIFFOpenOptionsSetErrorHandlerExtR(options, Source::complain, &source);
  TIFFOpenOptionsSetWarningHandlerExtR(
      options, [](TIFF*, void*, const char*, const char*, std::va_list) { return 1; }, nullptr);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, tmsize_t{1} << 28);
  Tiff tiff(TIFFClientOpenExt(
      "", "rm", &source, Source::read, [](thandle_t, void*, tmsize_t) { return tmsize_t{0}; }, Source::seek,
      [](thandle_t) { return 0; },
      [](thandle_t handle) { return static_cast<toff_t>(static_cast<Source*>(handle)->bytes.size()); },
      [](thandle_t, void**, toff_t*) { return 0; }, [](thandle_t, void*, toff_t) {}, options));
  TIFFOpenOptionsFree(options);
  return tiff;
}

// A field that every TIFF has, if only by default.
template <class T>
T field(TIFF* tiff, std::uint32_t tag, T otherwise = 0) {
  T value = otherwise;
  TIFFGetFieldDefaulted(tiff, tag, &value);
  return value;
}

struct Header {
  Size2 size = 0;  // as it lies in the file
  std::uint16_t bits, samples, photometric, format, planar, compression;
  int orientation;
  bool turned() const { return orientation >= 5 && orientation <= 8; }
};

// As Pillow reads it, whatever the type of its number; a BigTIFF, whose entries are longer, as libtiff does.
int read_orientation(const CodecFile& file, TIFF* tiff) {
  if (TIFFIsBigTIFF(tiff)) return field<std::uint16_t>(tiff, TIFFTAG_ORIENTATION, 1);
  std::uint32_t size = 0;
  const std::uint8_t* xmp = nullptr;
  if (TIFFGetField(tiff, TIFFTAG_XMLPACKET, &size, &xmp) != 1) size = 0;
  return orientation(file.all(), {xmp, size});
}

Header read_header(const CodecFile& file, const Source& source, TIFF* tiff) {
  if (!tiff) file.cannot_be_decoded(source.complaint);
  Header header;
  header.size.width = field<std::uint32_t>(tiff, TIFFTAG_IMAGEWIDTH);
  header.size.height = field<std::uint32_t>(tiff, TIFFTAG_IMAGELENGTH);
  header.bits = field<std::uint16_t>(tiff, TIFFTAG_BITSPERSAMPLE, 1);
  header.samples = field<std::uint16_t>(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
  header.photometric = field<std::uint16_t>(tiff, TIFFTAG_PHOTOMETRIC);
  header.format = field<std::uint16_t>(tiff, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
  header.planar = field<std::uint16_t>(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  header.orientation = read_orientation(file, tiff);
  header.compression = field<std::uint16_t>(tiff, TIFFTAG_COMPRESSION, COMPRESSION_NONE);
  return header;
}

bool is_grey(const Header& h) {
  return h.photometric == PHOTOMETRIC_MINISBLACK || h.photometric == PHOTOMETRIC_MINISWHITE;
}
bool is_rgb(const Header& h) {
  return h.photometric == PHOTOMETRIC_RGB || (h.photometric == PHOTOMETRIC_YCBCR && h.compression == COMPRESSION_JPEG);
}
// Several pixels to a byte.
bool has_few_bits(const Header& h) {
  return (is_grey(h) || h.photometric == PHOTOMETRIC_PALETTE) && h.samples == 1 &&
         (h.bits == 1 || h.bits == 2 || h.bits == 4);
}
int channels_of(const Header& h) { return is_rgb(h) ? 3 : h.photometric == PHOTOMETRIC_SEPARATED ? 4 : 1; }

void check_kind(const CodecFile& file, TIFF* tiff, const Header& h) {
  const bool colours = is_rgb(h) || h.photometric == PHOTOMETRIC_SEPARATED;
  file.require((is_grey(h) || h.photometric == PHOTOMETRIC_PALETTE || colours) && h.format == SAMPLEFORMAT_UINT &&
                   h.samples >= channels_of(h) && h.samples <= 6 &&
                   (h.bits == 8 || has_few_bits(h) || (h.bits == 16 && colours)),
               "is a TIFF of a kind that is not read: ", h.samples, h.samples == 1 ? " channel of " : " channels of ",
               h.bits, " bits, photometric interpretation ", h.photometric, ", sample format ", h.format);
  std::uint16_t extra_count = 0, *extra = nullptr;
  TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &extra_count, &extra);
  file.require(extra_count == 0 || extra[0] != EXTRASAMPLE_ASSOCALPHA,
               "is a TIFF whose colours are multiplied by their opacity, which is not read");
}

// Every strip or tile lies within the file.
Size2 check_tiff(CodecFile file) {
  Source source{file.all()};
  const Tiff tiff = open(source);
  const Header header = read_header(file, source, tiff.get());
  check_kind(file, tiff.get(), header);
  const std::uint32_t parts = TIFFIsTiled(tiff.get()) ? TIFFNumberOfTiles(tiff.get()) : TIFFNumberOfStrips(tiff.get());
  for (std::uint32_t i = 0; i < parts && i < 1 << 20; ++i) {
    const std::uint64_t begin = TIFFGetStrileOffset(tiff.get(), i), count = TIFFGetStrileByteCount(tiff.get(), i);
    file.require(begin <= file.all().size() && count <= file.all().size() - begin, "is not whole: it ends after ",
                 file.all().size(), " bytes");
  }
  return header.turned() ? Size2(header.size.width, header.size.height) : header.size;
}

// The picture's samples as they lie in the file: every line begins with a new byte. Where each channel has a plane of
// its own, (S, H, bytes a line), otherwise one plane for all, (1, H, bytes a line).
struct Samples {
  std::size_t bytes_a_line = 0;
  Index height = 0;
  std::vector<std::uint8_t> bytes;
  const std::uint8_t* line(Index plane, Index y) const {
    return bytes.data() + static_cast<std::size_t>(plane * height + y) * bytes_a_line;
  }
};

Samples read_samples(const CodecFile& file, const Source& source, TIFF* tiff, const Header& header) {
  const auto check_done = [&](bool done) {
    if (!done) file.cannot_be_decoded(source.complaint);
  };
  const Index planes = header.planar == PLANARCONFIG_SEPARATE ? header.samples : 1;
  Samples samples;
  samples.height = header.size.height;
  samples.bytes_a_line = static_cast<std::size_t>(TIFFScanlineSize(tiff));
  const std::size_t expected =
      (static_cast<std::size_t>(header.size.width) * header.bits * (planes > 1 ? 1 : header.samples) + 7) / 8;
  file.require(samples.bytes_a_line == expected, "is a TIFF whose lines are packed in an unusual way");
  samples.bytes.resize(static_cast<std::size_t>(planes * samples.height) * samples.bytes_a_line);

  const bool tiled = TIFFIsTiled(tiff);
  // The rows and bytes of a part: a tile, or a strip as wide as the picture.
  const auto rows = static_cast<Index>(tiled ? field<std::uint32_t>(tiff, TIFFTAG_TILELENGTH)
                                             : field<std::uint32_t>(tiff, TIFFTAG_ROWSPERSTRIP));
  const auto width = tiled ? static_cast<std::size_t>(TIFFTileRowSize(tiff)) : samples.bytes_a_line;
  const tmsize_t part_size = tiled ? TIFFTileSize(tiff) : TIFFStripSize(tiff);
  check_done(rows > 0 && width > 0 && part_size > 0);
  file.require(static_cast<std::size_t>(part_size) <= std::max<std::size_t>(4 * samples.bytes.size(), 1 << 24),
               "is a TIFF with parts of ", part_size, " bytes, which is more than there are pixels");
  std::vector<std::uint8_t> part(static_cast<std::size_t>(part_size));
  for (Index plane = 0; plane < planes; ++plane)
    for (Index y = 0; y < samples.height; y += rows)
      for (std::size_t x = 0; x < samples.bytes_a_line; x += width) {
        const auto column =
            tiled ? static_cast<std::uint32_t>(x / width * field<std::uint32_t>(tiff, TIFFTAG_TILEWIDTH)) : 0;
        const auto row = static_cast<std::uint32_t>(y);
        const auto sample = static_cast<std::uint16_t>(plane);
        const Index here = std::min(rows, samples.height - y);
        const tmsize_t got =
            tiled ? TIFFReadEncodedTile(tiff, TIFFComputeTile(tiff, column, row, 0, sample), part.data(), part_size)
                  : TIFFReadEncodedStrip(tiff, TIFFComputeStrip(tiff, row, sample), part.data(), part_size);
        check_done(got >= static_cast<tmsize_t>(static_cast<std::size_t>(here) * width));
        const std::size_t count = std::min(width, samples.bytes_a_line - x);
        for (Index i = 0; i < here; ++i)
          std::copy_n(part.begin() + i * static_cast<Index>(width), count,
                      samples.bytes.begin() +
                          (plane * samples.height + y + i) * static_cast<Index>(samples.bytes_a_line) +
                          static_cast<Index>(x));
      }
  return samples;
}

Pixels decode_tiff(CodecFile file, Size2 size) {
  Source source{file.all()};
  const Tiff owner = open(source);
  TIFF* const tiff = owner.get();
  const Header header = read_header(file, source, tiff);
  const int bits = header.bits, photometric = header.photometric;
  const bool rgb = is_rgb(header), cmyk = photometric == PHOTOMETRIC_SEPARATED, few_bits = has_few_bits(header);
  const bool palette = photometric == PHOTOMETRIC_PALETTE;
  const int channels = channels_of(header);
  check_kind(file, tiff, header);
  file.require((header.turned() ? Size2(header.size.width, header.size.height) : header.size) == size,
               "is damaged: it has two sizes");
  if (photometric == PHOTOMETRIC_YCBCR) TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);

  const Samples samples = read_samples(file, source, tiff, header);
  Pixels pixels(header.size, rgb || cmyk ? 3 : 1);
  std::vector<std::uint8_t> line(static_cast<std::size_t>(header.size.width * channels));
  for (Index y = 0; y < header.size.height; ++y) {
    const bool planes = header.planar == PLANARCONFIG_SEPARATE;
    if (few_bits) {
      unpack_bits(samples.line(0, y), bits, header.size.width, line.data());
    } else {
      const Index step = planes ? 1 : header.samples, bytes = bits / 8;
      for (Index x = 0; x < header.size.width; ++x)
        for (Index c = 0; c < channels; ++c) {
          const std::uint8_t* sample = samples.line(planes ? c : 0, y) + (x * step + (planes ? 0 : c)) * bytes;
          std::uint16_t wide = 0;  // in this machine's order
          if (bytes == 2) std::memcpy(&wide, sample, 2);
          line[static_cast<std::size_t>(x * channels + c)] =
              bytes == 2 ? static_cast<std::uint8_t>(wide >> 8) : *sample;
        }
    }
    if (is_grey(header))
      for (std::uint8_t& level : line) {
        level = static_cast<std::uint8_t>(level * 255 / ((1 << bits) - 1));
        if (photometric == PHOTOMETRIC_MINISWHITE) level = static_cast<std::uint8_t>(255 - level);
      }
    if (cmyk) {
      for (Index x = 0; x < header.size.width; ++x)
        cmyk_to_rgb(&line[static_cast<std::size_t>(4 * x)], pixels.line(y) + 3 * x);
    } else {
      std::copy(line.begin(), line.end(), pixels.line(y));
    }
  }
  if (palette) {
    std::uint16_t *red = nullptr, *green = nullptr, *blue = nullptr;
    file.require(TIFFGetField(tiff, TIFFTAG_COLORMAP, &red, &green, &blue) == 1, "is damaged: it has no colours");
    Palette colors{};
    for (std::size_t i = 0; i < std::size_t{1} << bits; ++i)
      colors[i] = {static_cast<std::uint8_t>(red[i] >> 8), static_cast<std::uint8_t>(green[i] >> 8),
                   static_cast<std::uint8_t>(blue[i] >> 8)};
    pixels = look_up(colors, pixels);
  }
  return upright(std::move(pixels), header.orientation);  // notes or not: as Pillow
}

}  // namespace

const Codec tiff_codec{
    "TIFF",
    [](CodecFile::Bytes file) {
      const auto begins_with = [&](const char* text) {
        return file.size() >= 8 && std::memcmp(file.data(), text, 4) == 0;
      };
      return begins_with("II*\0") || begins_with("MM\0*") || begins_with("II+\0") || begins_with("MM\0+");
    },
    check_tiff,
    decode_tiff,
    true,
};

}  // namespace bobbin
