// A chart that does not tick: one plot that stays the same node whatever is drawn in it, marked at the cursor's step.
// Called by Streamlit with {figure (JSON), revision, alt, name, source, token, paths: {plotly, table}, words}.

import { chartItems } from "./chart_actions.js";
import { buildMenu } from "./chart_menu.js";
import { cursorShape, cursorStep, moveCursor, onCursor } from "./cursor.js";
import { element } from "./element.js";
import { loadPlotly } from "./plotly.js";
import { readTheme } from "./theme.js";
import { speak } from "./words.js";

const AHEAD = "1500px"; // drawn before it is scrolled to: a screen or two
const CONFIG = {
  displaylogo: false,
  showSendToCloud: false,
  modeBarButtonsToRemove: ["toImage", "lasso2d", "select2d", "autoScale2d"],
};
const frames = new WeakMap();

export default function (component) {
  const { data, parentElement } = component;
  speak(data);
  const frame = frames.get(parentElement) ?? new FigureFrame(parentElement);
  frames.set(parentElement, frame);
  frame.accept(data);
  return () => {
    frames.delete(parentElement);
    frame.remove();
  };
}

class FigureFrame {
  constructor(parent) {
    this.root = element("div", "tg-figure");
    this.plot = element("div", "tg-figure-plot");
    this.plot.setAttribute("role", "figure"); // not "img": what is inside of one has no say, and here it can be reached
    this.menu = null;
    this.isNear = false;
    this.drawing = Promise.resolve();
    this.root.append(this.plot);
    parent.append(this.root);
    this.near = new IntersectionObserver((entries) => this.onNear(entries), { rootMargin: AHEAD, scrollMargin: AHEAD });
    this.near.observe(this.root);
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(this.root);
    this.forget = onCursor(() => this.mark());
    this.plot.addEventListener("keydown", (event) => this.onKey(event));
  }

  accept(data) {
    const isSame = this.data?.figure === data.figure;
    this.data = data;
    this.figure = isSame ? this.figure : JSON.parse(data.figure);
    this.steps = this.figure.layout.meta?.steps ?? [];
    this.plot.setAttribute("aria-label", data.alt);
    // A plot that takes keys is no mere picture: only there is something to do for the keyboard.
    this.plot.tabIndex = this.steps.length ? 0 : -1;
    if (!document.fullscreenElement) this.plot.style.height = `${this.figure.layout.height}px`;
    this.offer();
    if (!isSame && this.isNear) this.draw();
  }

  offer() {
    const { name, source, token, paths } = this.data;
    const background = () => readTheme(this.root).background;
    const told = { node: this.plot, frame: this.root, name, source, token, tablePath: paths.table };
    const chart = { ...told, background, plotly: () => this.plotly };
    const menu = buildMenu(chartItems(chart), name);
    if (this.menu) this.menu.replaceWith(menu);
    else this.root.append(menu);
    this.menu = menu;
  }

  onNear(entries) {
    if (this.isNear || !entries.some((entry) => entry.isIntersecting)) return;
    this.isNear = true;
    this.near.disconnect();
    this.draw();
  }

  // One after the other: plotly cannot be asked for a second plot while it makes the first.
  draw() {
    this.drawing = this.drawing.then(() => this.drawNow()).catch((error) => (this.plot.textContent = error.message));
  }

  async drawNow() {
    this.plotly ??= await loadPlotly(this.data.paths.plotly);
    if (!this.root.isConnected) return;
    const isFirst = !this.plot.classList.contains("js-plotly-plot");
    const layout = { ...this.figure.layout, uirevision: this.data.revision, shapes: this.shapes(), autosize: true };
    if (document.fullscreenElement === this.root) delete layout.height;
    await this.plotly.react(this.plot, this.figure.data, layout, CONFIG);
    if (isFirst) this.plot.on("plotly_click", (event) => this.onClick(event));
  }

  shapes() {
    const drawn = this.figure.layout.shapes ?? [];
    const step = cursorStep();
    if (step === null) return drawn;
    const color = readTheme(this.root).text;
    return [...drawn, ...this.steps.map((axis) => ({ ...cursorShape(step, color, axis), yref: this.heightOf(axis) }))];
  }

  // The panel that a horizontal axis belongs to: the line crosses that one alone.
  heightOf(axis) {
    const { anchor } = this.figure.layout[axis.replace("x", "xaxis")] ?? {};
    return `${anchor?.startsWith("y") ? anchor : axis.replace("x", "y")} domain`;
  }

  mark() {
    if (this.steps.length && this.plot.layout) {
      this.drawing = this.drawing.then(() => this.plotly.relayout(this.plot, { shapes: this.shapes() }));
    }
  }

  onClick({ points }) {
    const [point] = points;
    const axis = point?.xaxis?._id ?? "x";
    if (this.steps.includes(axis) && Number.isFinite(Number(point?.x))) moveCursor(Number(point.x));
  }

  onKey(event) {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way || !this.steps.length || event.ctrlKey || event.metaKey || event.altKey) return;
    moveCursor(this.next(way));
    event.preventDefault();
    event.stopPropagation();
  }

  // The recorded step before or after the cursor; from nowhere, the first or the last.
  next(way) {
    const steps = this.recorded();
    const at = cursorStep() ?? (way > 0 ? -1 : Infinity);
    const beyond = way > 0 ? steps.find((step) => step > at) : steps.findLast((step) => step < at);
    return beyond ?? cursorStep();
  }

  recorded() {
    // Packed arrays are unpacked in what plotly made of the data, not in the data.
    const traces = (this.plot._fullData ?? []).filter((trace) => this.steps.includes(trace.xaxis ?? "x"));
    const longest = traces.reduce((best, trace) => ((trace.x?.length ?? 0) > (best?.x?.length ?? 0) ? trace : best), null);
    return Array.from(longest?.x ?? [], Number).filter(Number.isFinite).sort((a, b) => a - b);
  }

  resize() {
    const isShown = this.root.offsetParent !== null || document.fullscreenElement === this.root;
    if (!isShown || !this.plot.layout || this.root.clientWidth === this.width) return;
    this.width = this.root.clientWidth;
    const isLarge = document.fullscreenElement === this.root;
    this.plot.style.height = isLarge ? "100%" : `${this.figure.layout.height}px`;
    const height = isLarge ? this.root.clientHeight : this.figure.layout.height;
    this.plotly.relayout(this.plot, { width: this.width, height });
  }

  remove() {
    this.near.disconnect();
    this.resizing.disconnect();
    this.forget();
    this.plotly?.purge(this.plot);
    this.root.remove();
  }
}
