#include "optim/log/event_file.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "data/files/read_file.h"
#include "tensor/check.h"

// An event file is a sequence of records, all numbers with the lowest byte first (TensorFlow's TFRecord):
//     length of the event (8 bytes), masked CRC-32C of these 8 bytes (4), event, masked CRC-32C of the event (4).
// An event is a protocol buffer (tensorflow/core/util/event.proto, summary.proto):
//     Event   { 1: double wall_time;  2: int64 step;  3: string file_version;  5: Summary summary }
//     Summary { 1: repeated Value value },  Value { 1: string tag;  2: float simple_value }
// A protocol buffer is a sequence of fields, each begun by 8·number + type, where the type says what follows:
//     0: a varint, seven bits a byte, the lowest first, the high bit set on all but the last byte;
//     1: 8 bytes;  2: a length as varint and so many bytes;  5: 4 bytes.

namespace bobbin {
namespace {

static_assert(std::endian::native == std::endian::little);

template <class Number>
std::string bytes_of(Number number) {
  std::string bytes(sizeof number, '\0');
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

std::string varint(std::uint64_t number) {
  std::string bytes;
  for (; number >= 0x80; number >>= 7) bytes += static_cast<char>(number | 0x80);
  return bytes + static_cast<char>(number);
}

std::string key(unsigned field, unsigned type) { return varint(8 * field + type); }
std::string field(unsigned number, std::int64_t value) { return key(number, 0) + varint(std::uint64_t(value)); }
std::string field(unsigned number, double value) { return key(number, 1) + bytes_of(value); }
std::string field(unsigned number, float value) { return key(number, 5) + bytes_of(value); }
std::string field(unsigned number, const std::string& bytes) { return key(number, 2) + varint(bytes.size()) + bytes; }

// A CRC of bytes that hold a CRC would be weak; so it is stored turned and shifted.
std::string masked_crc32c(std::string_view bytes) { return bytes_of(std::rotr(crc32c(bytes), 15) + 0xa282ead8u); }

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string host() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

// The remainder of each byte, and of the 24 zero bits behind it, by Castagnoli's polynomial with its bits reversed.
constexpr auto remainders = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t r = byte;
    for (int bit = 0; bit < 8; ++bit) r = r >> 1 ^ (r & 1 ? 0x82f63b78u : 0);
    table[byte] = r;
  }
  return table;
}();

// A number in the bytes at `at`, which are there.
std::uint64_t number_at(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint64_t number = 0;
  std::memcpy(&number, bytes.data() + at, size);
  return number;
}

// The step of an event as write() makes it: after the key, 8 bytes of time and the next key. -1 for any other.
Index step_of(std::string_view event) {
  if (event.size() < 11 || event[9] != key(2, 0)[0]) return -1;
  std::uint64_t step = 0;
  for (std::size_t at = 10, shift = 0; at < event.size() && shift < 63; ++at, shift += 7) {
    step |= std::uint64_t(event[at] & 0x7f) << shift;
    if ((event[at] & 0x80) == 0) return static_cast<Index>(step);
  }
  return -1;
}

// How many bytes of the file are records before the first that goes. What is no record stays, too.
std::size_t kept(std::string_view bytes, Index step, const std::string& tag) {
  std::size_t at = 0;
  while (bytes.size() - at >= 16) {
    const std::string_view length = bytes.substr(at, 8);
    if (masked_crc32c(length) != bytes.substr(at + 8, 4)) return bytes.size();
    const std::uint64_t size = number_at(bytes, at, 8);
    if (size > bytes.size() - at - 16) break;  // killed as it was written
    const std::string_view event = bytes.substr(at + 12, size);
    const Index its_step = step_of(event);
    const bool has_tag = !tag.empty() && event.find(field(1, tag)) != event.npos;
    if (its_step > step || (its_step == step && has_tag)) break;
    at += size + 16;
  }
  return at;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = ~0u;
  for (const char byte : bytes) crc = crc >> 8 ^ remainders[(crc ^ static_cast<unsigned char>(byte)) & 0xff];
  return ~crc;
}

void EventFile::rewind(const std::filesystem::path& folder, Index step, const std::string& tag) {
  namespace fs = std::filesystem;
  constexpr std::uintmax_t most = std::uintmax_t{1} << 32;
  std::error_code error;
  std::vector<fs::path> files;
  for (fs::directory_iterator file(folder, error), end; !error && file != end; file.increment(error))
    if (file->path().filename().string().starts_with("events.out.tfevents.")) files.push_back(file->path());
  for (const fs::path& path : files) {
    if (fs::is_empty(path, error)) continue;
    const std::vector<std::uint8_t> bytes = read_file("EventFile", path, most);
    const std::size_t keep = kept({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, step, tag);
    if (keep < bytes.size()) fs::resize_file(path, keep, error);
    check(!error, "EventFile", "cannot shorten ", path.string(), ": ", error.message());
  }
}

EventFile::EventFile(const std::filesystem::path& folder) {
  // A name that is taken belongs to a process that began in the same second: the next second is free.
  for (auto seconds = static_cast<long>(wall_time()); file_ == nullptr; ++seconds) {
    path_ = folder / ("events.out.tfevents." + std::to_string(seconds) + "." + host());
    file_.reset(std::fopen(path_.c_str(), "wbxe"));
    check(file_ != nullptr || errno == EEXIST, "EventFile", "cannot make ", path_.string(), ": ", std::strerror(errno));
  }
  append(field(1, wall_time()) + field(3, "brain.Event:2"));
}

void EventFile::write(Index step, const std::vector<Scalar>& scalars) {
  std::string summary;
  for (const Scalar& s : scalars) summary += field(1, field(1, s.tag) + field(2, static_cast<float>(s.value)));
  append(field(1, wall_time()) + field(2, step) + field(5, summary));
}

void EventFile::append(const std::string& event) {
  const std::string length = bytes_of(std::uint64_t{event.size()});
  const std::string record = length + masked_crc32c(length) + event + masked_crc32c(event);
  const bool written =
      std::fwrite(record.data(), 1, record.size(), file_.get()) == record.size() && std::fflush(file_.get()) == 0;
  check(written, "EventFile", "cannot write ", path_.string(), ": ", std::strerror(errno));
}

}  // namespace bobbin
