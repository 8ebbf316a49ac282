#pragma once
#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <string>
#include <vector>

#include "tests/helpers.h"

namespace bobbin::test {

using Bytes = std::vector<std::uint8_t>;

inline std::filesystem::path write_file(const std::filesystem::path& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return path;
}

inline Bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The bytes as a gzip file holds them.
inline Bytes gzip(const Bytes& bytes) {
  const TempFolder folder;
  const auto path = folder / "x.gz";
  const gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
  return read_file(path);
}

/// The content of an IDX file.
inline Bytes idx(std::initializer_list<std::uint32_t> sizes, const Bytes& values) {
  Bytes file = {0, 0, 8, static_cast<std::uint8_t>(sizes.size())};
  for (const std::uint32_t size : sizes)
    for (int shift = 24; shift >= 0; shift -= 8) file.push_back(static_cast<std::uint8_t>(size >> shift));
  file.insert(file.end(), values.begin(), values.end());
  return file;
}

/// `count` bytes that look random and are the same each time.
inline Bytes noise(std::size_t count) {
  Bytes bytes(count);
  std::uint32_t state = 1;
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  return bytes;
}

/// Makes a folder with a data set of the kind of CIFAR-10: 40 images to train on, 8 to validate.
inline void write_small_cifar10(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  const Bytes pixels = noise(48 * 3072);
  for (int file = 0; file < 6; ++file) {
    Bytes records;
    for (int i = 8 * file; i < 8 * file + 8; ++i) {
      records.push_back(static_cast<std::uint8_t>(i % 10));
      records.insert(records.end(), pixels.begin() + 3072 * i, pixels.begin() + 3072 * (i + 1));
    }
    write_file(folder / (file == 5 ? "test_batch.bin" : "data_batch_" + std::to_string(file + 1) + ".bin"), records);
  }
}

}  // namespace bobbin::test
