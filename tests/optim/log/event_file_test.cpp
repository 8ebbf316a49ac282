#include "optim/log/event_file.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// What TensorBoard would read, by a decoder that shares nothing with the writer.
struct Event {
  double wall_time = 0;
  std::uint64_t step = 0;
  std::string file_version;
  std::vector<std::pair<std::string, float>> scalars;
};

// CRC-32C bit by bit, from its definition: division of polynomials over GF(2).
std::uint32_t slow_crc32c(const std::string& bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const char byte : bytes)
    for (int bit = 0; bit < 8; ++bit) {
      const bool one = ((crc ^ static_cast<std::uint32_t>(static_cast<unsigned char>(byte) >> bit)) & 1) != 0;
      crc = (crc >> 1) ^ (one ? 0x82f63b78 : 0);
    }
  return crc ^ 0xffffffff;
}

std::uint32_t masked(std::uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8; }

class Bytes {
 public:
  explicit Bytes(std::string bytes) : bytes_(std::move(bytes)) {}
  bool empty() const { return bytes_.empty(); }
  std::string take(std::size_t count) {
    REQUIRE(count <= bytes_.size());
    const std::string taken = bytes_.substr(0, count);
    bytes_.erase(0, count);
    return taken;
  }
  template <class Number>
  Number number() {
    Number value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = number<std::uint8_t>();
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
  }

 private:
  std::string bytes_;
};

std::pair<std::string, float> decode_value(Bytes bytes) {
  std::pair<std::string, float> value;
  while (!bytes.empty()) switch (bytes.number<std::uint8_t>()) {
      case 1 << 3 | 2:
        value.first = bytes.take(bytes.varint());
        break;
      case 2 << 3 | 5:
        value.second = bytes.number<float>();
        break;
      default:
        FAIL("unknown field");
    }
  return value;
}

Event decode_event(Bytes bytes) {
  Event event;
  while (!bytes.empty()) switch (bytes.number<std::uint8_t>()) {
      case 1 << 3 | 1:
        event.wall_time = bytes.number<double>();
        break;
      case 2 << 3 | 0:
        event.step = bytes.varint();
        break;
      case 3 << 3 | 2:
        event.file_version = bytes.take(bytes.varint());
        break;
      case 5 << 3 | 2: {
        Bytes summary(bytes.take(bytes.varint()));
        while (!summary.empty()) {
          REQUIRE(summary.number<std::uint8_t>() == (1 << 3 | 2));
          event.scalars.push_back(decode_value(Bytes(summary.take(summary.varint()))));
        }
        break;
      }
      default:
        FAIL("unknown field");
    }
  return event;
}

std::vector<Event> decode(const std::filesystem::path& path) {
  std::vector<Event> events;
  Bytes bytes(content(path));
  while (!bytes.empty()) {
    const std::string length = bytes.take(8);
    CHECK(bytes.number<std::uint32_t>() == masked(slow_crc32c(length)));
    const std::string event = bytes.take(Bytes(length).number<std::uint64_t>());
    CHECK(bytes.number<std::uint32_t>() == masked(slow_crc32c(event)));
    events.push_back(decode_event(Bytes(event)));
  }
  return events;
}

}  // namespace

TEST_CASE("crc32c: the examples of RFC 3720, B.4") {
  std::string rising(32, '\0'), falling(32, '\0');
  for (int i = 0; i < 32; ++i) rising[i] = static_cast<char>(i), falling[i] = static_cast<char>(31 - i);
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aa);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43);
  CHECK(crc32c(rising) == 0x46dd794e);
  CHECK(crc32c(falling) == 0x113fdb5c);
  CHECK(crc32c("") == 0);
  CHECK(crc32c("123456789") == 0xe3069283);
}

