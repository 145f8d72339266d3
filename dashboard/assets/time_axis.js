// Times along a time line: round ticks, and durations as a person writes them.

const UNITS = [
  [1, "ns"],
  [1e3, "µs"],
  [1e6, "ms"],
  [1e9, "s"],
];

// About `most` ticks between two times in ns: [{at, label}].
export function ticks(first, last, most) {
  const rough = (last - first) / Math.max(most, 1);
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const [size, unit] = UNITS.findLast(([candidate]) => candidate <= Math.max(Math.abs(last), 1)) ?? UNITS[0];
  const digits = Math.max(0, Math.ceil(-Math.log10(step / size) - 1e-9));
  const found = [];
  for (let at = Math.ceil(first / step) * step; at <= last; at += step) {
    found.push({ at, label: `${(at / size).toFixed(digits)} ${unit}` });
  }
  return found;
}

export function duration(nanoseconds) {
  const [size, unit] = UNITS.findLast(([candidate]) => candidate <= Math.abs(nanoseconds)) ?? UNITS[0];
  return `${Number((nanoseconds / size).toPrecision(4)).toLocaleString("en")} ${unit}`;
}
