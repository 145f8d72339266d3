// One line as the browser holds it: all of it, coarse if it is long, and a finer window while a chart is zoomed. It may
// stand for one series, or for the mean of several with the band that they fill.

import { extentOf, union } from "./outliers.js";
import { beginning, Smoother, typicalDistance } from "./smoothing.js";

// The server sends at most about 2,000 points at once; twice that is when a reduced redraw pays.
const MAX_HELD = 4000;

const GAP_PERIODS = 3; // a sample may come late; after so many periods of silence it is missing

const COLUMNS = ["steps", "times", "values", "smoothed"];
const BAND = ["low", "high"];

export class Line {
  // `series` is {ids, key, title, kind, unit, run, rank, timed}.
  constructor(series, maxHeld = MAX_HELD) {
    this.series = series;
    this.maxHeld = maxHeld;
    this.isBand = series.ids.length > 1;
    this.smoothing = 0;
    this.cursor = -1;
    this.wish = 0;
    this.held = this.columnsOf({}, 0);
    this.fine = null;
    this.exact = null;
    this.extent = null;
    this.wholeCount = 0;
    this.isReduced = false;
  }

  get question() {
    return `${this.series.ids.join("+")}:${this.cursor}`;
  }

  // Ask for all of it again, and show what is there until it comes; what is on its way does not count.
  forgetPlace() {
    this.cursor = -1;
    this.wish += 1;
  }

  // Take what the server sent to the wish that it notes: "unchanged", "appended", or "replaced".
  take(answer) {
    if (answer.wish !== this.wish) return "unchanged";
    if (answer.isReset) return this.takeWhole(answer);
    this.cursor = answer.cursor;
    const known = this.order(this.held);
    const fresh = this.order(answer);
    // A step that was written again or out of order cannot be appended: ask for the whole series.
    const disordered = known.length && !(fresh[0] > known[known.length - 1]);
    if (disordered || known.length + fresh.length > this.maxHeld) {
      this.cursor = -1;
      return "unchanged";
    }
    const before = this.smoother?.typical;
    const isLocal = this.smoothing > 0 && !this.isReduced; // what lies apart by how much is for all points to say
    const typical = isLocal ? typicalDistance(concat(known, fresh), concat(this.held.values, answer.values)) : before;
    const added = this.columnsOf(answer, answer.count);
    if (typical === before) added.smoothed = this.smoother.take(fresh, answer.values);
    this.held = join(this.held, added);
    if (typical === before) return "appended";
    this.smoothAnew();
    return "replaced";
  }

  takeWhole(answer) {
    this.held = this.columnsOf(answer, answer.count);
    this.isReduced = answer.total > answer.count;
    this.wholeCount = answer.count;
    this.extent = answer.extent ?? null;
    this.cursor = answer.cursor;
    if (answer.state) {
      const [mean, weight, lastX, typical] = answer.state;
      this.smoother = new Smoother(this.smoothing, { mean, weight, lastX, typical });
    } else if (!this.isBand) {
      this.smoothAnew();
    }
    return "replaced";
  }

  // Smooth so much from here on; true when the server has to be asked, since points are missing here.
  smooth(smoothing) {
    this.smoothing = smoothing;
    if (this.isReduced || this.isBand) return smoothing > 0;
    this.smoothAnew();
    return false;
  }

  // With every stored point at hand. What the server has thinned stays as it is until an answer comes.
  smoothAnew() {
    const { held } = this;
    this.smoother = new Smoother(this.smoothing, beginning(typicalDistance(this.order(held), held.values)));
    if (!this.isReduced) held.smoothed = this.smoother.take(this.order(held), held.values);
  }

  // Where most values lie; what came after a thinned whole may widen it.
  extentFor(isLog) {
    if (!this.isReduced) return extentOf(this.held.values, isLog);
    return union([this.extent, extentOf(this.held.values.slice(this.wholeCount), isLog)]);
  }

  // Lay a finer window over the coarse points; null takes it away.
  refine(answer) {
    this.fine = answer && answer.count ? this.columnsOf(answer, answer.count) : null;
  }

  // What to draw: coarse, fine inside its window, coarse.
  points() {
    if (!this.fine) return this.held;
    const order = this.order(this.held);
    const fine = this.order(this.fine);
    const before = lowerBound(order, fine[0]);
    const after = upperBound(order, fine[fine.length - 1]);
    return join(join(slice(this.held, 0, before), this.fine), slice(this.held, after, order.length));
  }

  // What the points are sorted by, and what a window of them is asked in.
  order(points) {
    return this.series.timed ? points.times : points.steps;
  }

  // {step, value} at a step or before it; null before the first. `exact` knows more of a line that is thinned.
  at(step) {
    if (this.exact?.asked === step) return this.exact;
    const { steps, values } = this.points();
    const place = upperBound(steps, step) - 1;
    return place < 0 ? null : { step: steps[place], value: values[place] };
  }

  // Every column of this line, out of those that an answer has.
  columnsOf(answer, count) {
    const names = this.isBand ? [...COLUMNS, ...BAND] : COLUMNS;
    return Object.fromEntries(names.map((name) => [name, answer[name]?.slice() ?? new Float64Array(count).fill(NaN)]));
  }
}

export function slice(points, from, to) {
  return Object.fromEntries(Object.entries(points).map(([name, column]) => [name, column.slice(from, to)]));
}

// Samples of a clock with a hole, NaN, wherever some are missing: a missing value is no line.
export function withGaps(points) {
  const { times } = points;
  const pauses = times.slice(1).map((time, index) => time - times[index]);
  const usual = pauses.slice().sort()[pauses.length >> 1];
  let from = 0;
  let whole = null;
  pauses.forEach((pause, index) => {
    if (!(pause > GAP_PERIODS * usual)) return;
    const stretch = join(slice(points, from, index + 1), holeAfter(points, index));
    whole = whole ? join(whole, stretch) : stretch;
    from = index + 1;
  });
  return whole ? join(whole, slice(points, from, times.length)) : points;
}

function holeAfter(points, index) {
  const hole = Object.fromEntries(Object.keys(points).map((name) => [name, Float64Array.of(NaN)]));
  hole.steps[0] = points.steps[index];
  hole.times[0] = (points.times[index] + points.times[index + 1]) / 2;
  return hole;
}

export function lowerBound(sorted, value) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function upperBound(sorted, value) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function join(first, second) {
  return Object.fromEntries(Object.keys(first).map((name) => [name, concat(first[name], second[name])]));
}

function concat(first, second) {
  const joined = new Float64Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}
