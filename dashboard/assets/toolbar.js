// The row of controls above the charts.

import { X_AXES } from "./axes.js";

const MAX_SMOOTHING = 0.99;

// Build the row; `on` holds {pause, filter, smoothing, axis, log}, called with the new value.
export function buildToolbar(view, on) {
  const bar = element("div", "tg-bar");
  const pill = element("span", "tg-pill", "Connecting");
  pill.setAttribute("role", "status");
  const pause = element("button", "tg-button", "Pause");
  pause.type = "button";
  pause.addEventListener("click", () => {
    const isPaused = pause.textContent === "Pause";
    pause.textContent = isPaused ? "Resume" : "Pause";
    on.pause(isPaused);
  });
  const filter = input("search", { placeholder: "Filter charts", ariaLabel: "Filter charts" });
  filter.addEventListener("input", () => on.filter(filter.value));
  const smoothing = input("range", { min: 0, max: MAX_SMOOTHING, step: 0.01, value: view.smoothing });
  smoothing.addEventListener("input", () => on.smoothing(Number(smoothing.value)));
  const axis = element("select", "tg-select");
  axis.append(...Object.entries(X_AXES).map(([value, text]) => new Option(text, value, false, value === view.axis)));
  axis.addEventListener("change", () => on.axis(axis.value));
  const log = input("checkbox", { checked: view.isLog });
  log.addEventListener("change", () => on.log(log.checked));
  bar.append(pill, pause, element("span", "tg-space"), filter);
  bar.append(labelled("Smoothing", smoothing), labelled("X axis", axis), labelled("Log y", log));
  return { bar, pill, pause };
}

export function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function input(type, properties) {
  return Object.assign(document.createElement("input"), { type, className: `tg-input-${type}`, ...properties });
}

function labelled(text, control) {
  const label = element("label", "tg-label", text);
  label.append(control);
  return label;
}
