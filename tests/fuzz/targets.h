#pragma once
#include <zlib.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "data/idx.h"
#include "data/image_file.h"
#include "data/safetensors.h"
#include "optim/checkpoint.h"
#include "optim/metrics.h"
#include "tests/data/files.h"

/// Every reader, as something to throw bytes at: whatever they are, it takes them or throws one sentence.
namespace bobbin::test {

struct FuzzTarget {
  std::string name;
  void (*read)(const TempFolder& folder, const Bytes& bytes);
  /// Memory that a byte of the file may cost, in bytes. Two; more only where the file is packed, and deflate packs
  /// up to 1032 to 1.
  std::size_t memory_per_byte = 2;
};

/// What else a reader may take, however small the file: buffers and steps of 1 MB, the nodes of a small map.
constexpr std::size_t fuzz_memory = 4 << 20;

/// Lets only those errors pass that are made for people: an Error, one line, not endless.
template <class F>
void takes_or_refuses(const F& f) {
  const std::string error = error_of(f);
  if (error.size() >= 1000 || contains(error, "\n")) throw std::logic_error("not one short line: " + error);
}

/// The PNG with the checksums that belong to its chunks; made-up ones would keep readers from what is in them.
inline Bytes with_checksums(Bytes png) {
  const auto number = [&](std::size_t at) {
    return std::uint32_t{png[at]} << 24 | std::uint32_t{png[at + 1]} << 16 | std::uint32_t{png[at + 2]} << 8 |
           png[at + 3];
  };
  for (std::size_t at = 8; at + 12 <= png.size() && number(at) <= png.size() - at - 12;) {
    const std::size_t end = at + 8 + number(at);
    const auto crc = static_cast<std::uint32_t>(crc32_z(0, png.data() + at + 4, end - at - 4));
    for (std::size_t i = 0; i < 4; ++i) png[end + i] = static_cast<std::uint8_t>(crc >> (24 - 8 * i));
    at = end + 4;
  }
  return png;
}

inline const std::vector<FuzzTarget>& fuzz_targets() {
  static const std::vector<FuzzTarget> all{
      {"idx",
       [](const TempFolder& folder, const Bytes& bytes) {
         const auto path = write_file(folder / "x", bytes);
         takes_or_refuses([&] { read_idx(path); });
       },
       3 * 1032},
      {"safetensors",
       [](const TempFolder& folder, const Bytes& bytes) {
         const auto path = write_file(folder / "x", bytes);
         takes_or_refuses([&] { read_safetensors(path); });
       }},
      {"checkpoint",
       [](const TempFolder& folder, const Bytes& bytes) {
         const auto path = write_file(folder / "x", bytes);
         takes_or_refuses([&] { read_checkpoint(path); });
       }},
      {"picture",
       [](const TempFolder& folder, const Bytes& bytes) {
         const bool png = bytes.size() > 8 && bytes[1] == 'P';
         for (const Bytes& content : {bytes, png ? with_checksums(bytes) : bytes}) {
           const auto path = write_file(folder / "x", content);
           for (const Index channels : {1, 3}) takes_or_refuses([&] { read_image(path, channels); });
         }
       },
       16 * 8 * 1032},  // 8 pixels a byte, each of up to 16 bytes on the way
      {"metrics",
       [](const TempFolder& folder, const Bytes& bytes) {
         const auto path = write_file(folder / "x", bytes);
         takes_or_refuses([&] { read_metrics(path); });
       }},
  };
  return all;
}

}  // namespace bobbin::test
