"use strict";
// What can be stepped through: buttons, the arrow keys, and a line that says where one is. show(i) does step i, and
// returns what is to be said.
const controls = (figure, steps, show) => {
  const row = document.createElement("div"), say = document.createElement("p");
  let now = 0;
  const go = (to) => {
    now = Math.min(Math.max(to, 0), steps);
    say.textContent = show(now);
    for (const [button, end] of [[back, 0], [forward, steps]]) button.setAttribute("aria-disabled", now === end);
  };
  const button = (text, step) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", () => go(now + step));
    row.append(made);
    return made;
  };
  const back = button("← back", -1), forward = button("forward →", 1);
  row.className = "controls";
  say.setAttribute("role", "status");
  row.append(say);
  row.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -steps, End: steps }[event.key];
    if (!step) return;
    event.preventDefault();
    go(now + step);
  });
  figure.prepend(row);
  go(0);
};

// A tape: the nodes are named n0, n1, ... in the order in which they ran, the edges n0->n1. What an edge leads to is an
// op; the others are parameters.
for (const figure of document.querySelectorAll(".tape")) {
  const nodes = new Map([...figure.querySelectorAll(".node")].map((g) => [g.dataset.name, g]));
  const edges = [...figure.querySelectorAll(".edge")].map((g) => [g, ...g.dataset.name.split("->")]);
  const used = new Set(edges.map(([, , to]) => to)), number = (name) => +name.slice(1);
  const ops = [...used].sort((a, b) => number(a) - number(b));
  const words = (name) => [...nodes.get(name).querySelectorAll("text")].map((t) => t.textContent);
  const list = (names) => [...new Set(names)].map((name) => words(name)[0]).join(", ").replace(/, (?=[^,]*$)/, " and ");
  const sized = (shape) => (shape === "()" ? "a number" : shape);
  const mark = (g, ...classes) => {
    g.classList.remove("later", "forward", "backward", "now");
    g.classList.add(...classes);
  };
  controls(figure, 2 * ops.length, (step) => {
    if (step === 0) {
      for (const [g] of edges) mark(g);
      for (const g of nodes.values()) mark(g);
      return `${ops.length} ops: step through them, forward and then backward.`;
    }
    const goesBack = step > ops.length, at = goesBack ? 2 * ops.length - step : step - 1, now = ops[at];
    const inputs = edges.filter(([, , to]) => to === now).map(([, from]) => from).sort((a, b) => number(a) - number(b));
    // Forward, ops and what they read are lit once they ran; backward, once a gradient has arrived there.
    const ran = (op) => ops.indexOf(op) <= at, done = (op) => ops.indexOf(op) >= at;
    const lit = (op) => (goesBack ? done(op) : ran(op));
    const reached = new Set(edges.filter(([, , to]) => lit(to)).map(([, from]) => from));
    const way = goesBack ? "backward" : "forward";
    for (const [name, g] of nodes)
      mark(g, (used.has(name) && lit(name)) || reached.has(name) ? way : "later", ...(name === now ? ["now"] : []));
    for (const [g, , to] of edges) mark(g, lit(to) ? way : "later", ...(to === now ? ["now"] : []));
    const [op, shape, keeps] = words(now), box = nodes.get(now).getBoundingClientRect();
    if (box.top < figure.firstChild.offsetHeight || box.bottom > innerHeight || box.left < 0 || box.right > innerWidth)
      nodes.get(now).scrollIntoView({ block: "center", inline: "center" });
    return goesBack
      ? `Backward, ${step - ops.length} of ${ops.length}: ${op} is given a gradient, ${sized(shape)}, and hands one on to ${list(inputs)}.`
      : `Forward, ${step} of ${ops.length}: ${op} reads ${list(inputs)} and gives ${sized(shape)}${keeps ? "; it " + keeps + " for backward" : ""}.`;
  });
}

// Frames, of which one is seen at a time.
for (const figure of document.querySelectorAll(".frames")) {
  const frames = [...figure.querySelectorAll(".frame")];
  controls(figure, frames.length - 1, (now) => {
    frames.forEach((g, i) => g.classList.toggle("now", i === now));
    return frames[now].dataset.say;
  });
}

// Points: a slider goes over them, and says of each what the picture has written to it.
for (const figure of document.querySelectorAll(".points")) {
  const points = [...figure.querySelectorAll(".at")], row = document.createElement("div");
  const label = document.createElement("label"), slider = document.createElement("input"), say = document.createElement("p");
  const last = points.length - 1;  // the picture is read from the left, and its points are from the right
  Object.assign(slider, { type: "range", min: 0, max: last, value: last });
  const show = () => {
    points.forEach((g, i) => g.classList.toggle("now", i === last - slider.value));
    say.textContent = points[last - slider.value].dataset.say;
    slider.setAttribute("aria-valuetext", say.textContent);
  };
  label.append("Move: ", slider);
  row.className = "controls";
  row.append(label, say);
  slider.addEventListener("input", show);
  figure.prepend(row);
  show();
}
