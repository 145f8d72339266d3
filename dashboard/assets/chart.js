// One plot of one key: a raw line and a smoothed one for each rank, and red marks where a value was not finite.

import { leastOf, limit, places, xAxis, yAxis } from "./axes.js";
import { Line, lowerBound, upperBound, withGaps } from "./line.js";
import { Smoother } from "./smoothing.js";
import { ALARM, themeLayout } from "./theme.js";

const HEIGHT = 240;
const GHOST_OPACITY = 0.3;
const SETTLE_MS = 150; // a drag of an axis reports every pixel; ask for the window once it rests
const TRACES_PER_LINE = 2;
export const CONFIG = {
  displaylogo: false,
  showSendToCloud: false,
  modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
};

export class Chart {
  // `view` is shared by all charts of a page: {axis, isLog, smoothing, startedAt, theme}.
  constructor(node, view, askWindow) {
    this.node = node;
    this.view = view;
    this.askWindow = askWindow;
    this.lines = [];
    this.smoothers = [];
    this.isDrawn = false;
    this.settling = null;
  }

  addLine(series) {
    const line = new Line(series);
    this.lines.push(line);
    this.isDrawn = false;
    return line;
  }

  // Take answers by series id and show them; a plain append leaves everything else of the plot as it is.
  async update(answers) {
    const wasFlat = this.isFlat();
    const outcomes = this.lines.map((line) => {
      const answer = answers.get(line.series.id);
      return answer ? [line.take(answer), answer] : ["unchanged", null];
    });
    if (!this.isDrawn) return this.draw();
    if (wasFlat && !this.isFlat()) await this.relayout({ "yaxis.rangemode": this.rangeMode() });
    const isGrown = outcomes.some(([outcome]) => outcome === "appended");
    const isReplaced = outcomes.some(([outcome]) => outcome === "replaced");
    // Where samples may be missing, a gap is seen only with the points before it.
    if (isReplaced || (isGrown && this.lines.some((line) => line.series.timed))) return this.redraw();
    for (const [index, [outcome, answer]] of outcomes.entries()) {
      if (outcome === "appended") await this.extend(index, answer);
    }
  }

  async draw() {
    const { theme } = this.view;
    const traces = this.lines.flatMap((line, index) => this.tracesOf(line, index));
    const isFirst = !this.node.classList.contains("js-plotly-plot");
    await window.Plotly.react(this.node, [...traces, this.marks()], this.layout(theme), CONFIG);
    if (isFirst) this.node.on("plotly_relayout", (change) => this.onRelayout(change));
    this.isDrawn = true;
  }

  // Put all data anew into the plot that is there: its node, zoom and legend stay.
  async redraw(layout = {}) {
    if (!this.isDrawn) return;
    const traces = this.lines.flatMap((line, index) => this.tracesOf(line, index));
    const marks = this.marks();
    const all = [...traces, marks];
    const pick = (name) => all.map((trace) => trace[name]);
    const data = { x: pick("x"), y: pick("y"), visible: pick("visible"), opacity: pick("opacity") };
    await window.Plotly.update(this.node, data, layout);
    await window.Plotly.restyle(this.node, styleOf(marks), [all.length - 1]);
  }

  async extend(index, answer) {
    const { axis, startedAt } = this.view;
    const raw = index * TRACES_PER_LINE;
    const smoothed = this.smoothers[index].take(answer.values);
    const x = places(answer, axis, startedAt);
    const data = { x: [x, x.slice()], y: [answer.values.slice(), smoothed] };
    await window.Plotly.extendTraces(this.node, data, [raw, raw + 1]);
    if (answer.values.some((value) => !Number.isFinite(value))) {
      const marks = this.marks();
      const data = { x: [marks.x], y: [marks.y], ...styleOf(marks) };
      await window.Plotly.restyle(this.node, data, [this.lines.length * TRACES_PER_LINE]);
    }
  }

  // Steps, seconds and dates have no range in common: the zoom goes, the rest of the plot stays.
  changeAxis() {
    this.coarsen();
    const { type, title } = xAxis(this.view.axis);
    return this.redraw({ "xaxis.type": type, "xaxis.title.text": title.text, "xaxis.autorange": true });
  }

  changeScale() {
    const { isLog } = this.view;
    const least = leastOf(this.lines[0].series.unit, isLog);
    return this.relayout({ "yaxis.type": isLog ? "log" : "linear", "yaxis.autorangeoptions.include": least, "yaxis.autorange": true });
  }

  async changeTheme() {
    await this.relayout(themeLayout(this.view.theme));
    if (!this.isDrawn) return;
    const colors = this.lines.flatMap((_, index) => [this.color(index), this.color(index)]);
    await window.Plotly.restyle(this.node, { "line.color": colors }, [...colors.keys()]);
  }

  async relayout(layout) {
    if (this.isDrawn) await window.Plotly.relayout(this.node, layout);
  }

  resize() {
    const isShown = this.node.offsetParent !== null; // plotly refuses to size what is not displayed
    if (this.isDrawn && isShown) window.Plotly.Plots.resize(this.node);
  }

  remove() {
    clearTimeout(this.settling);
    window.Plotly?.purge(this.node);
  }

