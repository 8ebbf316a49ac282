#pragma once
#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "data/files/idx.h"
#include "data/files/safetensors.h"
#include "data/images/codec.h"
#include "data/sets/cifar10.h"
#include "data/sets/folder.h"
#include "nn/pretrained/model_file.h"
#include "optim/log/metrics.h"
#include "optim/training/checkpoint.h"
#include "tests/data/files.h"

/// Every reader, as something to throw bytes at: whatever they are, it takes them or throws one sentence.
namespace bobbin::test {

struct FuzzTarget {
  std::string name;
  bool (*read)(const TempFolder& folder, const Bytes& bytes);  ///< whether it took them
  /// Memory that a byte of the file may cost, in bytes. Two; more only where the file is packed, and deflate packs
  /// up to 1032 to 1.
  std::size_t memory_per_byte = 2;
};

/// What else a reader may take for the files of a few kB that fuzzing makes: steps of 1 MB, tables of names. For larger
/// ones the readers have limits of their own, which their tests look at: 100,000 entries of a safetensors header, 16 MB
/// of a string in it, 2,000,000 parts of JSON.
constexpr std::size_t fuzz_memory = 4 << 20;

/// Whether f takes what it reads. Lets only those errors pass that are made for people: an Error, one line, not
/// endless.
template <class F>
bool takes(const F& f) {
  const std::string error = error_of(f);
  if (error.size() >= 1000 || contains(error, "\n")) throw std::logic_error("not one short line: " + error);
  return error.empty();
}

/// To write over a file makes some systems wait for the disk.
inline std::filesystem::path write_anew(const std::filesystem::path& path, const Bytes& bytes) {
  std::filesystem::remove(path);
  return write_file(path, bytes);
}

/// What stands before the first "\n----\n" in the bytes, and what behind: two files in one input.
inline std::pair<Bytes, Bytes> in_two(const Bytes& bytes) {
  const std::string between = "\n----\n";
  const auto at = std::search(bytes.begin(), bytes.end(), between.begin(), between.end());
  return {{bytes.begin(), at}, at == bytes.end() ? Bytes() : Bytes(at + static_cast<int>(between.size()), bytes.end())};
}

/// Writes a folder of files with this content: each line of the list is the path of one. Those that would lead out of
/// the folder, or are not possible, are left out.
inline void write_files(const std::filesystem::path& folder, const Bytes& list, const Bytes& content) {
  std::istringstream lines(std::string(list.begin(), list.end()));
  int files = 0;
  for (std::string line; std::getline(lines, line) && files < 32; ++files) {
    const std::filesystem::path path = line.substr(0, line.find('\0'));
    if (path.empty() || path.is_absolute() || contains(line, "..")) continue;
    std::error_code impossible;
    std::filesystem::create_directories((folder / path).parent_path(), impossible);
    write_file(folder / path, content);
  }
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

inline bool read_picture(const TempFolder& folder, const Bytes& bytes) {
  const bool png = bytes.size() > 8 && bytes[1] == 'P';
  for (const Bytes& content : {bytes, png ? with_checksums(bytes) : bytes}) {
    const auto path = write_anew(folder / "x", content);
    const bool sound = takes([&] { check_picture(path); });
    takes([&] { read_image(path, 1); });
    if (takes([&] { read_image(path, 3); })) {
      if (!sound) throw std::logic_error("a picture was read that the check refuses");
      return true;
    }
  }
  return false;
}

inline const std::vector<FuzzTarget>& fuzz_targets() {
  static const std::vector<FuzzTarget> all = [] {
    std::vector<FuzzTarget> targets{
        {"idx",
         [](const TempFolder& folder, const Bytes& bytes) {
           const auto path = write_anew(folder / "x", bytes);
           return takes([&] { read_idx(path); });
         },
         3 * 1032},
        {"safetensors",
         [](const TempFolder& folder, const Bytes& bytes) {
           const auto path = write_anew(folder / "x", bytes);
           return takes([&] { read_safetensors(path); });
         }},
        {"checkpoint",
         [](const TempFolder& folder, const Bytes& bytes) {
           const auto path = write_anew(folder / "x", bytes);
           return takes([&] { read_checkpoint(path); });
         }},
        {"model",
         [](const TempFolder& folder, const Bytes& bytes) {
           const auto [weights, configs] = in_two(bytes);
           const auto [config, preprocessor] = in_two(configs);
           const auto path = write_anew(folder / "x", weights);
           for (const auto& [name, text] :
                {std::pair{"config.json", config}, {"preprocessor_config.json", preprocessor}}) {
             std::filesystem::remove(folder / name);
             if (!text.empty()) write_anew(folder / name, text);
           }
           takes([&] { read_classifier(path, {.weights = "vit_tiny_patch16_224"}); });
           ModelFileOptions options{.num_heads = 1, .img_size = Size2{4, 6}};  // enough for ours and for timm's config
           if (takes([&] { read_classifier(path, options); })) return true;
           options = {.num_heads = 1,
                      .img_size = Size2{2},
                      .interpolation = Interpolation::bilinear,
                      .crop_pct = 0,
                      .mean = std::vector<real>{0},
                      .std = std::vector<real>{1}};
           if (takes([&] { read_classifier(path, options); })) return true;
           options.num_heads = 0;  // which are for a ViT alone
           return takes([&] { read_classifier(path, options); });
         }},
        {"picture", read_picture, 16 * 8 * 1032},  // 8 pixels a byte, each of up to 16 bytes on the way
        {"cifar10",
         [](const TempFolder& folder, const Bytes& bytes) {
           const auto [names, images] = in_two(bytes);
           write_anew(folder / "batches.meta.txt", names);
           for (const char* file : {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                                    "data_batch_5.bin", "test_batch.bin"})
             write_anew(folder / file, images);
           return takes([&] { cifar10(folder.path()); });
         },
         2 * 6},
        {"image_folder",
         [](const TempFolder& folder, const Bytes& bytes) {
           const auto [list, picture] = in_two(bytes);
           const auto root = folder / "pictures";
           std::filesystem::create_directory(root);
           write_files(root, list, picture);
           const bool taken = takes([&] {
             const TrainAndTest data = image_folder(root);
             for (const ImageDataset* part : {&data.train, &data.test})
               for (Index i = 0; i < part->count(); ++i) part->image(i);
           });
           std::filesystem::remove_all(root);
           return taken;
         },
         16 * 8 * 1032},
        {"metrics",
         [](const TempFolder& folder, const Bytes& bytes) {
           const auto path = write_anew(folder / "x", bytes);
           return takes([&] { read_metrics(path); });
         }},
    };
    // Where the build reads them. A few bytes may paint 2^24 pixels, each of up to 32 bytes on the way.
    for (const char* name : {"webp", "tiff"})
      if (has_picture_name(std::string("x.") + name)) targets.push_back({name, read_picture, std::size_t{1} << 29});
    return targets;
  }();
  return all;
}

}  // namespace bobbin::test
