// The menu of a chart: a button that opens a list. Arrow keys move in it, Escape closes it.

import { element } from "./element.js";
import { tr } from "./words.js";

const SAID_MS = 4000;

// `items` are {label, run}; run() may return a sentence (or promise of one) that is then said beside the button.
export function buildMenu(items, name) {
  const root = element("div", "tg-menu");
  const button = element("button", "tg-menu-button", "⋯");
  const list = element("div", "tg-menu-list");
  const said = element("span", "tg-menu-said");
  Object.assign(button, { type: "button", title: tr("Download, copy or enlarge") });
  button.setAttribute("aria-label", tr("Menu of the chart {name}", { name }));
  button.setAttribute("aria-haspopup", "menu");
  list.setAttribute("role", "menu");
  list.hidden = true;
  said.setAttribute("role", "status");
  for (const { label, run } of items) {
    const entry = element("button", "tg-menu-item", label);
    entry.type = "button";
    entry.setAttribute("role", "menuitem");
    entry.tabIndex = -1;
    entry.addEventListener("click", () => perform(run));
    list.append(entry);
  }

  function open(isOpen) {
    list.hidden = !isOpen;
    button.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) list.firstElementChild?.focus();
  }

  async function perform(run) {
    open(false);
    button.focus();
    let sentence = "";
    try {
      sentence = (await run()) ?? "";
    } catch (error) {
      sentence = error.message;
    }
    said.textContent = sentence;
    if (sentence) setTimeout(() => (said.textContent = ""), SAID_MS);
  }

  open(false);
  button.addEventListener("click", () => open(list.hidden));
  root.addEventListener("keydown", (event) => onKey(event, list, () => (open(false), button.focus())));
  root.addEventListener("focusout", (event) => !root.contains(event.relatedTarget) && open(false));
  root.append(button, list, said);
  return root;
}

function onKey(event, list, close) {
  if (list.hidden) return;
  const entries = [...list.children];
  const place = entries.indexOf(document.activeElement);
  if (event.key === "Escape") close();
  else if (event.key === "ArrowDown") entries[(place + 1) % entries.length].focus();
  else if (event.key === "ArrowUp") entries[(place - 1 + entries.length) % entries.length].focus();
  else return;
  event.preventDefault();
  event.stopPropagation();
}
