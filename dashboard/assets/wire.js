// Requests to the server and its binary answers: a JSON header, then columns of numbers (see wire.py).

const TIMEOUT_MS = 15000;
const DOWNLOAD_TIMEOUT_MS = 300000;
const LENGTH_BYTES = 4;
const ALIGNMENT = 8;
const COLUMNS = ["steps", "times", "values"]; // of every line; an answer may name more
const TYPES = { f8: Float64Array, i4: Int32Array, i1: Int8Array, u1: Uint8Array };

const REFUSED_TOKEN = 403;
const REFUSED_MEMORY = "torchglass.refused";

export class RefusedError extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

// Ask a route and return {...header, series: [{place, cursor, count, total, isReset, steps, times, values, ...}]} of the
// lines that have something new, each with its place in the question (see live_answers.py).
export function ask(path, query, token) {
  return fetched(path, query, token, decodeSeries);
}

// Ask a route and return {...header, columns: {name: typed array}}.
export function askColumns(path, query, token) {
  return fetched(path, query, token, decodeColumns);
}

// Ask a route for a file.
export async function download(path, query, token) {
  return new Blob([await fetched(path, query, token, (buffer) => buffer, DOWNLOAD_TIMEOUT_MS)]);
}

async function fetched(path, query, token, decode, timeout = TIMEOUT_MS) {
  const url = `${path}?${new URLSearchParams(query)}`;
  const response = await fetch(url, {
    headers: { "X-Torchglass-Token": token, "Accept-Language": document.documentElement.lang || "en" },
    cache: "no-store",
    signal: AbortSignal.timeout(timeout),
  });
  if (response.status === REFUSED_TOKEN) reloadOnce(token);
  if (!response.ok) throw new RefusedError(response.status, await reasonOf(response));
  return decode(await response.arrayBuffer());
}

// A server that was started again has another token, and Streamlit's script, which brings it, does not run by itself.
function reloadOnce(token) {
  try {
    if (sessionStorage.getItem(REFUSED_MEMORY) === token) return;
    sessionStorage.setItem(REFUSED_MEMORY, token);
  } catch {
    return; // without storage there is no telling whether this would go on for ever
  }
  window.location.reload();
}

async function reasonOf(response) {
  try {
    return String((await response.json()).error);
  } catch {
    return `the server answered ${response.status}`;
  }
}

function headOf(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, LENGTH_BYTES, length)));
  return { header, offset: LENGTH_BYTES + length };
}

function decodeSeries(buffer) {
  const { header, offset: begin } = headOf(buffer);
  let offset = begin;
  const series = header.series.map(([place, cursor, count, total = null, extras = {}]) => {
    const { columns = [], state, extent } = extras;
    const answer = { place, cursor, count, total, isReset: total !== null, state, extent };
    for (const name of [...COLUMNS, ...columns]) {
      answer[name] = new Float64Array(buffer, offset, count);
      offset += answer[name].byteLength;
    }
    return answer;
  });
  return { ...header, series };
}

function decodeColumns(buffer) {
  const { header, offset: begin } = headOf(buffer);
  let offset = begin;
  const columns = header.columns.map(([name, type, count]) => {
    const values = new TYPES[type](buffer, offset, count);
    offset += Math.ceil(values.byteLength / ALIGNMENT) * ALIGNMENT;
    return [name, values];
  });
  return { ...header, columns: Object.fromEntries(columns) };
}
