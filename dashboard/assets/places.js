// Recorded steps of lines that are thinned here: what lies between the points that are drawn is for the server to say.

import { lowerBound, upperBound } from "./line.js";

// Note on each thinned line its value at a step or before it. Lines by the clock have no window of steps.
export async function exactly(lines, step, askWindow) {
  const thinned = lines.filter((line) => line.isReduced && !line.series.timed && line.at(step));
  if (!thinned.length) return;
  const first = Math.min(...thinned.map((line) => line.at(step).step));
  const answers = await askWindow(thinned, first, step);
  thinned.forEach((line, place) => {
    const last = (answers[place]?.count ?? 0) - 1;
    if (last >= 0) line.exact = { asked: step, step: answers[place].steps[last], value: answers[place].values[last] };
  });
}

// The recorded step of a chart's first line before or after a step; from nowhere, its last or its first one. Null where
// there is none.
export async function neighbour(chart, step, way, askWindow) {
  const line = chart.lines[0];
  const { steps } = line.points();
  if (!steps.length) return null;
  if (step === null) return way > 0 ? steps[0] : steps[steps.length - 1];
  if (!line.isReduced || line.series.timed) return nextOf(steps, step, way);
  const first = steps[Math.max(0, lowerBound(steps, step) - 1)];
  const last = steps[Math.min(steps.length - 1, upperBound(steps, step))];
  const answer = (await askWindow([line], first, last))[0];
  return nextOf(answer?.steps ?? steps, step, way);
}

function nextOf(steps, step, way) {
  const place = way > 0 ? upperBound(steps, step) : lowerBound(steps, step) - 1;
  return steps[place] ?? null;
}
