#include "optim/log/report_script.h"

namespace bobbin {

const char* const report_script = R"js(
const element = (id) => document.getElementById(id);
const make = (parent, name, attributes, text) => {
  const inSvg = name === "svg" || parent.namespaceURI.endsWith("svg");
  const made = inSvg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  return parent.appendChild(made);
};
const shown = (v) => v == null ? "–" : v === 0 ? "0" :
  Math.abs(v) >= 1e-3 && Math.abs(v) < 1e5 ? v.toPrecision(4) : v.toExponential(2);

// --- What is drawn: a chart for the losses, one for the accuracies, and one for each other quantity ---
const several = data.runs.length > 1;
const dashes = ["none", "6 3", "9 3 2 3", "2 2"];
const hidden = new Set();
const last = Math.max(0, ...data.runs.flatMap((run) => run.epochs));
const names = [...new Set(data.runs.flatMap((run) => Object.keys(run.values)))];
const titled = (name) => /loss/.test(name) ? "Loss" : /acc/.test(name) ? "Accuracy" :
  name === "lr" ? "Learning rate" : name.replace(/_ema$/, "");
const charts = [...new Set(names.map(titled))].map((title) => ({ title, names: names.filter((n) => titled(n) === title) }));
if (!charts.length && data.runs.some((run) => run.steps.length)) charts.push({ title: "Loss", names: [] });
const seriesOf = (chart) => data.runs.flatMap((run, r) => chart.names.filter((n) => run.values[n]).map((name, q) => ({
  run, name, label: several ? run.name + " " + name : name, colour: `var(--c${(several ? r : q) % 10})`,
  dash: dashes[chart.names.indexOf(name) % 4],
  // A mean over an epoch's steps stands in its middle, what is measured after it at its end.
  points: run.epochs.map((e, i) => [name === "train_loss" ? e - 0.5 : e, run.values[name][i]]),
}))).filter((one) => !hidden.has(one.run));

// --- Axes with round numbers ---
const roundStep = (least) => {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((f) => f * power).find((step) => step >= least * 0.999999);
};
const axisOf = (low, high, count) => {
  if (!(low < high)) { low = Math.min(low, 0); high = Math.max(high, 1); }
  const step = roundStep((high - low) / count);
  return { begin: step * Math.floor(low / step + 1e-6), end: step * Math.ceil(high / step - 1e-6), step };
};
const ticks = (axis) => Array.from({ length: Math.floor((axis.end - axis.begin) / axis.step + 1.000001) },
  (_, i) => +((Math.round(axis.begin / axis.step) + i) * axis.step).toPrecision(10));
// Losses from 0 on, or from the lowest below it; a spike that would press all the rest flat is cut off.
const heights = (chart, values) => {
  const low = Math.min(...values), high = Math.max(...values);
  if (chart.title === "Learning rate") return axisOf(0, high, 5);
  if (chart.title !== "Loss") return axisOf(low, high, 5);
  const usual = 3 * values.map(Math.abs).sort((a, b) => a - b)[Math.floor(values.length / 2)];
  return axisOf(Math.min(low, 0), high > 3 * usual && usual > 0 ? usual : Math.max(high, 0), 5);
};

let epoch = last;
const draw = (chart) => {
  const all = seriesOf(chart);
  const steps = chart.title === "Loss" ? data.runs.filter((run) => !hidden.has(run)).map((run) => run.steps) : [];
  const finite = (points) => points.map((p) => p[1]).filter((v) => v != null);
  const values = all.flatMap((one) => finite(one.points)).concat(several ? [] : steps.flatMap(finite));
  chart.picture.replaceChildren();
  chart.legend.replaceChildren();
  const width = Math.max(chart.picture.parentNode.clientWidth, 240), height = Math.min(320, width * 0.6);
  chart.picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
  chart.picture.setAttribute("aria-label", chart.title + " over the epochs. " + all.map((one) => {
    const of = finite(one.points);
    return `${one.label} from ${shown(of[0])} to ${shown(of[of.length - 1])}`;
  }).join("; "));
  if (!values.length) return;
  const lastX = Math.max(1, last, ...steps.flat().map((p) => Math.ceil(p[0] - 1e-9)));
  const x = { begin: 0, end: lastX, step: roundStep(Math.max(1, lastX / (width > 500 ? 10 : 5))) };
  const y = heights(chart, values), left = 52, right = width - 10, top = 8, bottom = height - 26;
  const atX = (v) => left + (right - left) * v / x.end;
  const atY = (v) => Math.max(top - 99, bottom - (bottom - top) * (v - y.begin) / (y.end - y.begin));
  for (const v of ticks(y)) {
    make(chart.picture, "line", { x1: left, x2: right, y1: atY(v), y2: atY(v), class: "grid" });
    make(chart.picture, "text", { x: left - 6, y: atY(v) + 4, "text-anchor": "end" }, String(v));
  }
  for (const v of ticks(x)) make(chart.picture, "text", { x: atX(v), y: height - 8, "text-anchor": "middle" }, String(v));
  const clip = "clip-" + charts.indexOf(chart);
  make(make(chart.picture, "clipPath", { id: clip }), "rect", { x: left, y: top, width: right - left, height: bottom - top });
  const curve = (points, attributes) => {
    let path = "", gap = true;
    for (const [px, py] of points) {
      if (py != null) path += (gap ? "M" : "L") + atX(px).toFixed(1) + " " + atY(py).toFixed(1);
      gap = py == null;
    }
    make(chart.picture, "path", { d: path, fill: "none", "clip-path": `url(#${clip})`, ...attributes });
  };
  if (!several) for (const points of steps) curve(points, { class: "steps" });
  for (const one of all) {
    curve(one.points, { style: `stroke:${one.colour}`, "stroke-dasharray": one.dash, "stroke-width": 2 });
    one.dot = make(chart.picture, "circle", { r: 4, style: `fill:${one.colour}` });
    const item = make(chart.legend, "li", {});
    make(make(item, "svg", { width: 30, height: 10, "aria-hidden": "true" }), "path",
      { d: "M0 5H30", style: `stroke:${one.colour}`, "stroke-dasharray": one.dash, "stroke-width": 2 });
    make(item, "span", {}, " " + one.label + " ");
    one.value = make(item, "b", {});
  }
  if (steps.some((points) => points.length) && !several) make(chart.legend, "li", { class: "faint" }, "grey: the steps, averaged");
  const line = make(chart.picture, "line", { y1: top, y2: bottom, class: "cursor" });
  chart.show = () => {
    line.setAttribute("x1", atX(epoch));
    line.setAttribute("x2", atX(epoch));
    line.style.display = last ? "" : "none";
    for (const one of all) {
      const i = one.run.epochs.indexOf(epoch), value = i < 0 ? null : one.points[i][1];
      one.value.textContent = shown(value);
      one.dot.style.display = value == null || atY(value) < top ? "none" : "";
      if (value != null) one.dot.setAttribute("cx", atX(one.points[i][0])), one.dot.setAttribute("cy", atY(value));
    }
    return all.map((one) => one.label + " " + one.value.textContent).join(", ");
  };
  chart.epochAt = (event) => {
    const box = chart.picture.getBoundingClientRect();
    return Math.round(((event.clientX - box.left) / box.width * width - left) / (right - left) * x.end);
  };
};
const slider = element("slider");
const show = (at) => {
  epoch = Math.min(Math.max(at, 1), last);
  const text = charts.map((chart) => chart.show ? chart.show() : "").join(", ");
  element("epoch").textContent = epoch;
  slider.value = epoch;
  slider.setAttribute("aria-valuetext", `epoch ${epoch}: ${text}`);
};
const drawAll = () => {
  charts.forEach(draw);
  show(epoch);
};
for (const chart of charts) {
  const figure = make(element("charts"), "figure", { class: "chart" });
  make(figure, "h3", {}, chart.title);
  chart.picture = make(figure, "svg", { role: "img" });
  chart.legend = make(figure, "ul", { class: "legend" });
  chart.picture.addEventListener("pointermove", (event) => chart.epochAt && show(chart.epochAt(event)));
  chart.picture.addEventListener("pointerdown", (event) => chart.epochAt && show(chart.epochAt(event)));
}
if (last > 1) {
  element("cursor").hidden = false;
  slider.max = last;
  slider.addEventListener("input", () => show(+slider.value));
}
if (several) {
  const field = make(element("runs"), "fieldset", {});
  make(field, "legend", {}, "Runs");
  data.runs.forEach((run, r) => {
    const label = make(field, "label", {});
    const box = make(label, "input", { type: "checkbox", checked: "" });
    make(label, "span", { class: "swatch", style: `background:var(--c${r % 10})` });
    make(label, "span", {}, run.name);
    box.addEventListener("change", () => { box.checked ? hidden.delete(run) : hidden.add(run); drawAll(); });
  });
}
let drawnFor = 0;
new ResizeObserver(() => {
  if (element("charts").clientWidth !== drawnFor) { drawnFor = element("charts").clientWidth; drawAll(); }
}).observe(element("charts"));

// --- While it trains: how long still, and the page anew ---
if (element("written")) element("written").textContent = new Date(data.written * 1000).toLocaleString();
const kept = (key, value) => {
  try { return value === undefined ? sessionStorage.getItem(key) : sessionStorage.setItem(key, value); } catch { return null; }
};
for (const part of document.querySelectorAll("details")) {
  part.open = kept(location.pathname + part.id) === "open";
  part.addEventListener("toggle", () => kept(location.pathname + part.id, part.open ? "open" : "closed"));
}
if (data.training) {
  const long = (s) => s < 90 ? Math.round(s) + " seconds" : s < 5400 ? Math.round(s / 60) + " minutes" :
    (s / 3600).toFixed(1) + " hours";
  const pause = element("pause");
  const paused = () => pause.getAttribute("aria-pressed") === "true";
  pause.setAttribute("aria-pressed", String(kept(location.pathname + "pause") === "true"));
  pause.addEventListener("click", () => {
    pause.setAttribute("aria-pressed", String(!paused()));
    kept(location.pathname + "pause", String(paused()));
  });
  const age = Date.now() / 1000 - data.written;  // when it was loaded: while it is read, nothing is heard
  const tell = () => {
    const gone = Date.now() / 1000 - data.written;
    element("left").textContent = age > data.overdue ?
      `but nothing was heard of it for ${long(gone)}, so it may have been killed` : `about ${long(Math.max(data.left - gone, 0))} left`;
  };
  tell();
  setInterval(() => {
    tell();
    const reads = element("charts").matches(":hover") || document.activeElement === slider;
    if (!paused() && !document.hidden && !reads) location.reload();
  }, 10000);
}
)js";

}  // namespace bobbin
