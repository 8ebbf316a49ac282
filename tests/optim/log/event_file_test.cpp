#include "optim/log/event_file.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "tests/helpers.h"
#include "tests/optim/log/decode_events.h"

using namespace bobbin;
using namespace bobbin::test;

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
