// The one step that every chart marks. It is in the fragment, #step=1200 or #curves&step=1200, so a link carries it.

const PATTERN = /^step=(\d{1,15})$/;
const listeners = [];
let step = null;

function fragment() {
  const parts = decodeURIComponent(window.location.hash.slice(1)).split("&");
  const found = parts.map((part) => PATTERN.exec(part)).find(Boolean);
  return { section: parts.find((part) => part && !part.includes("=")) ?? "", step: found ? Number(found[1]) : null };
}

function keep(section) {
  const text = [section, step === null ? "" : `step=${step}`].filter(Boolean).join("&");
  window.history.replaceState(null, "", text ? `#${text}` : window.location.href.split("#")[0]);
}

function moveCursor(next) {
  const wanted = next === null || !Number.isFinite(next) ? null : Math.max(0, Math.round(next));
  if (wanted === step) return;
  step = wanted;
  keep(fragment().section);
  listeners.forEach((listener) => listener(step));
}

// The recorded step `by` places before or after the cursor; the first or the last one where there is no cursor yet.
function neighbour(steps, by) {
  if (!steps.length) return step;
  if (step === null) return by > 0 ? steps[0] : steps[steps.length - 1];
  const before = lastUpTo(steps, step);
  const from = by < 0 && before >= 0 && steps[before] < step ? before + 1 : before;
  return steps[Math.min(Math.max(from + by, 0), steps.length - 1)];
}

function readFragment() {
  const asked = fragment();
  if (asked.step === null && step !== null) keep(asked.section); // a link of the contents: the cursor stays
  else if (asked.step !== null) moveCursor(asked.step);
  if (asked.section && asked.step !== null) document.getElementById(asked.section)?.scrollIntoView();
}