TEST_CASE("event_file: each record can be read as soon as it is written") {
  const TempFolder folder;
  EventFile file(folder.path());
  CHECK(file.path().filename().string().starts_with("events.out.tfevents.1"));
  std::vector<Event> events = decode(file.path());
  REQUIRE(events.size() == 1);
  CHECK(events[0].file_version == "brain.Event:2");
  CHECK(std::abs(events[0].wall_time - static_cast<double>(std::time(nullptr))) < 60);

  const std::string long_tag(300, 't');
  file.write(469, {{"train_loss", 1.867294}, {"val_acc", NAN}, {long_tag, -INFINITY}});
  file.write(Index{1} << 40, {});
  file.write(0, {{"", 0}});
  file.write(127, {});
  file.write(128, {});
  events = decode(file.path());
  REQUIRE(events.size() == 6);
  CHECK(events[1].step == 469);
  REQUIRE(events[1].scalars.size() == 3);
  CHECK(events[1].scalars[0] == std::pair<std::string, float>("train_loss", 1.867294f));
  CHECK(events[1].scalars[1].first == "val_acc");
  CHECK(std::isnan(events[1].scalars[1].second));
  CHECK(events[1].scalars[2] == std::pair<std::string, float>(long_tag, -INFINITY));
  CHECK(events[2].step == std::uint64_t{1} << 40);
  CHECK(events[2].scalars.empty());
  CHECK(events[3].scalars.size() == 1);
  CHECK(events[4].step == 127);
  CHECK(events[5].step == 128);
}

TEST_CASE("event_file: a second file in the same second has a name of its own, that sorts behind the first") {
  const TempFolder folder;
  EventFile first(folder.path()), second(folder.path());
  CHECK(first.path() < second.path());
  first.write(1, {{"x", 1}});
  CHECK(decode(first.path()).size() == 2);
  CHECK(decode(second.path()).size() == 1);
}

TEST_CASE("event_file: what a resumed run will write again goes, from all files of the folder, and nothing else") {
  const TempFolder folder;
  EventFile first(folder.path()), second(folder.path());
  for (int step = 1; step <= 200; ++step) first.write(step, {{"loss", 1. / step}, {"lr", 0.1}});
  first.write(200, {{"train_loss", 1}, {"val_loss", 2}, {"val_acc", 0.5}});
  for (int step = 201; step <= 300; ++step) second.write(step, {{"loss", 1. / step}});
  const std::string before = content(first.path());
  std::ofstream(folder / "events.out.tfevents.1.other") << std::string(100, 'x');
  std::ofstream(folder / "events.out.tfevents.2.empty");
  const auto last = [&] { return decode(first.path()).back(); };

  EventFile::rewind(folder.path(), 250, "val_loss");
  CHECK(content(first.path()) == before);
  CHECK(decode(second.path()).size() == 1 + 50);
  EventFile::rewind(folder.path(), 200, "");  // the epoch that ends there is done
  CHECK(content(first.path()) == before);
  CHECK(decode(second.path()).size() == 1);
  EventFile::rewind(folder.path(), 200, "val_loss");  // it is not
  CHECK(last().step == 200);
  CHECK(last().scalars.front().first == "loss");
  EventFile::rewind(folder.path(), 150, "val_loss");
  CHECK(last().step == 150);
  CHECK(decode(first.path()).size() == 1 + 150);
  CHECK(content(folder / "events.out.tfevents.1.other") == std::string(100, 'x'));

  // Killed as it wrote: half a record.
  std::filesystem::resize_file(first.path(), content(first.path()).size() - 5);
  EventFile::rewind(folder.path(), 150, "");
  CHECK(last().step == 149);
}

TEST_CASE("event_file: any bytes are left as they are, or cut") {
  for (std::size_t size = 0; size < 60; ++size) {
    const TempFolder folder;
    EventFile file(folder.path());
    file.write(3, {{"loss", 1}});
    std::string bytes = content(file.path());
    bytes[size] = static_cast<char>(bytes[size] ^ 0x41);
    std::ofstream(file.path()) << bytes;
    EventFile::rewind(folder.path(), 2, "");
    CHECK(bytes.starts_with(content(file.path())));
  }
}

TEST_CASE("event_file: what cannot be written") {
  const TempFolder folder;
  CHECK(fails([&] { EventFile(folder / "no"); }, {(folder / "no").string(), "No such file or directory"}));

  // A disk that is full: here, a limit on the size of files.
  EventFile file(folder.path());
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{200, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto fill = [&] {
    for (int i = 0; i < 100; ++i) file.write(i, {{"train_loss", 1}});
  };
  const std::string error = error_of(fill);
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(contains(error, file.path().string()));
  CHECK(contains(error, "File too large"));
}
