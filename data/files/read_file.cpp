#include "data/files/read_file.h"

#include <cerrno>
#include <fstream>
#include <system_error>

#include "tensor/check.h"

namespace bobbin {

std::vector<std::uint8_t> read_file(const char* op, const std::filesystem::path& path, std::uintmax_t most) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  check(fs::exists(status), op, path, " cannot be opened: ", error.message());
  check(fs::is_regular_file(status), op, path, " is a folder or a device, expected a file");  // a pipe may never end
  const std::uintmax_t size = fs::file_size(path, error);
  check(!error && size > 0, op, path, " is empty");
  check(size <= most, op, path, " has ", size, " bytes, expected at most ", most);
  std::vector<std::uint8_t> bytes(size);
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  check(file.good(), op, path, " cannot be read: ", std::generic_category().message(errno));
  return bytes;
}

}  // namespace bobbin
