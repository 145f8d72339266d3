// Draws a time line on two canvases: the axis, and below it lanes of rows of slices or of how busy they were.

import { element } from "./element.js";
import { inkOn, sliceColor } from "./slice_colors.js";
import { ticks } from "./time_axis.js";
import { tr } from "./words.js";

const ROW = 17; // px, of which one is space
const LANE_GAP = 9;
const AXIS = 30;
const GUTTER = 150;
const NARROW = 560; // px: below it the names of lanes stand above their rows
const TITLE = 15;
const TICK = 95; // px between two ticks
const LEAST_TEXT = 30; // px that a slice needs to carry its name
const FONT = "11px system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif";
const FAINTEST = 0.18;
const SHADE = 0.16; // of the chosen step

export class Canvas {
  constructor(phases) {
    this.phases = phases;
    this.axis = element("canvas", "tg-timeline-axis");
    this.plot = element("canvas", "tg-timeline-plot");
    this.plot.tabIndex = 0;
    this.plot.setAttribute("role", "img");
    this.plot.setAttribute("aria-label", tr("Time line of the window: lanes of threads and streams over time"));
    this.scroller = element("div", "tg-timeline-scroller");
    this.scroller.append(this.plot);
    this.width = 0;
    this.height = 0;
    this.tops = [];
  }

  get isNarrow() {
    return this.width < NARROW;
  }

  get gutter() {
    return this.isNarrow ? 0 : GUTTER;
  }

  get plotWidth() {
    return Math.max(1, (this.width || 800) - this.gutter);
  }

  // Take a width and the rows of an answer; true when something else is to be asked for.
  fit(width, answer) {
    const isWider = width !== this.width && width > 0;
    if (width > 0) this.width = width;
    let y = 4;
    let lane = -1;
    this.tops = (answer?.rows ?? []).map((row) => {
      if (row.lane !== lane) y += (lane < 0 ? 0 : LANE_GAP) + (this.isNarrow ? TITLE : 0);
      lane = row.lane;
      y += ROW;
      return y - ROW;
    });
    this.height = y + 4;
    size(this.axis, this.width, AXIS);
    size(this.plot, this.width, this.height);
    return isWider && answer !== null;
  }

  // Place of a pointer across the plot, from 0 to 1.
  shareAt(event) {
    const x = event.clientX - this.plot.getBoundingClientRect().left - this.gutter;
    return Math.min(Math.max(x / this.plotWidth, 0), 1);
  }

  // `steps` are [number, start, end] in ns; the one that is `chosen` is shaded.
  draw(answer, view, { steps, chosen, theme, brush }) {
    const place = (time) => this.gutter + ((time - view.first) / (view.last - view.first)) * this.plotWidth;
    const shaded = steps.find(([number]) => number === chosen);
    this.drawAxis(view, steps, shaded, theme, place, brush);
    const pen = this.penOf(this.plot, theme);
    if (!answer) return;
    this.shade(pen, shaded, theme, place, this.height);
    this.drawGrid(pen, view, steps, theme, place);
    pen.save();
    pen.beginPath();
    pen.rect(this.gutter, 0, this.plotWidth, this.height);
    pen.clip();
    if (answer.mode === "slices") this.drawSlices(pen, answer, place, theme);
    else this.drawMap(pen, answer, place);
    pen.restore();
    this.drawLanes(pen, answer, theme);
  }

  penOf(canvas, theme) {
    const ratio = window.devicePixelRatio || 1;
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.font = FONT;
    pen.textBaseline = "middle";
    pen.fillStyle = theme.text;
    return pen;
  }

  // The stretch of the chosen step, behind everything.
  shade(pen, step, theme, place, height) {
    if (!step) return;
    const from = Math.max(place(step[1]), this.gutter);
    pen.fillStyle = theme.colors[0];
    pen.globalAlpha = SHADE;
    pen.fillRect(from, 0, Math.max(place(step[2]) - from, 0), height);
    pen.globalAlpha = 1;
    pen.fillStyle = theme.text;
  }

  drawAxis(view, steps, shaded, theme, place, brush) {
    const pen = this.penOf(this.axis, theme);
    this.shade(pen, shaded, theme, place, AXIS);
    if (brush) {
      pen.fillStyle = theme.grid;
      pen.fillRect(this.gutter + brush[0] * this.plotWidth, 0, (brush[1] - brush[0]) * this.plotWidth, AXIS);
      pen.fillStyle = theme.text;
    }
    for (const { at, label } of ticks(view.first, view.last, this.plotWidth / TICK)) {
      const x = place(at);
      pen.globalAlpha = 0.75;
      if (x + pen.measureText(label).width + 4 < this.width) pen.fillText(label, x + 3, 22);
      pen.globalAlpha = 0.35;
      pen.fillRect(x, 14, 1, AXIS - 14);
    }
    pen.globalAlpha = 1;
    for (const [number, start, end] of steps) {
      const label = tr("step {step}", { step: number.toLocaleString("en") });
      const from = Math.max(place(start), this.gutter);
      if (place(end) - from > pen.measureText(label).width + 8) pen.fillText(label, from + 3, 7);
    }
  }

  drawGrid(pen, view, steps, theme, place) {
    pen.fillStyle = theme.grid;
    for (const { at } of ticks(view.first, view.last, this.plotWidth / TICK)) pen.fillRect(place(at), 0, 1, this.height);
    pen.fillStyle = theme.text;
    pen.globalAlpha = 0.5;
    for (const [, start] of steps) if (start >= view.first) pen.fillRect(place(start), 0, 1, this.height);
    pen.globalAlpha = 1;
  }

