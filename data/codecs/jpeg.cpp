// JPEG, by libjpeg, which Pillow and torchvision use too. Of damaged pixels it makes what it can; where restart markers
// are out of order it finds its way back.
#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
// jpeglib.h wants the two above
#include <jpeglib.h>

#include <optional>
#include <string_view>

#include "data/codecs/codecs.h"

namespace bobbin {
namespace {

// A picture of many passes takes as many times as long; libjpeg's own script for progressive ones has ten.
constexpr int most_scans = 100;

// A JPEG is a row of segments: 0xff, a marker, and the length of what follows, itself included. Between them stand the
// packed pixels, in which 0xff is followed by 0 or by a marker from 0xd0 to 0xd7. The marker 0xd9 is the end. The size
// is in the frame (0xc0 ... 0xcf, apart from three that are something else), and 0xda begins a scan.

// The next marker, whatever stands before it; nothing at the end of the file.
std::optional<std::size_t> next_marker(CodecFile& file) {
  const CodecFile::Bytes rest = file.rest();
  const auto begin = std::find(rest.begin(), rest.end(), 0xff);
  const auto end = std::find_if(begin, rest.end(), [](std::uint8_t byte) { return byte != 0xff; });
  if (end == rest.end()) return {};
  file.take(static_cast<std::size_t>(end - rest.begin()));
  return file.byte();
}

bool stands_alone(std::size_t marker) { return marker <= 1 || (marker >= 0xd0 && marker <= 0xd8); }

struct Outline {
  Size2 size;
  bool has_end = false;
};

Outline outline(CodecFile file) {
  Outline found{Size2(0, 0)};
  Size2& size = found.size;
  file.take(2);
  for (int scans = 0;;) {
    const std::optional<std::size_t> next = next_marker(file);
    if (!next && scans > 0) return found;
    file.require(next.has_value(), "is not whole: it ends after ", file.all().size(), " bytes");
    const std::size_t marker = *next;
    if (marker == 0xd9) {
      file.require(scans > 0, "is damaged: it ends without pixels");
      found.has_end = true;
      return found;
    }
    file.require(marker != 1 || scans > 0,
                 "has a marker for temporary use (0xff 0x01) before its pixels, which is not ",
                 "read, nor does Pillow read it");
    if (stands_alone(marker)) continue;
    const std::size_t begin = file.position(), length = file.rest().size() < 2 && scans > 0 ? 0 : file.big_endian(2);
    if (scans > 0 && (length < 2 || length - 2 > file.rest().size())) continue;  // damaged pixels look like a marker
    file.require(length >= 2, "is damaged: its segment at byte ", begin, " has the length ", length);
    CodecFile segment = file;
    file.take(length - 2);
    if (marker == 0xda) file.require(++scans <= most_scans, "has more than ", most_scans, " scans, which is not read");
    if (marker < 0xc0 || marker > 0xcf || marker == 0xc4 || marker == 0xc8 || marker == 0xcc || size.height > 0)
      continue;
    file.require(length >= 8, "is damaged: its segment at byte ", begin, " has the length ", length);
    segment.byte();  // bits a channel
    size.height = static_cast<Index>(segment.big_endian(2));
    size.width = static_cast<Index>(segment.big_endian(2));
  }
}

// Of the segments 0xe1 before the pixels: Exif, which may take several, and XMP.
Notes notes_of_jpeg(CodecFile file) {
  Notes notes;
  file.take(2);
  for (auto marker = next_marker(file); marker && marker != 0xda; marker = next_marker(file)) {
    if (stands_alone(*marker)) continue;
    const CodecFile::Bytes segment = file.take(file.big_endian(2) - 2);
    const auto begins_with = [&, marker](std::string_view text) {
      return marker == 0xe1 && segment.size() >= text.size() && std::equal(text.begin(), text.end(), segment.begin());
    };
    constexpr std::string_view exif("Exif\0\0", 6), xmp("http://ns.adobe.com/xap/1.0/\0", 29);
    if (begins_with(exif)) {
      const std::ptrdiff_t again = notes.exif ? std::ssize(exif) : 0;
      if (!notes.exif) notes.exif.emplace();
      notes.exif->insert(notes.exif->end(), segment.begin() + again, segment.end());
    } else if (begins_with(xmp)) {
      notes.xmp.assign(segment.begin() + xmp.size(), segment.end());
    }
  }
  return notes;
}

// libjpeg reports an error by a function that must not return. Ours jumps back, over libjpeg's functions, to where it
// was called: to functions in which there is nothing to destroy.
struct Decoder {
  jpeg_decompress_struct info{};
  jpeg_error_mgr error{};
  jpeg_source_mgr source{};
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX] = "";

