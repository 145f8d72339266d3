// Draws each figure when it comes into view, all of them before printing, and marks the chosen step on what is drawn.

const CONFIG = { displaylogo: false, showSendToCloud: false, responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d"] };
const PAPER_PIXELS = 660; // what a sheet of A4 or letter leaves between its margins
const boxes = Array.from(document.querySelectorAll("[data-figure]"));
const drawn = new Set();
const forPaper = new Map(); // drawn for a sheet, by when: plotly cannot fit these to the window afterwards
const systemIsDark = window.matchMedia("(prefers-color-scheme: dark)");
const touches = window.matchMedia("(pointer: coarse)");
const unfolded = new Set(); // for paper alone
let onPaper = false;

function look() {
  const chosen = document.documentElement.dataset.theme;
  const isDark = chosen ? chosen === "dark" : systemIsDark.matches;
  return isDark && !onPaper ? looks.dark : looks.light;
}

function figureOf(box) {
  return figures[Number(box.dataset.figure)];
}

function plotlyOf(box) {
  return plotlyFor(Number(box.dataset.figure));
}

function draw(box) {
  const plotly = plotlyOf(box);
  if (!plotly || drawn.has(box)) return;
  drawn.add(box);
  const { data, layout } = figureOf(box);
  box.replaceChildren();
  const own = { ...layout, template: look() };
  if (touches.matches) own.dragmode = false; // a finger scrolls the page
  if (onPaper) own.width = PAPER_PIXELS;
  const done = plotly.newPlot(box, data, own, CONFIG);
  if (onPaper) forPaper.set(box, done);
  box.on("plotly_afterplot", () => mark(box));
  box.on("plotly_relayouting", () => mark(box));
  mark(box);
}

function recolour() {
  for (const box of drawn) plotlyOf(box).relayout(box, { template: look() });
}

function ontoPaper() {
  onPaper = true;
  document.querySelectorAll("main details:not([open])").forEach((folded) => {
    folded.open = true;
    unfolded.add(folded);
  });
  for (const box of drawn) plotlyOf(box).relayout(box, { template: look(), width: PAPER_PIXELS });
  boxes.forEach(draw);
}

function backToScreen() {
  onPaper = false;
  unfolded.forEach((folded) => {
    folded.open = false;
  });
  unfolded.clear();
  for (const box of drawn) {
    if (forPaper.has(box)) forPaper.get(box).then(() => drawAgain(box));
    else plotlyOf(box).relayout(box, { template: look(), width: null, autosize: true });
  }
  forPaper.clear();
}

function drawAgain(box) {
  plotlyOf(box).purge(box);
  box.replaceChildren();
  drawn.delete(box);
  observer.observe(box);
}

// One figure a task: the first is on the screen before the next is begun.
function drawNext() {
  const box = [...waiting].find(plotlyOf);
  if (!box) return;
  waiting.delete(box);
  draw(box);
  setTimeout(drawNext);
}

const waiting = new Set();
const observer = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      observer.unobserve(entry.target);
      waiting.add(entry.target);
    }
    drawNext();
  },
  { rootMargin: "300px" },
);

// Figures that know steps can be clicked and reached by keyboard.
function listen() {
  for (const box of boxes) {
    const steps = () => stepsOf(Number(box.dataset.figure));
    const { meta } = figureOf(box).layout;
    if (!meta?.steps && !meta?.places) continue;
    box.tabIndex = 0;
    box.addEventListener("click", (event) => {
      const place = drawn.has(box) ? stepUnder(box, event) : null;
      if (place !== null) moveCursor(nearest(steps(), place));
    });
    box.addEventListener("keydown", (event) => {
      if (event.target !== box || event.altKey || event.ctrlKey || event.metaKey) return;
      const by = event.shiftKey ? 10 : 1;
      if (event.key === "ArrowRight") moveCursor(neighbour(steps(), by));
      else if (event.key === "ArrowLeft") moveCursor(neighbour(steps(), -by));
      else if (event.key === "Home") moveCursor(steps()[0]);
      else if (event.key === "End") moveCursor(steps()[steps().length - 1]);
      else if (event.key === "Escape") moveCursor(null);
      else return;
      event.preventDefault();
    });
  }
  listeners.push(() => drawn.forEach(mark));
}

function axisOf(box, name) {
  return box._fullLayout[`${name[0]}axis${name.slice(1)}`];
}

function stepUnder(box, event) {
  const frame = box.getBoundingClientRect();
  const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
  const { t, h } = box._fullLayout._size;
  if (y < t || y > t + h) return null;
  const { steps = [], places = {} } = figureOf(box).layout.meta;
  for (const name of steps) {
    const axis = axisOf(box, name);
    if (axis && x >= axis._offset && x <= axis._offset + axis._length) return axis.p2c(x - axis._offset);
  }
  for (const [name, pairs] of Object.entries(places)) {
    const axis = axisOf(box, name);
    const at = axis.p2c((name[0] === "x" ? x : y) - axis._offset);
    return pairs.reduce((best, pair) => (Math.abs(pair[1] - at) < Math.abs(best[1] - at) ? pair : best))[0];
  }
  return null;
}

// Marks lie over the plot and are moved by themselves: drawing forty figures anew at every key would stutter.
function mark(box) {
  box.querySelectorAll(":scope > .mark").forEach((old) => old.remove());
  if (step === null || !box._fullLayout) return;
  const { steps = [], places = {} } = figureOf(box).layout.meta ?? {};
  const { l, t, w, h } = box._fullLayout._size;
  const lines = new Set(steps.map((name) => within(axisOf(box, name), step)).filter((place) => place !== null));
  lines.forEach((left) => put(box, "mark line", { left, top: t, width: 0, height: h }));
  for (const [name, pairs] of Object.entries(places)) {
    const place = lastUpTo(pairs.map(([own]) => own), step);
    if (place < 0) continue;
    const axis = axisOf(box, name);
    const [from, to] = [-0.5, 0.5].map((side) => within(axis, pairs[place][1] + side));
    if (name[0] === "x" && from !== null && to !== null) put(box, "mark frame", { left: from, top: t, width: to - from, height: h });
    const row = within(axis, pairs[place][1]);
    if (name[0] === "y" && row !== null) put(box, "mark row", { left: l, top: row, width: w, height: 0 });
  }
}

// Where a value of an axis is, in pixels from the figure's edge; null where it is not in view.
function within(axis, value) {
  const place = axis ? axis.c2p(value) : NaN;
  return place >= -1 && place <= axis._length + 1 ? axis._offset + place : null;
}

function put(box, name, sides) {
  const made = document.createElement("i");
  made.className = name;
  for (const [side, pixels] of Object.entries(sides)) made.style[side] = `${pixels}px`;
  box.append(made);
}
