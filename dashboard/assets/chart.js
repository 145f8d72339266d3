// One plot of one key: a raw line and a smoothed one for each rank and run, bands of ranks, and red marks where a value
// was not finite.

import { leastOf, limit, places, xAxis, yAxis } from "./axes.js";
import { cursorShape } from "./cursor.js";
import { Line, lowerBound, upperBound, withGaps } from "./line.js";
import { marksOf, styleOf } from "./marks.js";
import { quantity } from "./numbers.js";
import { limitsOf, union } from "./outliers.js";
import { layoutOf, themeLayout } from "./theme.js";
import { tracesOf } from "./traces.js";
import { tr } from "./words.js";

const HEIGHT = 240;
const SETTLE_MS = 150; // a drag of an axis reports every pixel; ask for the window once it rests
const MOVED_SHARE = 0.02; // of the extent that is shown without outliers: below that the axis stays as it is
export const CONFIG = {
  displaylogo: false,
  showSendToCloud: false,
  modeBarButtonsToRemove: ["toImage", "lasso2d", "select2d", "autoScale2d"],
};

export class Chart {
  // `view` is shared by all charts of a page: {axis, isLog, smoothing, ignoresOutliers, startedAt: one for each run,
  // theme, hasRuns, lookOf(line, lines)}. `on` holds askWindow(lines, first, last) and pick(step).
  constructor(node, view, on) {
    this.node = node;
    this.view = view;
    this.on = on;
    this.lines = [];
    this.height = HEIGHT;
    this.isDrawn = false;
    this.isRemoved = false;
    this.queue = Promise.resolve();
    this.settling = null;
    this.cursor = null;
    this.clip = [null, null];
  }

  // Draw these lines from now on; those that are here already keep their points.
  setLines(specs) {
    const held = new Map(this.lines.map((line) => [String(line.series.ids), line]));
    this.lines = specs.map((series) => held.get(String(series.ids)) ?? this.newLine(series));
    this.lines.forEach((line) => line.smooth(this.view.smoothing));
    this.isDrawn = false;
  }

  newLine(series) {
    return new Line(series);
  }

  // Take answers by line and show them; a plain append leaves everything else of the plot as it is.
  async update(answers) {
    const wasFlat = this.isFlat();
    const outcomes = this.lines.map((line) => {
      const answer = answers.get(line);
      return answer ? [line.take(answer), answer] : ["unchanged", null];
    });
    if (!this.isDrawn) return this.draw();
    if (wasFlat && !this.isFlat()) await this.relayout({ "yaxis.rangemode": this.rangeMode() });
    const isGrown = outcomes.some(([outcome]) => outcome === "appended");
    const isReplaced = outcomes.some(([outcome]) => outcome === "replaced");
    if (isGrown || isReplaced) await this.clipAnew();
    // Where samples may be missing, a gap is seen only with the points before it.
    if (isReplaced || (isGrown && this.lines.some((line) => line.series.timed))) return this.redraw();
    for (const [index, [outcome, answer]] of outcomes.entries()) {
      if (outcome === "appended") await this.extend(index, answer);
    }
  }

  async draw() {
    const { theme } = this.view;
    const isFirst = !this.node.classList.contains("js-plotly-plot");
    this.clip = this.limits();
    await this.plotly("react", [...this.traces(), this.marks()], this.layout(theme), CONFIG);
    if (isFirst) this.listen();
    this.isDrawn = true;
  }

  // One change of the plot after the other: plotly takes no second one while it makes the first.
  plotly(verb, ...what) {
    this.queue = this.queue.catch(() => {}).then(() => (this.isRemoved ? null : this.view.plotly[verb](this.node, ...what)));
    return this.queue;
  }

  listen() {
    this.node.on("plotly_relayout", (change) => this.onRelayout(change));
    this.node.on("plotly_click", ({ points }) => this.onClick(points));
  }

  // Put all data anew into the plot that is there: its node, zoom and legend stay.
  async redraw(layout = {}) {
    if (!this.isDrawn) return;
    const marks = this.marks();
    const all = [...this.traces(), marks];
    const pick = (name) => all.map((trace) => trace[name]);
    const changed = ["x", "y", "visible", "showlegend", "opacity", "mode"];
    const data = Object.fromEntries(changed.map((name) => [name, pick(name)]));
    await this.plotly("update", data, { ...this.types(), ...layout, shapes: this.shapes() });
    await this.plotly("restyle", styleOf(marks), [all.length - 1]);
  }

