#include "data/drawing/page.h"

#include "data/drawing/canvas.h"
#include "data/drawing/xml.h"
#include "tests/html.h"

using namespace bobbin;
using namespace bobbin::test;

TEST_CASE("page: base64 of RFC 4648, section 10") {
  const std::pair<const char*, const char*> known[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : known) CHECK(base64(bytes) == text);
  CHECK(base64("\xff\xfe\xfd") == "//79");
}

TEST_CASE("page: what comes from outside stays text") {
  CHECK(xml_text("<b a=\"1\">&'é\xff") == "&lt;b a=&quot;1&quot;&gt;&amp;'é?");
  const std::string evil = "</title></script><script>alert(1)</script><!--";
  const std::string page = html({.title = evil,
                                 .body = "<p>" + xml_text(evil) + "</p>\n" + html_picture(blank(1, 2), "\"><b>"),
                                 .data = "[\"" + evil + "\"]",
                                 .script = "data;"});
  CHECK(contains(text_of_page(page), xml_text(evil)));
  CHECK(!contains(page, "<script>alert"));
  CHECK(!contains(page, "<!--"));
  CHECK(contains(page, "[\"\\u003c/title>"));
  CHECK(contains(page, "alt=\"&quot;&gt;&lt;b&gt;\" width=\"2\" height=\"1\""));
  CHECK(contains(page, "default-src 'none'"));
}
