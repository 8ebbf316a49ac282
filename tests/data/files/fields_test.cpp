#include "data/files/fields.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;
using nlohmann::json;

namespace {

enum class Colour { red, green };

struct Config {
  bool on = false;
  int count = 3;
  Index width = 512;
  std::uint64_t seed = 0;
  float rate = 0.1F;
  double share = 0.25;
  std::string word = "a";
  Size2 size = 96, other = {96, 64};
  std::vector<real> mean{};
  Colour colour = Colour::green;

  void fields(Fields& f) {
    f("on", on, {.help = "a switch"});
    f("count", count, {.low = 1, .high = 10});
    f("num_hiddens", width, {.low = 1, .high = 1 << 20, .fixed = true});
    f("seed", seed, {.low = 0, .high = 1e15});
    f("rate", rate, {.low = 0, .high = 1});
    f("share", share, {.low = 0, .high = 1, .flag = "crop-pct"});
    f("word", word, {.choices = {"a", "b"}, .in_file = false});
    f("size", size, {.low = 1, .high = 4096});
    f("other", other, {.low = 1, .high = 4096, .flag = ""});
    f("mean", mean, {.low = -1e6, .high = 1e6});
    f("colour", colour, {.choices = {"red", "green"}});
  }
};

}  // namespace

TEST_CASE("fields: a config as JSON, and read again") {
  Config config;
  CHECK(
      to_text(to_json(fields_of(config))) ==
      R"({"on":false,"count":3,"num_hiddens":512,"seed":0,"rate":0.1,"share":0.25,"size":96,"other":[96,64],"mean":[],)"
      R"("colour":"green"})");
  config = {.on = true,
            .count = 10,
            .width = 7,
            .seed = 123456789012345,
            .rate = 1e-7F,
            .share = 1.0 / 3,
            .size = {3, 4},
            .other = 5,
            .mean = {real(0.5), real(-0.1)},
            .colour = Colour::red};
  const json written = json::parse(to_text(to_json(fields_of(config))));
  Config again;
  read_json(fields_of(again), {written, "config"});
  CHECK(again.on);
  CHECK(again.count == 10);
  CHECK(again.width == 7);
  CHECK(again.seed == 123456789012345);
  CHECK(again.rate == 1e-7F);
  CHECK(again.share == 1.0 / 3);
  CHECK(again.size == Size2(3, 4));
  CHECK(again.other == Size2(5));
  CHECK(again.mean == config.mean);
  CHECK(again.colour == Colour::red);
}

TEST_CASE("fields: what a value cannot be is said") {
  Config config;
  const json good = json::parse(to_text(to_json(fields_of(config))));
  const auto complaint = [&](const char* key, const json& value) {
    json changed = good;
    changed[key] = value;
    return error_of([&] { read_json(fields_of(config), {changed, "config.json"}); });
  };
  CHECK(complaint("on", 1) == "[fields] config.json.on should be true or false, got 1");
  CHECK(complaint("count", 0) == "[fields] config.json.count should be a whole number from 1 to 10, got 0");
  CHECK(complaint("count", 11) != "");
  CHECK(complaint("count", 2.5) != "");
  CHECK(complaint("count", -1) != "");
  CHECK(complaint("count", 1e30) != "");
  CHECK(complaint("num_hiddens", "wide") ==
        "[fields] config.json.num_hiddens should be a whole number from 1 to 1048576, got \"wide\"");
  CHECK(complaint("rate", nullptr) == "[fields] config.json.rate should be a number from 0 to 1, got null");
  CHECK(complaint("rate", 1.5) != "");
  CHECK(complaint("size", {1, 2, 3}) ==
        "[fields] config.json.size should be a number, or height and width, got [1,2,3]");
  CHECK(complaint("size", {1, 0}) != "");
  CHECK(complaint("size", json::array()) != "");
  CHECK(complaint("mean", {0.5, "x"}) != "");
  CHECK(complaint("colour", "blue") == "[fields] config.json.colour should be red or green, got \"blue\"");
  CHECK(complaint("colour", 0) != "");
  json less = good;
  less.erase("seed");
  CHECK(fails([&] { read_json(fields_of(config), {less, "config.json"}); }, {"config.json has no seed"}));
  CHECK(fails(
      [&] {
        read_json(fields_of(config), {json(3), "config.json"});
      },
      {"config.json should be an object, got 3"}));
}

TEST_CASE("fields: flags have the field's name, or their own") {
  Config config;
  std::vector<std::string> flags;
  for (const Field& field : fields_of(config)) flags.push_back(field.flag());
  CHECK(flags == std::vector<std::string>{"on", "count", "num-hiddens", "seed", "rate", "crop-pct", "word", "size", "",
                                          "mean", "colour"});
}

TEST_CASE("fields: words of a command line") {
  Config config;
  const auto parse = [&](const std::string& name, const std::vector<std::string>& words) {
    for (const Field& field : fields_of(config))
      if (field.name() == name) field.parse(words, "--" + name);
  };
  parse("rate", {"1e-3"});
  CHECK(config.rate == 1e-3F);
  parse("rate", {".5"});
  CHECK(config.rate == 0.5F);
  parse("mean", {"0.25", "-1"});
  CHECK(config.mean == std::vector<real>{real(0.25), -1});
  parse("mean", {"2"});
  CHECK(config.mean == std::vector<real>{2});
  parse("size", {"32", "48"});
  CHECK(config.size == Size2(32, 48));
  parse("seed", {"900719925474099"});
  CHECK(config.seed == 900719925474099);
  parse("colour", {"red"});
  CHECK(config.colour == Colour::red);
  parse("word", {"b"});
  CHECK(config.word == "b");
  for (const char* wrong : {"", "x", "0.5x", "nan", "inf", "2", "-1"})
    CHECK(fails([&] { parse("rate", {wrong}); }, {"--rate should be a number from 0 to 1, got"}));
  for (const char* wrong : {"2.5", "1e2", "99999999999999999999", "0"})
    CHECK(fails([&] { parse("count", {wrong}); }, {"--count should be a whole number from 1 to 10, got"}));
}
