// The row of controls above the charts.

import { X_AXES } from "./axes.js";
import { element } from "./element.js";
import { tr } from "./words.js";

const MAX_SMOOTHING = 0.99;

// Build the row; `on` holds {pause, filter, smoothing, axis, log, outliers, ranks}, called with the new value.
export function buildToolbar(view, on) {
  const bar = element("div", "tg-bar");
  const pill = element("span", "tg-pill", tr("Connecting"));
  pill.setAttribute("role", "status");
  const pause = pauseButton(on.pause);
  const filter = input("search", { placeholder: tr("Filter charts"), ariaLabel: tr("Filter charts"), value: view.filter });
  filter.title = tr("Part of a name, or a regular expression");
  filter.addEventListener("input", () => on.filter(filter.value));
  const axis = element("select", "tg-select");
  axis.append(...Object.entries(X_AXES).map(([value, text]) => new Option(tr(text), value, false, value === view.axis)));
  axis.addEventListener("change", () => on.axis(axis.value));
  const ranks = element("select", "tg-select");
  ranks.addEventListener("change", () => on.ranks(ranks.value));
  const ranksLabel = labelled(tr("Ranks"), ranks);
  ranksLabel.hidden = true;
  bar.append(pill, pause, element("span", "tg-space"), filter, ranksLabel);
  bar.append(...smoothingSlider(view.smoothing, on.smoothing), labelled(tr("X axis"), axis));
  bar.append(checkbox(tr("Log y"), view.isLog, on.log));
  bar.append(checkbox(tr("Ignore outliers"), view.ignoresOutliers, on.outliers));
  return { bar, pill, pause, offerRanks: (known) => offerRanks(ranksLabel, ranks, known, view.ranks) };
}

function pauseButton(pause) {
  const button = element("button", "tg-button", tr("Pause"));
  let isPaused = false;
  button.type = "button";
  button.addEventListener("click", () => {
    isPaused = !isPaused;
    button.textContent = isPaused ? tr("Resume") : tr("Pause");
    pause(isPaused);
  });
  return button;
}

function smoothingSlider(weight, change) {
  const slider = input("range", { min: 0, max: MAX_SMOOTHING, step: 0.01, value: weight });
  const said = element("output", "tg-said", Number(weight).toFixed(2));
  slider.addEventListener("input", () => {
    said.textContent = Number(slider.value).toFixed(2);
    change(Number(slider.value));
  });
  return [labelled(tr("Smoothing"), slider), said];
}

// All ranks, their mean with the band that they fill, or one alone: where a run has several.
function offerRanks(label, select, known, chosen) {
  if (select.options.length === known.length + 2) return;
  const ranks = known.map((rank) => [String(rank), tr("rank {rank}", { rank })]);
  const offered = [["all", tr("all")], ["mean", tr("mean and range")], ...ranks];
  select.replaceChildren(...offered.map(([value, text]) => new Option(text, value, false, value === chosen)));
  label.hidden = known.length < 2;
}

function checkbox(text, isChecked, change) {
  const box = input("checkbox", { checked: isChecked });
  box.addEventListener("change", () => change(box.checked));
  return labelled(text, box);
}

function input(type, properties) {
  return Object.assign(document.createElement("input"), { type, className: `tg-input-${type}`, ...properties });
}

function labelled(text, control) {
  const label = element("label", "tg-label", text);
  label.append(control);
  return label;
}
