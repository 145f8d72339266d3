// The one step that every panel of every page shows. It lives in the address (?step=1200), so a link carries it, and
// moving it costs no server anything: who draws from the store anew listens like everybody else.

const PARAMETER = "step";
const EVENT = "torchglass:cursor";

// The step, or null where no step is chosen.
export function cursorStep() {
  const text = new URLSearchParams(window.location.search).get(PARAMETER);
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

export function moveCursor(step) {
  const next = step === null ? null : Math.max(0, Math.round(step));
  if (next === cursorStep()) return;
  const address = new URL(window.location.href);
  if (next === null) address.searchParams.delete(PARAMETER);
  else address.searchParams.set(PARAMETER, String(next));
  window.history.replaceState(window.history.state, "", address);
  window.dispatchEvent(new CustomEvent(EVENT, { detail: next }));
}

// Call `listener(step or null)` whenever the cursor moves; returns how to stop.
export function onCursor(listener) {
  const heard = (event) => listener(event.detail);
  window.addEventListener(EVENT, heard);
  return () => window.removeEventListener(EVENT, heard);
}

// The dashed line that marks the step on a plot whose x axis is steps, as plotly takes a shape.
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
