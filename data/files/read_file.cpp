#include "data/files/read_file.h"

#include <cerrno>
#include <fstream>
#include <system_error>

#include "tensor/check.h"

namespace bobbin {

void check_is_file(const char* op, const std::filesystem::path& path) {
  using Type = std::filesystem::file_type;
  std::error_code error;
  const Type type = std::filesystem::status(path, error).type();
  check(type != Type::not_found && type != Type::none, op, path, " cannot be opened: ", error.message());
  const char* const what = type == Type::directory ? "a folder"
                           : type == Type::fifo    ? "a pipe"
                           : type == Type::socket  ? "a socket"
                                                   : "a device";
  check(type == Type::regular, op, path, " is ", what, ", expected a file");
}

std::vector<std::uint8_t> read_file(const char* op, const std::filesystem::path& path, std::uintmax_t most) {
  check_is_file(op, path);
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
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
