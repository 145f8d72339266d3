// Numbers as a person writes them: four significant digits, and the prefix of their unit.

const DIGITS = 4;
const PREFIXED = ["B", "B/s", "J", "s", "FLOP"];
const PREFIXES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]];
const SMALLEST_PREFIX = { B: 1, "B/s": 1, FLOP: 1 }; // there is no half a byte
const LARGEST_PREFIX = { s: 1 };
// Made once: a browser takes milliseconds to make one.
const SIGNIFICANT = new Intl.NumberFormat("en", { maximumSignificantDigits: DIGITS });
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export function quantity(value, unit = "") {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "+∞" : "−∞";
  if (!PREFIXED.includes(unit)) return `${number(value)} ${unit}`.trim();
  const known = PREFIXES.filter(([size]) => size >= (SMALLEST_PREFIX[unit] ?? 0) && size <= (LARGEST_PREFIX[unit] ?? Infinity));
  const [size, prefix] = known.find(([least]) => Math.abs(value) >= least) ?? known[known.length - 1];
  return value ? `${number(value / size)} ${prefix}${unit}` : `0 ${unit}`;
}

export function number(value) {
  const size = Math.abs(value);
  if (size && (size < 1e-3 || size >= 1e7)) return value.toExponential(DIGITS - 1).replace(/\.?0+e/, "e").replace("e+", "e");
  return (size >= 1000 && Number.isInteger(value) ? WHOLE : SIGNIFICANT).format(value);
}
