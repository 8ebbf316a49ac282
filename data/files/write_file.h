#pragma once
#include <filesystem>
#include <string_view>

namespace bobbin {

/// Writes a file so that at any moment, a power failure included, either the old or the whole new one is there: beside
/// it under another name, forced to the disk, then renamed.
/// Throws Error with the path and the system's reason (no space left, permission denied, no such
/// directory); what was there before stays.
void write_file(const std::filesystem::path& path, std::string_view content);

/// For a program that writes a file when its work is done: throws Error now if write_file() could not begin it, for
/// want of the folder or the right to write there, or because there is a folder of that name. Leaves nothing behind.
void check_can_write(const std::filesystem::path& path);

/// Makes a folder, and those above it that are missing; one that is there stays. Throws Error with the path and the
/// system's reason.
void make_folder(const std::filesystem::path& path);

}  // namespace bobbin
