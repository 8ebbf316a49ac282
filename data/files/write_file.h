#pragma once
#include <filesystem>
#include <string_view>

namespace bobbin {

/// Writes a file so that at any moment, a power failure included, either the old or the whole new one is there: beside
/// it under another name, FILE.PROCESS.tmp, forced to the disk, then renamed. Of several processes that write the same
/// file the last one's is there.
/// Throws Error with the path and the system's reason (no space left, permission denied, no such
/// directory); what was there before stays.
void write_file(const std::filesystem::path& path, std::string_view content);

/// For a program that writes a file when its work is done: throws Error now if write_file() could not begin it, for
/// want of the folder or the right to write there, or because there is a folder of that name. Leaves nothing behind.
void check_can_write(const std::filesystem::path& path);

/// Makes a folder, and those above it that are missing; one that is there stays. Returns whether it is new: of several
/// processes that make it at once it is new for one. Throws Error with the path and the system's reason.
bool make_folder(const std::filesystem::path& path);

}  // namespace bobbin
