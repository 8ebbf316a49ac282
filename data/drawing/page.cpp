#include "data/drawing/page.h"

#include <cstdint>

#include "data/drawing/xml.h"
#include "data/images/codec.h"

namespace bobbin {
namespace {

// Each colour of text and line differs from the ground by 4.5 to 1 or more (WCAG 2.2, 1.4.3).
constexpr const char* style = R"css(
:root { color-scheme: light dark; --ground: #fff; --text: #1c1e21; --faint: #5a6069; --line: #d4d8de;
  --soft: #f3f5f7; --link: #0b57a4; --cell: 31 119 180;
  --c0: #1f77b4; --c1: #b8560b; --c2: #1e7d32; --c3: #c62828; --c4: #7b52ab;
  --c5: #8c564b; --c6: #b03a86; --c7: #5f6b76; --c8: #6e6e00; --c9: #0b7480 }
@media (prefers-color-scheme: dark) { :root { --ground: #15171a; --text: #e4e6e9; --faint: #a2a9b3;
  --line: #3a3f46; --soft: #1f2226; --link: #7ab8f5; --cell: 66 140 210;
  --c0: #6cb2eb; --c1: #f2a154; --c2: #6fcf7f; --c3: #f28b82; --c4: #bd9ce6;
  --c5: #cf9d92; --c6: #ec93cd; --c7: #b0b8c1; --c8: #cfcf57; --c9: #5fcad6 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--text);
  font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif }
main { max-width: 60rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0; overflow-wrap: anywhere }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line) }
h3 { font-size: 1rem; margin: 1rem 0 .25rem }
p { margin: .5rem 0; max-width: 45rem; overflow-wrap: anywhere }
a { color: var(--link) }
:focus-visible { outline: 3px solid var(--c0); outline-offset: 2px }
.faint, figcaption, caption { color: var(--faint); font-size: .875rem }
button, input, summary { font: inherit; color: inherit }
button { background: var(--soft); border: 1px solid var(--faint); border-radius: 4px; padding: .25rem .75rem;
  min-height: 2rem; max-width: 100%; overflow-wrap: anywhere; cursor: pointer }
button[aria-pressed=true], button[aria-current=true] { background: var(--text); color: var(--ground) }
progress { width: 100%; height: .75rem; accent-color: var(--c0) }
summary { cursor: pointer; padding: .25rem 0 }
.wide { overflow-x: auto; max-width: 100% }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums }
caption { text-align: left; padding: .25rem 0 }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top }
th:first-child, .text td { text-align: left }
.text th { text-align: left; font-weight: 600; white-space: nowrap }
.text td { overflow-wrap: anywhere }
[style*="--s:"] { background: rgb(var(--cell) / calc(var(--s) * .55)) }
img { max-width: 100%; image-rendering: pixelated }
figure { margin: 0 }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); gap: 1rem }
.pictures img { width: 100%; max-width: 7rem; height: auto }
.pictures figcaption { overflow-wrap: anywhere; line-height: 1.3 }
.chart svg[role] { display: block; width: 100%; touch-action: pan-y }
.chart text { font-size: 12px; fill: var(--faint) }
.grid { stroke: var(--line) }
.steps { stroke: var(--faint); opacity: .45 }
.cursor { stroke: var(--faint); stroke-dasharray: 3 3 }
.legend { list-style: none; margin: .25rem 0 1rem; padding: 0; display: flex; flex-wrap: wrap; gap: .1rem 1.25rem;
  font-size: .875rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
#cursor label { display: flex; gap: .5rem; align-items: center }
#slider { flex: 1; accent-color: var(--c0); min-height: 1.5rem }
#epoch { min-width: 2.5em }
fieldset { border: 1px solid var(--line); border-radius: 4px; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem }
fieldset label { display: inline-flex; gap: .4rem; align-items: center; min-height: 1.5rem; overflow-wrap: anywhere }
.swatch { width: .9rem; height: .9rem; flex: none }
@media (max-width: 40rem) { body { font-size: 15px } main { padding: .75rem } }
@media print { :root { --ground: #fff; --text: #000; --faint: #444; --line: #bbb; --soft: #fff; --link: #000;
    --c0: #1f77b4; --c1: #b8560b; --c2: #1e7d32; --c3: #c62828; --c4: #7b52ab; --cell: 31 119 180 }
  button, input { display: none } main { max-width: none; padding: 0 } figure, tr { break-inside: avoid }
  .wide { overflow: visible } }
)css";

// In a script element nothing but "</script" and "<!--" ends it; JSON has a second way to write "<".
std::string within_script(const std::string& json) {
  std::string safe;
  for (const char c : json) c == '<' ? safe += "\\u003c" : safe += c;
  return safe;
}

}  // namespace

std::string base64(std::string_view bytes) {
  constexpr const char* letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t at) {
      return at < bytes.size() ? static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at])) : 0u;
    };
    const std::uint32_t three = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    for (int letter = 0; letter < 4; ++letter)
      text += i + static_cast<std::size_t>(letter) <= bytes.size() ? letters[three >> (18 - 6 * letter) & 63] : '=';
  }
  return text;
}

std::string html_picture(const Image& picture, const std::string& text, const std::string& css) {
  return "<img alt=\"" + xml_text(text) + "\" width=\"" + std::to_string(picture.width) + "\" height=\"" +
         std::to_string(picture.height) + "\"" + (css.empty() ? "" : " style=\"" + css + "\"") +
         " src=\"data:image/png;base64," + base64(to_png(picture)) + "\">";
}

std::string html(const Page& page) {
  const std::string title = xml_text(page.title);
  std::string text =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n<title>" +
      title + "</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>" + style + "</style>\n" + page.head +
      "</head>\n<body>\n<main>\n<h1>" + title + "</h1>\n" + page.body + "</main>\n";
  if (!page.script.empty())
    text += "<script type=\"application/json\" id=\"data\">" + within_script(page.data) +
            "</script>\n<script>\n\"use strict\";\nconst data = "
            "JSON.parse(document.getElementById(\"data\").textContent);" +
            page.script + "</script>\n";
  return text + "</body>\n</html>\n";
}

}  // namespace bobbin