  drawLanes(pen, answer, theme) {
    let lane = -1;
    answer.rows.forEach((row, index) => {
      if (row.lane === lane) return;
      lane = row.lane;
      const top = this.tops[index];
      const y = this.isNarrow ? top - TITLE / 2 : top + ROW / 2;
      pen.fillStyle = theme.text;
      pen.fillText(shortened(pen, answer.lanes[lane].title, this.isNarrow ? this.width : GUTTER - 10), 0, y);
      if (index === 0) return;
      pen.fillStyle = theme.grid;
      pen.fillRect(0, top - (this.isNarrow ? TITLE : 0) - LANE_GAP / 2, this.width, 1);
    });
  }

  drawSlices(pen, answer, place, theme) {
    const { row, start_ns: starts, duration_ns: lengths, name, kind, clipped } = answer.columns;
    for (let index = 0; index < row.length; index += 1) {
      const from = place(starts[index]);
      const width = Math.max(place(starts[index] + lengths[index]) - from, 1);
      const top = this.tops[row[index]];
      const text = answer.names[name[index]] ?? "";
      pen.fillStyle = sliceColor(text, kind[index], this.phases);
      pen.fillRect(from, top, Math.max(width - 0.5, 1), ROW - 1);
      if (clipped[index]) {
        pen.fillStyle = theme.text;
        pen.fillRect(from, top + ROW - 3, Math.max(width - 0.5, 1), 2);
      }
      const begin = Math.max(from, this.gutter);
      const room = Math.min(from + width, this.width) - begin - 6;
      if (room < LEAST_TEXT) continue;
      pen.fillStyle = inkOn(kind[index]);
      pen.fillText(shortened(pen, text, room), begin + 3, top + ROW / 2);
    }
  }

  drawMap(pen, answer, place) {
    const { share, name, kind } = answer.columns;
    const bins = share.length / answer.rows.length;
    const edge = (bin) => place(answer.first_ns + ((answer.last_ns - answer.first_ns) * bin) / bins);
    const colors = new Map();
    for (let row = 0; row < answer.rows.length; row += 1) {
      const base = row * bins;
      for (let bin = 0; bin < bins; ) {
        const index = base + bin;
        let next = bin + 1;
        while (next < bins && share[base + next] === share[index] && name[base + next] === name[index]) next += 1;
        if (share[index]) {
          const key = name[index] * 32 + kind[index];
          if (!colors.has(key)) colors.set(key, sliceColor(answer.names[name[index]] ?? "", kind[index], this.phases));
          pen.fillStyle = colors.get(key);
          pen.globalAlpha = FAINTEST + ((1 - FAINTEST) * share[index]) / 255;
          pen.fillRect(edge(bin), this.tops[row], edge(next) - edge(bin) + 0.3, ROW - 1);
        }
        bin = next;
      }
    }
    pen.globalAlpha = 1;
  }

  // The slice or the bin below a pointer, null where nothing is.
  itemAt(event, answer, view) {
    const y = event.clientY - this.plot.getBoundingClientRect().top;
    const row = this.tops.findIndex((top) => y >= top && y < top + ROW);
    if (row < 0) return null;
    const time = view.first + this.shareAt(event) * (view.last - view.first);
    const lane = answer.lanes[answer.rows[row].lane].title;
    const found = answer.mode === "slices" ? sliceAt(answer, row, time, view, this.plotWidth) : binAt(answer, row, time);
    return found && { ...found, lane };
  }
}

function sliceAt({ columns, names }, row, time, view, width) {
  const slack = (1.5 * (view.last - view.first)) / width; // a slice is at least a pixel wide
  let best = null;
  for (let index = 0; index < columns.row.length; index += 1) {
    if (columns.row[index] !== row) continue;
    const start = columns.start_ns[index];
    const end = start + columns.duration_ns[index];
    const away = Math.max(start - time, time - end, 0);
    if (away <= slack && (best === null || away < best.away)) best = { away, index };
  }
  if (!best) return null;
  const { index } = best;
  return {
    name: names[columns.name[index]],
    kind: columns.kind[index],
    start: columns.start_ns[index],
    length: columns.duration_ns[index],
    isClipped: columns.clipped[index] === 1,
  };
}

function binAt(answer, row, time) {
  const { share, name, kind } = answer.columns;
  const bins = share.length / answer.rows.length;
  const length = (answer.last_ns - answer.first_ns) / bins;
  const bin = Math.floor((time - answer.first_ns) / length);
  const index = row * bins + bin;
  if (bin < 0 || bin >= bins || !share[index]) return null;
  return { name: answer.names[name[index]], kind: kind[index], length, share: share[index] / 255 };
}

function size(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide) canvas.width = wide;
  if (canvas.height !== high) canvas.height = high;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
}

// Text that fits into a width: kernels differ at their beginning, so the end goes.
function shortened(pen, text, room) {
  const most = Math.floor(room / 4); // no letter of the font is narrower on average
  let shown = text.length > most ? text.slice(0, most) : text;
  if (shown.length === text.length && pen.measureText(shown).width <= room) return shown;
  while (shown && pen.measureText(`${shown}…`).width > room) shown = shown.slice(0, -Math.max(1, shown.length >> 3));
  return shown && `${shown}…`;
}
