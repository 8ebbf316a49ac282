// WebP, by libwebp: the first picture of an animation, on its canvas.
#include <webp/decode.h>
#include <webp/demux.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "data/codecs/codecs.h"

namespace bobbin {
namespace {

constexpr std::size_t before_chunks = 12;  // bytes: RIFF, the size of the rest but for 8 bytes, WEBP

Size2 check_webp(CodecFile file) {
  CodecFile header = file;
  header.take(4);
  file.take(8 + header.little_endian(4));
  WebPBitstreamFeatures features;
  file.require(WebPGetFeatures(file.all().data(), file.all().size(), &features) == VP8_STATUS_OK,
               "is damaged: it has no header of a WebP picture");
  return {features.height, features.width};
}

Pixels decode_webp(CodecFile file, Size2 size) {
  const WebPData data{file.all().data(), file.all().size()};
  WebPAnimDecoderOptions options;
  WebPAnimDecoderOptionsInit(&options);
  const std::unique_ptr<WebPAnimDecoder, void (*)(WebPAnimDecoder*)> decoder(WebPAnimDecoderNew(&data, &options),
                                                                             WebPAnimDecoderDelete);
  WebPAnimInfo info{};
  std::uint8_t* rgba = nullptr;
  int time = 0;
  file.require(decoder && WebPAnimDecoderGetInfo(decoder.get(), &info) &&
                   Size2(info.canvas_height, info.canvas_width) == size &&
                   WebPAnimDecoderGetNext(decoder.get(), &rgba, &time),
               "cannot be decoded: it is damaged");
  Pixels pixels(size, 3);
  std::uint8_t* out = pixels.bytes.data();
  for (Index i = 0; i < size.height * size.width; ++i) out = std::copy_n(rgba + 4 * i, 3, out);
  return pixels;
}

Notes notes_of_webp(CodecFile file) {
  const WebPData data{file.all().data(), file.all().size()};
  const std::unique_ptr<WebPDemuxer, void (*)(WebPDemuxer*)> demuxer(WebPDemux(&data), WebPDemuxDelete);
  Notes notes;
  const auto find = [&](const char* name, auto take) {
    WebPChunkIterator chunk;
    if (!demuxer || !WebPDemuxGetChunk(demuxer.get(), name, 1, &chunk)) return;
    take(chunk.chunk.bytes, chunk.chunk.bytes + chunk.chunk.size);
    WebPDemuxReleaseChunkIterator(&chunk);
  };
  find("EXIF", [&](auto begin, auto end) { notes.exif.emplace(begin, end); });
  find("XMP ", [&](auto begin, auto end) { notes.xmp.assign(begin, end); });
  return notes;
}

}  // namespace

const Codec webp_codec{
    "WebP",
    [](CodecFile::Bytes file) {
      return file.size() >= before_chunks && std::memcmp(file.data(), "RIFF", 4) == 0 &&
             std::memcmp(file.data() + 8, "WEBP", 4) == 0;
    },
    check_webp,
    decode_webp,
    true,
    notes_of_webp,
};

}  // namespace bobbin
