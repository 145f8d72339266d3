// How a reader wants the charts: what a link says, else what was chosen in this tab before, else the page's own way.

import { keepParameter, releaseParameters } from "./address.js";
import { X_AXES } from "./axes.js";
import { shared } from "./shared.js";

const MAX_SMOOTHING = 0.99;
const MAX_FILTER = 200; // characters
const PLAIN = { isLog: false, smoothing: 0, ignoresOutliers: false, ranks: "all", filter: "" };

// Each choice as a parameter of the address: its name, how it is written, and how it is read; null stands for nothing.
const PARAMETERS = {
  axis: ["axis", String, (text) => (Object.hasOwn(X_AXES, text) ? text : null)],
  smoothing: ["smoothing", String, (text) => (isShare(text) ? Math.min(Number(text), MAX_SMOOTHING) : null)],
  isLog: ["log", () => "1", (text) => text === "1"],
  ignoresOutliers: ["outliers", () => "ignored", (text) => text === "ignored"],
  ranks: ["ranks", String, (text) => (/^(all|mean|\d{1,6})$/.test(text) ? text : null)],
  filter: ["filter", String, (text) => text.slice(0, MAX_FILTER)],
};

// What the address said when this page was loaded; it holds for the first charts on it alone.
const link = shared("link", () => ({ path: window.location.pathname, said: new URLSearchParams(window.location.search) }));

// Parameters of the address that the charts were asked for with, and none a second time.
export function followLink() {
  const said = link.path === window.location.pathname ? link.said : new URLSearchParams();
  link.said = new URLSearchParams();
  return said;
}

export class Choices {
  // `data` is what the page is drawn from; `said` what a link asks for.
  constructor(data, said) {
    this.memory = `torchglass.live.${data.kinds.join("+")}`;
    this.plain = { ...PLAIN, axis: data.axis };
    this.chosen = { ...this.plain, ...this.remembered(), ...read(said) };
    this.keep();
  }

  change(part) {
    Object.assign(this.chosen, part);
    this.keep();
  }

  // What differs from the page's own way stands in the address, and all of it lasts for the tab.
  keep() {
    for (const [choice, [name, write]] of Object.entries(PARAMETERS)) {
      const value = this.chosen[choice];
      keepParameter(name, value === this.plain[choice] ? null : write(value), this);
    }
    try {
      sessionStorage.setItem(this.memory, JSON.stringify(this.chosen));
    } catch {
      // storage is full or switched off: the choice lasts until the page is left
    }
  }

  remembered() {
    try {
      const found = JSON.parse(sessionStorage.getItem(this.memory) ?? "{}");
      return Object.fromEntries(Object.entries(found).filter(([choice]) => Object.hasOwn(PARAMETERS, choice)));
    } catch {
      return {}; // storage may be switched off, or hold what an older version wrote
    }
  }

  release() {
    releaseParameters(this);
  }
}

function read(said) {
  const found = {};
  for (const [choice, [name, , parse]] of Object.entries(PARAMETERS)) {
    const value = said.has(name) ? parse(said.get(name)) : null;
    if (value !== null) found[choice] = value;
  }
  return found;
}

function isShare(text) {
  return text !== "" && Number(text) >= 0 && Number(text) < 1;
}
