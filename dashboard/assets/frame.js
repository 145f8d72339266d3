// What surrounds a plot: its name, the values at the cursor or the last ones, its menu, and the keys that move the cursor.

import { chartItems } from "./chart_actions.js";
import { buildMenu } from "./chart_menu.js";
import { element } from "./element.js";
import { quantity } from "./numbers.js";
import { readTheme } from "./theme.js";

const MAX_VALUES = 10;
const WAYS = { ArrowLeft: -1, ArrowRight: 1 };

export class Frame {
  // `step(way)` moves the cursor to the recorded step before or after it; `sourceOf()` gives {source, token, tablePath}
  // of what the menu offers. The one who makes a frame sets its `chart`.
  constructor({ key, title }, isWide, step, sourceOf) {
    this.sourceOf = sourceOf;
    this.key = key;
    this.title = title;
    this.root = element("figure", isWide ? "tg-chart tg-wide" : "tg-chart");
    this.root.dataset.key = key;
    this.root.tabIndex = 0;
    this.plot = element("div", "tg-plot");
    this.values = element("span", "tg-values");
    this.head = element("figcaption", "tg-head");
    if (!isWide) this.head.append(captionOf(title, key));
    this.head.append(this.values);
    this.root.append(this.head, this.plot);
    this.menu = null;
    this.root.addEventListener("keydown", (event) => this.onKey(event, step));
    this.root.addEventListener("fullscreenchange", () => this.resize());
  }

  // Draw these lines; those that are there already stay as they are.
  setLines(lines) {
    const asked = (several) => several.map((one) => String(one.ids)).sort().join(";");
    if (asked(lines) === asked(this.chart.lines.map((line) => line.series))) return;
    this.chart.setLines(lines);
    this.offer();
  }

  offer() {
    const chart = {
      ...this.sourceOf(),
      node: this.plot,
      frame: this.root,
      name: this.title,
      plotly: () => this.chart.view.plotly,
      background: () => readTheme(this.root).background,
      link: () => this.link(),
    };
    const menu = buildMenu(chartItems(chart), this.title);
    if (this.menu) this.menu.replaceWith(menu);
    else this.root.append(menu);
    this.menu = menu;
  }

  link() {
    const address = new URL(window.location.href);
    address.searchParams.set("chart", this.key);
    return address.href;
  }

  // The value of each line at a step, or its last one.
  tell(step) {
    const told = this.chart.valuesAt(step).slice(0, MAX_VALUES);
    this.values.replaceChildren(...told.map((one) => valueOf(one, told.length > 1)));
    this.root.setAttribute("aria-label", this.chart.told());
  }

  resize() {
    const isLarge = document.fullscreenElement === this.root;
    const room = this.root.clientHeight - this.head.offsetHeight;
    this.chart.resize(isLarge ? room * 0.95 : undefined);
  }

  onKey(event, step) {
    const way = WAYS[event.key];
    if (!way || event.target !== this.root || event.ctrlKey || event.metaKey || event.altKey) return;
    step(way);
    event.preventDefault();
    event.stopPropagation();
  }

  remove() {
    this.chart.remove();
    this.root.remove();
  }
}

// Its key, too, where the title is not the key: that is what another program reads it by.
function captionOf(title, key) {
  const caption = element("span", "tg-caption", title);
  if (title !== key) caption.title = key;
  return caption;
}

function valueOf({ color, name, value, unit }, isOneOfSeveral) {
  const told = element("span", "tg-value", quantity(value, unit));
  if (isOneOfSeveral) told.style.setProperty("--tg-line", color);
  told.classList.toggle("tg-swatch", isOneOfSeveral);
  told.title = name;
  return told;
}
