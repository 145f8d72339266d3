// The phases of a step as one stack, whose height is the step: one plot of many lines on common steps.

import { places } from "./axes.js";
import { Chart, CONFIG } from "./chart.js";
import { Line } from "./line.js";
import { tr } from "./words.js";

export const HEIGHT = 340;
const MAX_HELD = 1000; // steps: the server answers with at most 400 columns, and areas are dear to draw
const WHOLE = "step";
const PREFIX = "phase/";
const UNKNOWN = "#56b4e9";
const OPACITY = "d9"; // of a colour, as hexadecimal
const MAX_MARKS = 60;

export class StackedChart extends Chart {
  // `look` is {order, names, colors} of phases; `marks` are [first step, steps] of profiler windows.
  constructor(node, view, on, look) {
    super(node, view, on);
    this.height = HEIGHT;
    this.look = look;
    this.marked = [];
  }

  setLines(specs) {
    super.setLines(specs);
    this.lines.sort((a, b) => this.placeOf(a) - this.placeOf(b));
  }

  newLine(series) {
    return new Line(series, MAX_HELD);
  }

  async update(answers) {
    let isChanged = !this.isDrawn;
    for (const line of this.lines) {
      const answer = answers.get(line);
      if (answer && line.take(answer) !== "unchanged") isChanged = true;
    }
    // One that has to be asked for again takes the others with it: a stack stands on common steps.
    if (this.lines.some((line) => line.cursor < 0)) this.lines.forEach((line) => line.forgetPlace());
    if (isChanged) await this.draw();
  }

  async draw() {
    const isFirst = !this.node.classList.contains("js-plotly-plot");
    const traces = this.lines.map((line) => this.traceOf(line));
    await this.plotly("react", traces, this.layout(this.view.theme), CONFIG);
    if (isFirst) this.listen();
    this.isDrawn = true;
  }

  async redraw() {
    if (this.isDrawn) await this.draw();
  }

  async changeAxis() {
    this.coarsen();
    if (!this.isDrawn) return;
    await this.draw();
    await this.relayout({ "xaxis.autorange": true });
  }

  // A sum has no meaning on a logarithmic axis, and neither has the average of a stack's parts.
  changeScale() {
    return false;
  }

  async changeSmoothing() {
    return false;
  }

  changeTheme() {
    return this.redraw();
  }

  // Where profiler windows lie, drawn behind the stack.
  mark(windows) {
    if (String(windows) === String(this.marked)) return;
    this.marked = windows;
    this.redraw();
  }

  traceOf(line) {
    const name = this.nameOf(line);
    const points = line.points();
    const isWhole = name === WHOLE;
    const color = isWhole ? this.view.theme.text : Object.hasOwn(this.look.colors, name) ? this.look.colors[name] : UNKNOWN;
    line.drawn = points;
    return {
      type: "scatter",
      mode: "lines",
      x: places(points, this.view.axis, this.startOf(line)),
      y: points.values.slice(),
      name: isWhole ? tr("whole step") : Object.hasOwn(this.look.names, name) ? this.look.names[name] : name,
      uid: name,
      line: { color, width: isWhole ? 1 : 0.5, dash: isWhole ? "dot" : "solid" },
      ...(isWhole ? {} : { stackgroup: "phases", fillcolor: `${color}${OPACITY}` }),
    };
  }

  layout(theme) {
    const base = super.layout(theme);
    return {
      ...base,
      uirevision: this.view.axis,
      showlegend: true,
      hovermode: "x unified",
      legend: { ...base.legend, traceorder: "normal" },
      yaxis: { ...base.yaxis, type: "linear", rangemode: "tozero" },
    };
  }

  shapes() {
    const windows = this.view.axis === "step" ? this.marked.slice(-MAX_MARKS) : [];
    return [...windows.map((window) => shapeOf(window, this.view.theme)), ...super.shapes()];
  }

  lineOf(trace) {
    return this.lines[trace];
  }

  resize(height = HEIGHT) {
    super.resize(height);
  }

  valuesAt(step) {
    const whole = this.lines.find((line) => this.nameOf(line) === WHOLE)?.at(step ?? Infinity);
    return whole ? [{ color: this.view.theme.text, name: tr("whole step"), value: whole.value, unit: "s" }] : [];
  }

  told() {
    return tr("Seconds of a step by phase");
  }

  // Fetch the zoomed steps of all lines together, so that they stay on common steps.
  async refine() {
    const range = this.node.layout?.xaxis?.range;
    const reduced = this.lines.filter((line) => line.isReduced && line.held.steps.length);
    if (!range || !reduced.length) return;
    const [first, last] = this.windowOf(reduced[0], ...this.limitsOf(range));
    const answers = await this.on.askWindow(reduced, first, last);
    answers.forEach((answer, place) => reduced[place].refine(answer));
    await this.redraw();
  }

  nameOf(line) {
    return line.series.key.slice(PREFIX.length);
  }

  placeOf(line) {
    const name = this.nameOf(line);
    const place = this.look.order.indexOf(name);
    return name === WHOLE ? Infinity : place < 0 ? this.look.order.length : place;
  }
}

function shapeOf([step, count], theme) {
  return {
    type: "rect",
    xref: "x",
    yref: "paper",
    x0: step - 0.5,
    x1: step + count - 0.5,
    y0: 0,
    y1: 1,
    layer: "above",
    line: { width: 1, color: theme.text, dash: "dot" },
    fillcolor: "rgba(128,134,145,0.25)",
  };
}
