// One series as the browser holds it: all of it, coarse if it is long, and a finer window while a chart is zoomed.

// The server sends at most about 2,000 points at once; twice that is when a reduced redraw pays.
const MAX_HELD = 4000;

const GAP_PERIODS = 3; // a sample may come late; after so many periods of silence it is missing

const EMPTY = { steps: new Float64Array(), times: new Float64Array(), values: new Float64Array() };
const COLUMNS = ["steps", "times", "values"];

export class Line {
  constructor(series, maxHeld = MAX_HELD) {
    this.series = series;
    this.maxHeld = maxHeld;
    this.forget();
  }

  forget() {
    this.cursor = -1;
    this.held = EMPTY;
    this.fine = null;
    this.isReduced = false;
  }

  // Ask for all of it again, and show what is there until it comes.
  forgetPlace() {
    this.cursor = -1;
  }

  // Take what the server sent: "unchanged", "appended", or "replaced".
  take(answer) {
    if (answer.reset) {
      this.held = copy(answer);
      this.isReduced = answer.total > answer.count;
      this.cursor = answer.cursor;
      return "replaced";
    }
    this.cursor = answer.cursor;
    if (!answer.count) return "unchanged";
    const known = this.order(this.held);
    const fresh = this.order(answer);
    // A step that was written again or out of order cannot be appended: ask for the whole series.
    const disordered = known.length && !(fresh[0] > known[known.length - 1]);
    if (disordered || known.length + fresh.length > this.maxHeld) {
      this.cursor = -1;
      return "unchanged";
    }
    this.held = join(this.held, answer);
    return "appended";
  }

  // Lay a finer window over the coarse points; null takes it away.
  refine(answer) {
    this.fine = answer && answer.count ? copy(answer) : null;
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
}

export function slice(points, from, to) {
  return Object.fromEntries(COLUMNS.map((column) => [column, points[column].slice(from, to)]));
}

// Samples of a clock with a hole, NaN, wherever some are missing: a missing value is no line.
export function withGaps(points) {
  const { times } = points;
  const pauses = times.slice(1).map((time, index) => time - times[index]);
  const usual = pauses.slice().sort()[pauses.length >> 1];
  let from = 0;
  let whole = EMPTY;
  pauses.forEach((pause, index) => {
    if (!(pause > GAP_PERIODS * usual)) return;
    whole = join(join(whole, slice(points, from, index + 1)), holeAfter(points, index));
    from = index + 1;
  });
  return from ? join(whole, slice(points, from, times.length)) : points;
}

function holeAfter({ steps, times }, index) {
  return {
    steps: Float64Array.of(steps[index]),
    times: Float64Array.of((times[index] + times[index + 1]) / 2),
    values: Float64Array.of(NaN),
  };
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

function copy(points) {
  return slice(points, 0, points.steps.length);
}

function join(first, second) {
  return Object.fromEntries(
    COLUMNS.map((column) => {
      const joined = new Float64Array(first[column].length + second[column].length);
      joined.set(first[column]);
      joined.set(second[column], first[column].length);
      return [column, joined];
    }),
  );
}
