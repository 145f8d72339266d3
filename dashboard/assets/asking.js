// What the live page asks the server: what is new in lines, and windows of them, in portions that it answers at once.

import { ask } from "./wire.js";

const SERIES_PER_QUESTION = 64; // what the server allows (live_answers.py)

export class Asking {
  // `view` is that of the charts; `data()` what the page is drawn from.
  constructor(view, data) {
    this.view = view;
    this.data = data;
  }

  // {header, answers}: the header of the last portion, and of each line that has news an answer with the wish it met.
  async news(lines, known) {
    const { isLog, smoothing, ignoresOutliers } = this.view;
    const { runs, kinds, token, paths } = this.data();
    const query = { run: runs.map((run) => run.id).join(","), kinds: kinds.join(","), known };
    if (smoothing > 0) query.smoothing = smoothing;
    if (ignoresOutliers) query.extent = isLog ? "positive" : "all";
    const answers = new Map();
    let header = null;
    for (const part of partsOf(lines)) {
      const wishes = part.map((line) => line.wish);
      header = await ask(paths.series, { ...query, series: asked(part) }, token);
      for (const answer of header.series) answers.set(part[answer.place], { ...answer, wish: wishes[answer.place] });
    }
    return { header, answers };
  }

  // Answers to a window of at most so many lines, in their order; null where nothing is left of a line.
  async window(lines, first, last) {
    const { smoothing } = this.view;
    const { token, paths } = this.data();
    const query = { series: asked(lines), first, last, ...(smoothing > 0 ? { smoothing } : {}) };
    const answer = await ask(paths.window, query, token);
    const found = new Map(answer.series.map((one) => [one.place, one]));
    return lines.map((_, place) => found.get(place) ?? null);
  }
}

function asked(lines) {
  return lines.map((line) => line.question).join(",");
}

// Lines in portions that the server answers at once; one empty portion where there are none.
export function partsOf(lines) {
  const parts = [[]];
  let count = 0;
  for (const line of lines) {
    const { length } = line.series.ids;
    if (count + length > SERIES_PER_QUESTION && count) {
      parts.push([]);
      count = 0;
    }
    parts[parts.length - 1].push(line);
    count += length;
  }
  return parts;
}
