// What a slice looks like: work of a device strong, the host's muted, and what costs time for nothing in warm colours.

import { mark, tr } from "./words.js";

const ANNOTATION = 1;
const KINDS = {
  0: mark("operator"),
  1: mark("annotation"),
  2: mark("CUDA runtime call"),
  3: mark("wait for the device"),
  4: mark("profiler's overhead"),
  10: mark("kernel"),
  11: mark("copy"),
  12: mark("fill"),
};
const FIXED = { 2: "#8a8f98", 3: "#d55e00", 4: "#cc3311", 11: "#e69f00", 12: "#c9b04a" };
const COMMUNICATION = "#b0609a";
const HUES = [204, 168, 228, 186, 146, 246, 216, 158, 262, 194];
const LOOKS = { 0: "34%, 50%", 1: "14%, 46%", 10: "62%, 42%" };
const LIGHT = new Set([11, 12]);

export function kindName(kind) {
  return Object.hasOwn(KINDS, kind) ? tr(KINDS[kind]) : tr("slice");
}

// The colour of a name: always the same one, so that a kernel is found again at every zoom. `phases` are the colours that
// phases have on every chart.
export function sliceColor(name, kind, phases) {
  if (kind === ANNOTATION && Object.hasOwn(phases, name)) return phases[name];
  if (kind >= 10 && /^(nccl|rccl|hccl)|ncclKernel|ncclDevKernel/.test(name)) return COMMUNICATION;
  if (Object.hasOwn(FIXED, kind)) return FIXED[kind];
  return `hsl(${HUES[hash(name) % HUES.length]}, ${LOOKS[kind] ?? LOOKS[0]})`;
}

export function inkOn(kind) {
  return LIGHT.has(kind) ? "#1b1f24" : "#ffffff";
}

function hash(text) {
  let value = 2166136261; // FNV-1a
  for (let place = 0; place < text.length; place += 1) value = Math.imul(value ^ text.charCodeAt(place), 16777619);
  return value >>> 0;
}
