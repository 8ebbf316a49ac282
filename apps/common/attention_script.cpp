#include "apps/common/attention_script.h"

namespace bobbin {

const char* const attention_head = R"css(<style>
#chosen { position: sticky; top: 0; z-index: 1; background: var(--ground); padding: .5rem 0; display: flex; gap: 1rem;
  align-items: flex-start; border-bottom: 1px solid var(--line) }
#picture { position: relative; flex: none; width: min(14rem, 40vw); background-size: 100% 100%; cursor: crosshair;
  touch-action: none; image-rendering: auto }
#patch { position: absolute; outline: 2px solid #fff; box-shadow: 0 0 0 4px #000; pointer-events: none }
#said { min-width: 0 }
.maps { display: grid; grid-template-columns: repeat(auto-fill, minmax(6rem, 1fr)); gap: .75rem; margin: .5rem 0 }
.map { background-size: 100% 100%; filter: none; width: 100% }
.map canvas { display: block; width: 100%; height: 100%; image-rendering: pixelated; opacity: .75 }
.bar { display: inline-block; width: 8rem; height: .8rem; vertical-align: middle; border: 1px solid var(--faint) }
@media print { #chosen { position: static } }
</style>
)css";

const char* const attention_body =
    R"html(<p>Point at a patch of the picture, or move with the arrow keys: each map shows
how that patch spreads its attention. Click to hold a patch, and again to let it go.</p>
<noscript><p>This page needs script, which it holds itself.</p></noscript>
<p id="pictures"></p>
<div id="chosen"><div id="picture" tabindex="0" role="slider" aria-label="the patch that looks" aria-valuemin="0"
aria-valuenow="0"><div id="patch"></div></div>
<div id="said"><p><b id="who"></b></p><p id="tokens"></p><p id="answer" class="faint"></p>
<p class="faint">0 <span class="bar" id="bar"></span> <span id="end"></span></p></div></div>
<section><h2>All blocks together: rollout</h2>
<p class="faint">How much of what the token is after the last block comes from each patch (Abnar and Zuidema, 2020). It
has a scale of its own, from 0 to its largest number.</p><div id="rollout" class="maps"></div></section>
<div id="blocks"></div>
<details id="words"><summary>In words: what each head looks at most</summary><div class="wide" tabindex="0" role="region"
aria-label="what each head looks at most"><table class="text"><thead><tr><th scope="col">block</th><th scope="col">head</th>
<th scope="col">most to</th><th scope="col">share</th></tr></thead><tbody id="most"></tbody></table></div></details>
)html";

const char* const attention_script = R"js(
const element = (id) => document.getElementById(id);
const make = (parent, name, attributes = {}, text) => {
  const made = document.createElement(name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  return parent.appendChild(made);
};
const { rows, cols, tokens, blocks, heads } = data;
const patches = rows * cols, count = tokens.length + patches;
const percent = (share) => (100 * share).toPrecision(share < 0.1 ? 2 : 3) + "%";
const nameOf = (token) => token < tokens.length ? tokens[token] :
  `the patch in row ${Math.floor((token - tokens.length) / cols) + 1}, column ${(token - tokens.length) % cols + 1}`;
const colours = Array.from({ length: 256 }, (_, i) => [0, 2, 4].map((at) => parseInt(data.colours.substr(6 * i + at, 2), 16)));
const unpacked = (rowsOf) => ({ largest: rowsOf.largest, bytes: Uint8Array.from(atob(rowsOf.bytes), (c) => c.charCodeAt(0)) });
// The shares that a row gives to all tokens.
const row = (of, number) => Array.from(of.bytes.subarray(number * count, (number + 1) * count), (b) => b / 255 * of.largest[number]);

let picture, maps, rollout, token = tokens.length ? 0 : Math.floor(patches / 2), held = false;
const pictures = [];  // [canvas, caption, shares()]
const newMap = (parent, caption, shares, alone) => {
  const figure = make(parent, "figure");
  const canvas = make(make(figure, "div", { class: "map" }), "canvas", { width: cols, height: rows, role: "img" });
  const text = make(figure, "figcaption", {}, caption);
  const map = { canvas, caption, text, shares, alone };
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const at = (place, size, parts) => Math.min(Math.max(Math.floor(place / size * parts), 0), parts - 1);
    const key = at(event.clientY - box.top, box.height, rows) * cols + at(event.clientX - box.left, box.width, cols);
    text.textContent = `${caption}: ${percent(map.now[tokens.length + key])} to row ${Math.floor(key / cols) + 1}, column ${key % cols + 1}`;
  });
  canvas.addEventListener("pointerleave", () => { text.textContent = caption; });
  pictures.push(map);
};
const mean = (all) => all[0].map((_, i) => all.reduce((sum, one) => sum + one[i], 0) / all.length);
const headOf = (block, head) => row(maps, (block * heads + head) * count + token);
newMap(element("rollout"), "rollout", () => row(rollout, token), true);
for (let block = 0; block < blocks; ++block) {
  const section = make(element("blocks"), "section");
  make(section, "h2", {}, `Block ${block + 1} of ${blocks}`);
  const place = make(section, "div", { class: "maps" });
  newMap(place, "mean of the heads", () => mean(Array.from({ length: heads }, (_, head) => headOf(block, head))));
  for (let head = 0; head < heads; ++head) newMap(place, `head ${head + 1}`, () => headOf(block, head));
}
const bar = element("bar");
bar.style.background = "linear-gradient(90deg," + [0, 64, 128, 192, 255].map((i) => `rgb(${colours[i].join(" ")})`) + ")";