  tracesOf(line, index) {
    const { axis, smoothing, startedAt } = this.view;
    const points = line.series.timed ? withGaps(line.points()) : line.points();
    const x = places(points, axis, startedAt);
    this.smoothers[index] = new Smoother(smoothing);
    const isSmoothed = smoothing > 0;
    const common = {
      type: "scatter",
      mode: x.length === 1 ? "lines+markers" : "lines",
      name: `rank ${line.series.rank}`,
      legendgroup: `rank ${line.series.rank}`,
      line: { color: this.color(index), width: 1.5 },
      connectgaps: false,
      hovertemplate: this.lines.length > 1 ? undefined : "%{y}<extra></extra>",
    };
    return [
      { ...common, x, y: points.values.slice(), visible: true, opacity: isSmoothed ? GHOST_OPACITY : 1 },
      {
        ...common,
        x: x.slice(),
        y: this.smoothers[index].take(points.values),
        visible: isSmoothed,
        opacity: 1,
        showlegend: false,
        hoverinfo: "skip",
        hovertemplate: undefined,
      },
    ];
  }

  marks() {
    const { axis, startedAt } = this.view;
    const found = { x: [], y: [], text: [], symbol: [] };
    for (const line of this.lines) {
      const points = line.points();
      const x = places(points, axis, startedAt);
      points.values.forEach((value, index) => {
        if (Number.isFinite(value)) return;
        found.x.push(x[index]);
        const kind = Number.isNaN(value) ? "NaN" : value > 0 ? "+∞" : "−∞";
        found.y.push(kind === "+∞" ? 0.96 : 0.04);
        found.text.push(kind);
        found.symbol.push({ NaN: "x", "+∞": "triangle-up", "−∞": "triangle-down" }[kind]);
      });
    }
    const { symbol, ...drawn } = found;
    return {
      ...drawn,
      type: "scatter",
      mode: "markers",
      name: "not finite",
      yaxis: "y2",
      visible: true,
      opacity: 1,
      showlegend: false,
      marker: { color: ALARM, symbol, size: 8 },
      hovertemplate: "%{text}<extra></extra>",
    };
  }

  layout(theme) {
    const { unit } = this.lines[0].series;
    const kept = this.node.layout; // of a plot that gains a line: where the reader has zoomed to
    const axis = { gridcolor: theme.grid, zeroline: false, automargin: true };
    return {
      height: HEIGHT,
      margin: { l: 8, r: 12, t: 8, b: 8 },
      font: { size: 11, color: theme.text },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      hovermode: "x",
      dragmode: "zoom",
      showlegend: this.lines.length > 1,
      legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom" },
      hoverlabel: { bgcolor: theme.background, font: { color: theme.text } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: theme.grid, activecolor: theme.text },
      xaxis: { ...axis, ...xAxis(this.view.axis), ...zoomOf(kept?.xaxis) },
      yaxis: { ...axis, ...yAxis(unit, this.view.isLog), rangemode: this.rangeMode(), ...zoomOf(kept?.yaxis) },
      yaxis2: { overlaying: "y", range: [0, 1], fixedrange: true, visible: false },
    };
  }

  // Plotly draws what never changes one unit to either side, where 0.001 and 0 look alike.
  rangeMode() {
    return this.isFlat() ? "tozero" : yAxis(this.lines[0].series.unit, false).rangemode ?? "normal";
  }

  isFlat() {
    const known = this.lines.flatMap((line) => Array.from(line.held.values.filter(Number.isFinite)));
    return known.every((value) => value === known[0]);
  }

  color(index) {
    const { colors } = this.view.theme;
    return colors[index % colors.length];
  }

  coarsen() {
    for (const line of this.lines) line.refine(null);
  }

  onRelayout(change) {
    clearTimeout(this.settling);
    if (change["xaxis.autorange"]) {
      const wasRefined = this.lines.some((line) => line.fine);
      this.coarsen();
      if (wasRefined) this.redraw();
    } else if ("xaxis.range[0]" in change || "xaxis.range" in change) {
      this.settling = setTimeout(() => this.refine(), SETTLE_MS);
    }
  }

  // Fetch the zoomed window of what was reduced to fit the whole chart.
  async refine() {
    const range = this.node.layout?.xaxis?.range;
    if (!range) return;
    const [low, high] = this.limitsOf(range);
    const reduced = this.lines.filter((line) => line.isReduced && line.held.steps.length);
    for (const line of reduced) {
      const [first, last] = this.windowOf(line, low, high);
      line.refine(await this.askWindow(line.series.id, first, last));
    }
    if (reduced.length) await this.redraw();
  }

  limitsOf(range) {
    return range.map((value) => limit(value, this.view.axis));
  }

  // The drawn range in what the line is sorted by, one coarse point wider on either side.
  windowOf(line, low, high) {
    const x = places(line.held, this.view.axis, this.view.startedAt);
    const order = line.order(line.held);
    const from = Math.max(0, lowerBound(x, low) - 1);
    const to = Math.min(order.length - 1, upperBound(x, high));
    return [order[from], order[to]];
  }
}

function styleOf(marks) {
  return { text: [marks.text], "marker.symbol": [marks.marker.symbol] };
}

function zoomOf(axis) {
  return axis?.autorange === false && axis.range ? { range: axis.range, autorange: false } : {};
}
