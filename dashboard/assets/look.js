// Colour, dash and name of a line: with several runs a colour for each run and a dash for each rank, else a colour a rank.

import { tr } from "./words.js";

const DASHES = ["solid", "dash", "dot", "dashdot"];

// `line` among the `lines` of its chart; `runs` are {label}, as plotly may show it.
export function lookOf(line, lines, runs, colors) {
  const { run, rank } = line.series;
  const ranks = [...new Set(lines.filter((other) => other.series.run === run).map((other) => other.series.rank))];
  const place = Math.max(0, ranks.indexOf(rank));
  const rankName = line.isBand ? tr("mean of {count} ranks", { count: line.series.ids.length }) : tr("rank {rank}", { rank });
  if (runs.length === 1) return { ...styled(colors, place, 0), name: rankName };
  const hasRanks = ranks.length > 1 || line.isBand;
  return { ...styled(colors, run, place), name: hasRanks ? `${runs[run].label}, ${rankName}` : runs[run].label };
}

// Colours begin again, dashed, where they run out.
function styled(colors, color, dash) {
  const turn = Math.floor(color / colors.length);
  return { color: colors[color % colors.length], dash: DASHES[(turn + dash) % DASHES.length] };
}