  explicit Decoder(CodecFile::Bytes file) {
    info.err = jpeg_std_error(&error);
    info.client_data = this;
    error.error_exit = [](j_common_ptr common) {
      auto* self = static_cast<Decoder*>(common->client_data);
      common->err->format_message(common, self->message);
      std::longjmp(self->jump, 1);
    };
    error.output_message = [](j_common_ptr) {};  // warnings
    source.next_input_byte = file.data();
    source.bytes_in_buffer = file.size();
    source.init_source = source.term_source = [](j_decompress_ptr) {};
    // There is no more than the file: libjpeg then stops, as if it waited.
    source.fill_input_buffer = [](j_decompress_ptr) -> boolean { return FALSE; };
    source.skip_input_data = [](j_decompress_ptr info, long count) {
      if (count <= 0) return;
      const std::size_t skipped = std::min(static_cast<std::size_t>(count), info->src->bytes_in_buffer);
      info->src->next_input_byte += skipped;
      info->src->bytes_in_buffer -= skipped;
    };
    source.resync_to_restart = jpeg_resync_to_restart;
  }
  ~Decoder() { jpeg_destroy_decompress(&info); }
  Decoder(const Decoder&) = delete;

  // False: it fails with `message`, or, where that is empty, the file ends too soon.
  bool read_header() {
    if (setjmp(jump)) return false;
    void* const self = info.client_data;
    jpeg_create_decompress(&info);  // clears all but the error manager
    info.client_data = self;
    info.src = &source;
    return jpeg_read_header(&info, TRUE) == JPEG_HEADER_OK;
  }
  bool start(J_COLOR_SPACE colors) {
    if (setjmp(jump)) return false;
    info.out_color_space = colors;
    return jpeg_start_decompress(&info);
  }
  bool read_line(std::uint8_t* line) {
    if (setjmp(jump)) return false;
    return jpeg_read_scanlines(&info, &line, 1) == 1;
  }
  bool finish() {
    if (setjmp(jump)) return false;
    jpeg_finish_decompress(&info);  // what is behind the pixels may have an error; whether it is whole is no matter
    return true;
  }
};

Pixels decode_jpeg(CodecFile file, Size2 size) {
  Decoder decoder(file.all());
  const auto check_done = [&](bool done) {
    if (done) return;
    if (*decoder.message) file.cannot_be_decoded(decoder.message);
    file.require(false, "is not whole: it ends after ", file.all().size(), " bytes");
  };
  check_done(decoder.read_header());
  const int channels = decoder.info.num_components;
  file.require(channels == 1 || channels == 3 || channels == 4, "is a JPEG of ", channels,
               " channels, expected 1, 3 or 4");
  file.require(Size2(decoder.info.image_height, decoder.info.image_width) == size, "is damaged: it has two sizes");
  check_done(decoder.start(channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK));

  Pixels pixels(size, channels == 1 ? 1 : 3);
  std::vector<std::uint8_t> cmyk(channels == 4 ? static_cast<std::size_t>(4 * size.width) : 0);
  for (Index y = 0; y < size.height; ++y) {
    check_done(decoder.read_line(channels == 4 ? cmyk.data() : pixels.line(y)));
    if (channels < 4) continue;
    for (std::uint8_t& ink : cmyk) ink = static_cast<std::uint8_t>(255 - ink);  // as Adobe writes them
    for (Index x = 0; x < size.width; ++x) cmyk_to_rgb(&cmyk[static_cast<std::size_t>(4 * x)], pixels.line(y) + 3 * x);
  }
  check_done(decoder.finish());
  return pixels;
}

}  // namespace

const Codec jpeg_codec{
    .name = "JPEG",
    .recognises =
        [](CodecFile::Bytes file) { return file.size() >= 3 && file[0] == 0xff && file[1] == 0xd8 && file[2] == 0xff; },
    .check = [](CodecFile file) { return outline(file).size; },
    .decode = decode_jpeg,
    .plain_takes_no_room = false,
    .notes = notes_of_jpeg,
    .may_lack_pixels = [](CodecFile file) { return !outline(file).has_end; },
};

}  // namespace bobbin