const paint = (map, end) => {
  const context = map.canvas.getContext("2d"), image = context.createImageData(cols, rows);
  for (let key = 0; key < patches; ++key) {
    const colour = colours[Math.round(255 * Math.min(map.now[tokens.length + key] / end, 1))];
    image.data.set([...colour, 255], 4 * key);
  }
  context.putImageData(image, 0, 0);
  const most = map.now.indexOf(Math.max(...map.now));
  map.canvas.setAttribute("aria-label", `${map.caption}: most, ${percent(map.now[most])}, to ${nameOf(most)}`);
  return most;
};
const show = () => {
  for (const map of pictures) map.now = map.shares();
  // One scale for all heads: one share in a hundred may lie beyond its end.
  const all = pictures.filter((map) => !map.alone).flatMap((map) => map.now.slice(tokens.length)).sort((a, b) => a - b);
  const end = Math.max(all.length ? all[Math.floor((all.length - 1) * 0.99)] : 1, 1e-9);
  element("end").textContent = percent(end) + " or more";
  element("most").replaceChildren();
  pictures.forEach((map, i) => {
    const most = paint(map, map.alone ? Math.max(...map.now.slice(tokens.length), 1e-9) : end);
    const head = (i - 1) % (heads + 1);
    if (map.alone || head === 0) return;
    const line = make(element("most"), "tr");
    for (const text of [Math.floor((i - 1) / (heads + 1)) + 1, head, nameOf(most), percent(map.now[most])]) make(line, "td", {}, text);
  });
  element("who").textContent = nameOf(token).replace(/^t/, "T") + " looks" + (held ? ", held" : "");
  const place = element("picture");
  place.setAttribute("aria-valuemax", count - 1);
  place.setAttribute("aria-valuenow", token);
  place.setAttribute("aria-valuetext", nameOf(token));
  const at = token - tokens.length, mark = element("patch");
  mark.style.display = at < 0 ? "none" : "";
  mark.style.cssText += `;left:${at % cols / cols * 100}%;top:${Math.floor(at / cols) / rows * 100}%;width:${100 / cols}%;height:${100 / rows}%`;
  [...element("tokens").children].forEach((button, i) => button.setAttribute("aria-pressed", String(i === token)));
};
const choose = (number) => {
  picture = data.pictures[number];
  maps = picture.unpacked ??= unpacked(picture.maps);
  rollout = picture.unpackedRollout ??= unpacked(picture.rollout);
  element("answer").textContent = picture.name + ": " + picture.answer;
  for (const place of [element("picture"), ...document.querySelectorAll(".map")]) {
    place.style.backgroundImage = `url(${picture.source})`;
    place.style.aspectRatio = picture.ratio;
  }
  [...element("pictures").children].forEach((button, i) => button.setAttribute("aria-pressed", String(i === number)));
  show();
};
const look = (at) => { token = at; show(); };
if (data.pictures.length > 1) data.pictures.forEach((one, i) => {
  make(element("pictures"), "button", { type: "button" }, one.name).addEventListener("click", () => choose(i));
  element("pictures").append(" ");
});
tokens.forEach((name, i) => make(element("tokens"), "button", { type: "button" }, name).addEventListener("click", () => { held = true; look(i); }));
const under = (event) => {
  const box = element("picture").getBoundingClientRect();
  const x = Math.floor((event.clientX - box.left) / box.width * cols), y = Math.floor((event.clientY - box.top) / box.height * rows);
  return x < 0 || y < 0 || x >= cols || y >= rows ? token : tokens.length + y * cols + x;
};
element("picture").addEventListener("pointermove", (event) => { if (!held) look(under(event)); });
element("picture").addEventListener("click", (event) => {
  const at = under(event);
  held = !(held && at === token);
  look(at);
});
element("picture").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -cols, ArrowDown: cols }[event.key];
  if (!step) return;
  event.preventDefault();
  held = true;
  look(Math.min(Math.max(token + step, 0), count - 1));
});
choose(0);
)js";

}  // namespace bobbin
