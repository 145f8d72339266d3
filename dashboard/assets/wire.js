// Requests to the server and its binary answers: a JSON header, then float64 columns (see wire.py).

const TIMEOUT_MS = 15000;
const LENGTH_BYTES = 4;

export const REFUSED_TOKEN = 403;

export class RefusedError extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

// Ask a route and return {...header, series: [{id, cursor, ..., steps, times, values}]}.
export async function ask(path, query, token) {
  const url = `${path}?${new URLSearchParams(query)}`;
  const response = await fetch(url, {
    headers: { "X-Torchglass-Token": token },
    cache: "no-store",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!response.ok) throw new RefusedError(response.status, await reasonOf(response));
  return decode(await response.arrayBuffer());
}

async function reasonOf(response) {
  try {
    return String((await response.json()).error);
  } catch {
    return `the server answered ${response.status}`;
  }
}

function decode(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, LENGTH_BYTES, length)));
  let offset = LENGTH_BYTES + length;
  const column = (count) => {
    const values = new Float64Array(buffer, offset, count);
    offset += values.byteLength;
    return values;
  };
  for (const series of header.series) {
    series.steps = column(series.count);
    series.times = column(series.count);
    series.values = column(series.count);
  }
  return header;
}
