#pragma once
#include <cstdint>
#include <filesystem>
#include <span>

namespace bobbin {

/// Checks before stb_image decodes a file: that it is complete, and what stb_image trusts though it should not. Both
/// throw Error, which names the file; `path` is for that only.

/// Every checksum of a PNG, up to its end.
void check_png(std::span<const std::uint8_t> bytes, const std::filesystem::path& path);
/// The segments of a JPEG, up to its end.
void check_jpeg(std::span<const std::uint8_t> bytes, const std::filesystem::path& path);

}  // namespace bobbin