  async extend(index, answer) {
    const line = this.lines[index];
    const x = places(answer, this.view.axis, this.startOf(line));
    const smoothed = line.held.smoothed.slice(-answer.count);
    const raw = this.places.get(line);
    await this.plotly("extendTraces", { x: [x, x.slice()], y: [answer.values.slice(), smoothed] }, [raw, raw + 1]);
    if (answer.values.some((value) => !Number.isFinite(value))) {
      const marks = this.marks();
      const data = { x: [marks.x], y: [marks.y], ...styleOf(marks) };
      await this.plotly("update", data, this.types(), [this.node.data.length - 1]);
    }
  }

  // New data makes plotly guess what its axes are, dates for one, unless it is told again.
  types() {
    return { "xaxis.type": xAxis(this.view.axis).type, "yaxis.type": this.view.isLog ? "log" : "linear" };
  }

  // Smooth by the view's weight; true when lines that the server has thinned have to be asked for.
  async changeSmoothing() {
    const thinned = this.lines.filter((line) => line.smooth(this.view.smoothing));
    thinned.forEach((line) => line.forgetPlace());
    if (this.isDrawn && !thinned.length) await this.redraw();
    else if (this.isDrawn && this.lines.some((line) => line.fine)) this.refine();
    return thinned.length > 0;
  }

  // Steps, seconds and dates have no range in common: the zoom goes, the rest of the plot stays.
  changeAxis() {
    this.coarsen();
    return this.redraw({ "xaxis.title.text": xAxis(this.view.axis).title.text, "xaxis.autorange": true });
  }

  // Of what is thinned here, the server has to say where most values lie.
  async changeScale() {
    const { isLog, ignoresOutliers } = this.view;
    const thinned = ignoresOutliers ? this.lines.filter((line) => line.isReduced) : [];
    thinned.forEach((line) => line.forgetPlace());
    const least = leastOf(this.lines[0].series.unit, isLog);
    this.clip = this.limits();
    await this.relayout({
      "yaxis.type": isLog ? "log" : "linear",
      "yaxis.autorangeoptions.include": least,
      ...this.clipLayout(),
      "yaxis.autorange": true,
    });
    return thinned.length > 0;
  }

  async clipAnew() {
    if (!this.view.ignoresOutliers) return;
    const [low, high] = this.limits();
    const [before, after] = this.clip;
    const little = MOVED_SHARE * (high - low);
    if (before !== null && Math.abs(low - before) <= little && Math.abs(high - after) <= little) return;
    this.clip = [low, high];
    await this.relayout(this.clipLayout());
  }

  limits() {
    const { isLog, ignoresOutliers } = this.view;
    return limitsOf(ignoresOutliers ? union(this.lines.map((line) => line.extentFor(isLog))) : null, isLog);
  }

  clipLayout() {
    const [low, high] = this.clip;
    return { "yaxis.autorangeoptions.clipmin": low, "yaxis.autorangeoptions.clipmax": high };
  }

  async changeTheme() {
    await this.relayout({ ...themeLayout(this.view.theme), shapes: this.shapes() });
    if (this.isDrawn) await this.draw();
  }

  async relayout(layout) {
    if (this.isDrawn) await this.plotly("relayout", layout);
  }

  // The plot takes the width of its frame, and of a screen that it fills the height too.
  resize(height = HEIGHT) {
    const isShown = this.node.getClientRects().length > 0; // plotly refuses to size what is not displayed
    this.height = height;
    if (this.isDrawn && isShown) this.plotly("relayout", { height, width: this.node.clientWidth });
  }

  remove() {
    this.isRemoved = true;
    clearTimeout(this.settling);
    this.view.plotly?.purge(this.node);
  }

  // The raw and the smoothed trace of each line, those of a band's edges before them; notes where the raw one stands.
  traces() {
    this.places = new Map();
    const traces = [];
    for (const line of this.lines) {
      const own = this.tracesOf(line);
      this.places.set(line, traces.length + own.length - 2);
      traces.push(...own);
    }
    return traces;
  }

