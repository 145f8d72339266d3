// Which charts there are, in the order in which they are read, and the lines of each.

import { mark, tr } from "./words.js";

const GROUP_TITLES = {
  "": mark("General"),
  host: mark("Host"),
  torchglass: mark("torchglass itself"),
  phase: mark("Time of a step by phase"),
  work: mark("Work done"),
  memory: mark("Memory"),
  explanation: mark("Probes explained during training"),
};
const LAST_GROUP = "explanation"; // how maps drift is read after what was learnt, whichever was recorded first
export const STACKED = "phase"; // kind of the series that are drawn as one stack

// A chart for each key: {key, title, prefix, series}, those of a group beside each other.
export function entriesOf(catalogue) {
  const entries = new Map();
  const places = new Map();
  for (const series of [...catalogue].sort((a, b) => a.run - b.run || a.id - b.id)) {
    const key = series.kind === STACKED ? STACKED : series.key;
    const prefix = prefixOf(series.key);
    if (!places.has(prefix)) places.set(prefix, places.size);
    if (!entries.has(key)) entries.set(key, { key, prefix, title: series.title, place: entries.size, series: [] });
    entries.get(key).series.push(series);
  }
  return [...entries.values()].sort(
    (a, b) => rankOf(a.prefix, places) - rankOf(b.prefix, places) || isLoss(b.key) - isLoss(a.key) || a.place - b.place,
  );
}

// The lines of a chart: one a rank, one for the mean of them, or that of a single rank; for each run.
export function linesOf({ series }, ranks) {
  if (ranks !== "mean") {
    const chosen = ranks === "all" ? series : series.filter((one) => String(one.rank) === ranks);
    return (chosen.length ? chosen : series).map((one) => ({ ...one, ids: [one.id] }));
  }
  const runs = Map.groupBy(series, (one) => one.run);
  return [...runs.values()].map((several) => ({ ...several[0], ids: several.map((one) => one.id) }));
}

// Those whose name has the text in it, or matches it as a regular expression.
export function matching(entries, text) {
  const pattern = patternOf(text.trim());
  return entries.filter(({ key, title }) => [key, title].some((name) => pattern.test(name)));
}

export function titleOf(prefix) {
  if (Object.hasOwn(GROUP_TITLES, prefix)) return tr(GROUP_TITLES[prefix]);
  const gpu = /^gpu(\d+)$/.exec(prefix);
  return gpu ? `GPU ${gpu[1]}` : prefix;
}

function prefixOf(key) {
  return key.includes("/") ? key.slice(0, key.indexOf("/")) : "";
}

function rankOf(prefix, places) {
  if (prefix === "") return -1;
  return prefix === LAST_GROUP ? Infinity : places.get(prefix);
}

// What a reader looks for first stands first, whatever was logged before it.
function isLoss(key) {
  return Number(key.slice(key.lastIndexOf("/") + 1) === "loss");
}

function patternOf(text) {
  try {
    return new RegExp(text, "i");
  } catch {
    return new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i");
  }
}
