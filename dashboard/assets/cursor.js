// The one step that every panel of every page shows. It stands in the address (?step=1200), so a link carries it, and
// moving it costs no server anything: who draws from the store anew listens like everybody else.

import { keepParameter, parameter } from "./address.js";

const PARAMETER = "step";
const MOVED = "torchglass:cursor";
const REACHED = "torchglass:reach";

// The step, or null where no step is chosen.
export function cursorStep() {
  const text = parameter(PARAMETER);
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

export function moveCursor(step) {
  const next = step === null ? null : Math.max(0, Math.round(step));
  if (next === cursorStep()) return;
  keepParameter(PARAMETER, next === null ? null : String(next));
  window.dispatchEvent(new CustomEvent(MOVED, { detail: next }));
}

// A step that a link brought is kept from here on as if it had been chosen here.
export function holdCursor() {
  const step = cursorStep();
  if (step !== null) keepParameter(PARAMETER, String(step));
}

// Call `listener(step or null)` whenever the cursor moves; returns how to stop.
export function onCursor(listener) {
  return onEvent(MOVED, listener);
}

// The run has come to this step: the slider can go as far.
export function reach(step) {
  window.dispatchEvent(new CustomEvent(REACHED, { detail: step }));
}

export function onReach(listener) {
  return onEvent(REACHED, listener);
}

// The dotted line that marks the step on a plot whose x axis is steps, as plotly takes a shape.
export function cursorShape(step, color, axis = "x") {
  return {
    type: "line",
    name: "torchglass-cursor",
    xref: axis,
    yref: "paper",
    x0: step,
    x1: step,
    y0: 0,
    y1: 1,
    line: { color, width: 1.5, dash: "dot" },
  };
}

function onEvent(name, listener) {
  const heard = (event) => listener(event.detail);
  window.addEventListener(name, heard);
  return () => window.removeEventListener(name, heard);
}