  tracesOf(line) {
    const points = line.series.timed ? withGaps(line.points()) : line.points();
    line.drawn = points;
    const x = places(points, this.view.axis, this.startOf(line));
    const look = { ...this.view.lookOf(line, this.lines), isSmoothed: this.view.smoothing > 0, isAlone: this.lines.length === 1 };
    return tracesOf(line, points, x, look);
  }

  marks() {
    return marksOf(this.lines, (line, points) => places(points, this.view.axis, this.startOf(line)));
  }

  startOf(line) {
    return this.view.startedAt[line.series.run] ?? 0;
  }

  layout(theme) {
    const base = layoutOf(theme, this.height);
    const kept = this.node.layout; // of a plot that gains a line: where the reader has zoomed to
    const [clipmin, clipmax] = this.clip;
    const vertical = yAxis(this.lines[0].series.unit, this.view.isLog);
    const autorangeoptions = { ...vertical.autorangeoptions, clipmin, clipmax };
    return {
      ...base,
      showlegend: this.lines.length > 1 && !this.view.hasRuns,
      xaxis: { ...base.xaxis, ...xAxis(this.view.axis), ...zoomOf(kept?.xaxis) },
      yaxis: { ...base.yaxis, ...vertical, autorangeoptions, rangemode: this.rangeMode(), ...zoomOf(kept?.yaxis) },
      shapes: this.shapes(),
    };
  }

  shapes() {
    const place = this.cursor === null ? null : this.placeOfStep(this.cursor);
    return place === null ? [] : [cursorShape(place, this.view.theme.text)];
  }

  // Where a step lies on the axis: by the clock, where the first line that has come so far recorded it.
  placeOfStep(step) {
    if (this.view.axis === "step") return step;
    for (const line of this.lines) {
      const points = line.points();
      const index = upperBound(points.steps, step) - 1;
      if (index >= 0) return places(slicedAt(points, index), this.view.axis, this.startOf(line))[0];
    }
    return null;
  }

  async showCursor(step) {
    this.cursor = step;
    await this.relayout({ shapes: this.shapes() });
  }

  // Plotly draws what never changes one unit to either side, where 0.001 and 0 look alike.
  rangeMode() {
    return this.isFlat() ? "tozero" : yAxis(this.lines[0].series.unit, false).rangemode ?? "normal";
  }

  isFlat() {
    const known = this.lines.flatMap((line) => Array.from(line.held.values.filter(Number.isFinite)));
    return known.every((value) => value === known[0]);
  }

  coarsen() {
    for (const line of this.lines) line.refine(null);
  }

  // The nearest recorded step of the line that was clicked.
  onClick([point]) {
    const line = this.lineOf(point?.curveNumber);
    const step = line?.drawn.steps[point.pointIndex];
    if (Number.isFinite(step)) this.on.pick(step);
  }

  lineOf(trace) {
    return [...this.places].find(([, place]) => place === trace || place + 1 === trace)?.[0];
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
      line.refine((await this.on.askWindow([line], first, last))[0] ?? null);
    }
    if (reduced.length) await this.redraw();
  }

  limitsOf(range) {
    return range.map((value) => limit(value, this.view.axis));
  }

  // The drawn range in what the line is sorted by, one coarse point wider on either side.
  windowOf(line, low, high) {
    const x = places(line.held, this.view.axis, this.startOf(line));
    const order = line.order(line.held);
    const from = Math.max(0, lowerBound(x, low) - 1);
    const to = Math.min(order.length - 1, upperBound(x, high));
    return [order[from], order[to]];
  }

  // {color, name, value, unit} of each line at a step or before it, or at its last point.
  valuesAt(step) {
    return this.lines.flatMap((line) => {
      const found = line.at(step ?? Infinity);
      const { color, name } = this.view.lookOf(line, this.lines);
      return found ? [{ color, name, value: found.value, unit: line.series.unit }] : [];
    });
  }

  // The takeaway, for those who do not see the plot.
  told() {
    const { held, series } = this.lines[0];
    const last = held.steps.length - 1;
    if (last < 0) return series.title;
    const value = quantity(held.values[last], series.unit);
    return tr("{name}: {value} at step {step}", { name: series.title, value, step: held.steps[last] });
  }
}

function slicedAt(points, index) {
  return { steps: points.steps.slice(index, index + 1), times: points.times.slice(index, index + 1) };
}

function zoomOf(axis) {
  return axis?.autorange === false && axis.range ? { range: axis.range, autorange: false } : {};
}
