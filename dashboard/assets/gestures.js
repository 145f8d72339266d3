// How a reader moves along a time line: drag, pinch, scroll with Ctrl, a span of the axis, or the keyboard.

const WHEEL_POWER = 1.0025;
const KEY_PAN = 0.15; // of what is in view
const KEY_ZOOM = 1.4;
export const STILL = 0.005; // of the plot's width: a pointer that moved less meant to click
const PAN_KEYS = { ArrowLeft: -1, a: -1, ArrowRight: 1, d: 1 };
const ZOOM_KEYS = { w: 1, "+": 1, "=": 1, s: -1, "-": -1 };

// `on` holds {pan(share), zoom(factor, place), span(from, to, isDone), pick(place), fit(), hover(event), leave()}; shares
// and places run from 0 to 1 across the plot.
export function listen(plot, axis, share, on) {
  const fingers = new Map();
  plot.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, event);
    plot.setPointerCapture(event.pointerId);
    on.leave();
  });
  plot.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return on.hover(event);
    const other = [...fingers.values()].find((finger) => finger.pointerId !== event.pointerId);
    if (other) {
      const spread = (finger) => Math.max(Math.abs(share(finger) - share(other)), 0.01);
      on.zoom(spread(event) / spread(before), (share(event) + share(other)) / 2);
    } else {
      on.pan(share(before) - share(event));
    }
    fingers.set(event.pointerId, event);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    plot.addEventListener(name, (event) => fingers.delete(event.pointerId));
  }
  plot.addEventListener("pointerleave", () => on.leave());
  plot.addEventListener("dblclick", (event) => on.zoom(3, share(event)));
  plot.addEventListener("wheel", (event) => onWheel(event, share, on), { passive: false });
  plot.addEventListener("keydown", (event) => onKey(event, on));
  listenToAxis(axis, share, on);
}

function onWheel(event, share, on) {
  const isSideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
  if (event.ctrlKey || event.metaKey) on.zoom(WHEEL_POWER ** -event.deltaY, share(event));
  else if (isSideways) on.pan(event.deltaX / event.currentTarget.clientWidth);
  else return; // the page scrolls
  event.preventDefault();
}

function onKey(event, on) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key in PAN_KEYS) on.pan(PAN_KEYS[event.key] * KEY_PAN);
  else if (event.key in ZOOM_KEYS) on.zoom(KEY_ZOOM ** ZOOM_KEYS[event.key], 0.5);
  else if (event.key === "0") on.fit();
  else return;
  event.preventDefault();
  event.stopPropagation(); // Streamlit has shortcuts of its own
}

// A span that is drawn on the axis comes into view; a place that is clicked there is picked.
function listenToAxis(axis, share, on) {
  let from = null;
  axis.addEventListener("pointerdown", (event) => {
    from = share(event);
    axis.setPointerCapture(event.pointerId);
  });
  axis.addEventListener("pointermove", (event) => from !== null && on.span(from, share(event), false));
  axis.addEventListener("pointerup", (event) => {
    if (from !== null) on.span(from, share(event), true);
    if (from !== null && Math.abs(share(event) - from) <= STILL) on.pick(from);
    from = null;
  });
  axis.addEventListener("pointercancel", () => {
    if (from !== null) on.span(from, from, true);
    from = null;
  });
}
