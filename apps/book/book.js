"use strict";
// The contents are open where there is room for them beside the text.
const menu = document.getElementById("menu"), wide = matchMedia("(min-width: 60rem)");
menu.open = wide.matches;
wide.addEventListener("change", () => { menu.open = wide.matches; });
const here = menu.querySelector("[aria-current]");
if (here && wide.matches) here.scrollIntoView({ block: "center" });

// Search: names, headings and files that have all the words; those that begin with the first come first.
const field = document.getElementById("search"), found = document.getElementById("found");
field.addEventListener("input", () => {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  found.replaceChildren();
  if (!words.length) return;
  const rank = ([name]) => (name.toLowerCase().startsWith(words[0]) ? 0 : 1000) + name.length;
  const all = index.filter((one) => words.every((word) => (one[0] + " " + one[2]).toLowerCase().includes(word)));
  all.sort((a, b) => rank(a) - rank(b));
  const say = document.createElement("p");
  say.textContent = all.length ? `${all.length} found` + (all.length > 20 ? ", the nearest 20:" : ":") : "Nothing found.";
  const list = document.createElement("ul");
  for (const [name, page, where] of all.slice(0, 20)) {
    const link = document.createElement("a"), note = document.createElement("small"), item = document.createElement("li");
    link.href = page;
    link.textContent = name;
    note.textContent = " " + where.slice(0, 60);
    item.append(link, note);
    list.append(item);
  }
  found.append(say, list);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || /INPUT|TEXTAREA/.test(document.activeElement.tagName)) return;
  event.preventDefault();
  menu.open = true;
  field.focus();
});
