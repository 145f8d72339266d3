// What the file carries: figures, where the values of scalars are in them, and words in the reader's language.

const { looks, figures, full, scalars, runs, words } = JSON.parse(document.getElementById("figures").textContent);
const KINDS = { f8: Float64Array, f4: Float32Array, i4: Int32Array, u4: Uint32Array, i2: Int16Array, u2: Uint16Array, i1: Int8Array, u1: Uint8Array };
const known = new WeakMap();

function bytesOf(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let place = 0; place < raw.length; place += 1) bytes[place] = raw.charCodeAt(place);
  return bytes;
}

// The numbers of a column of a figure: a list, or an array that travels as base64.
function numbers(column) {
  if (!column) return [];
  if (Array.isArray(column) || ArrayBuffer.isView(column)) return column;
  if (!known.has(column)) known.set(column, new KINDS[column.dtype](bytesOf(column.bdata).buffer));
  return known.get(column);
}

function ascending(values) {
  return Float64Array.from(new Set(values)).sort();
}

// Steps that a figure shows something of, in order.
const stepsOf = memo((index) => {
  const { data, layout } = figures[index];
  const axes = layout.meta?.steps ?? [];
  const found = data.filter((trace) => axes.includes(trace.xaxis ?? "x")).flatMap((trace) => Array.from(numbers(trace.x)));
  const placed = Object.values(layout.meta?.places ?? {}).flatMap((pairs) => pairs.map(([step]) => step));
  return ascending([...found, ...placed].filter(Number.isFinite));
});

const everyStep = memo(() => {
  const found = new Set();
  figures.forEach((figure, index) => stepsOf(index).forEach((step) => found.add(step)));
  return Float64Array.from(found).sort();
});

function memo(make) {
  const made = new Map();
  return (key) => {
    if (!made.has(key)) made.set(key, make(key));
    return made.get(key);
  };
}

// Place of the last of the ascending values at or below a bound; -1 where there is none.
function lastUpTo(values, bound) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= bound) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function nearest(values, wanted) {
  const before = lastUpTo(values, wanted);
  if (before < 0) return values[0];
  if (before + 1 === values.length) return values[before];
  return wanted - values[before] <= values[before + 1] - wanted ? values[before] : values[before + 1];
}

// The value of a scalar at a step or, where it has none, at the last one before: [step, value], or null.
function valueAt(scalar, step) {
  const trace = figures[scalar.figure].data[scalar.trace];
  const steps = numbers(trace.x);
  const place = lastUpTo(steps, step);
  return place < 0 ? null : [steps[place], numbers(trace.y)[place]];
}

function written(value) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "-∞";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(3);
  return value.toLocaleString("en-US", { maximumSignificantDigits: 4 });
}

function counted(step) {
  return step.toLocaleString("en-US");
}
