// The frames of a live page: as many charts as are shown, each group under its title, in the order of the catalogue.

import { entriesOf, linesOf, matching, titleOf } from "./catalogue.js";
import { element } from "./element.js";

const CHARTS_AT_FIRST = 24;

export class Arrangement {
  // `make(entry)` makes the frame of a chart; `wanted` is the key of a chart to show in any case, or null.
  constructor(body, make, wanted) {
    this.body = body;
    this.make = make;
    this.wanted = wanted;
    this.entries = [];
    this.frames = new Map();
    this.groups = new Map();
    this.shown = CHARTS_AT_FIRST;
  }

  learn(series) {
    this.entries = entriesOf(series);
  }

  // Show those that match a text, with the lines of these ranks; returns how many there are and how many are left.
  arrange(filter, ranks) {
    const found = matching(this.entries, filter);
    const drawn = found.filter((entry, place) => place < this.shown || entry.key === this.wanted);
    const keys = new Set(drawn.map((entry) => entry.key));
    for (const [key, frame] of this.frames) frame.root.hidden = !keys.has(key);
    const places = new Map();
    for (const entry of drawn) {
      const frame = this.frameOf(entry);
      const grid = this.gridOf(entry.prefix);
      const place = places.get(grid) ?? 0;
      places.set(grid, place + 1);
      const visible = [...grid.children].filter((one) => !one.hidden);
      if (visible[place] !== frame.root) grid.insertBefore(frame.root, visible[place] ?? null);
      frame.setLines(linesOf(entry, ranks));
    }
    for (const { section, grid } of this.groups.values()) section.hidden = [...grid.children].every((one) => one.hidden);
    this.goToWanted();
    const left = found.length - drawn.length;
    return { drawn: drawn.length, left, next: Math.min(left, CHARTS_AT_FIRST) };
  }

  showMore() {
    this.shown += CHARTS_AT_FIRST;
  }

  frameOf(entry) {
    if (!this.frames.has(entry.key)) this.frames.set(entry.key, this.make(entry));
    return this.frames.get(entry.key);
  }

  gridOf(prefix) {
    if (!this.groups.has(prefix)) {
      const section = element("section", "tg-group");
      const grid = element("div", "tg-grid");
      section.append(element("h3", "tg-title", titleOf(prefix)), grid);
      this.groups.set(prefix, { section, grid });
      const order = [...new Set(this.entries.map((entry) => entry.prefix))];
      const next = order.slice(order.indexOf(prefix) + 1).find((other) => this.groups.has(other));
      this.body.insertBefore(section, this.groups.get(next)?.section ?? null);
    }
    return this.groups.get(prefix).grid;
  }

  all() {
    return [...this.frames.values()];
  }

  // Only what is on screen, or nearly so, is asked for and drawn.
  near() {
    return this.all().filter((frame) => frame.isNear && !frame.root.hidden);
  }

  goToWanted() {
    const frame = this.frames.get(this.wanted);
    if (!frame) return;
    this.wanted = null;
    frame.root.scrollIntoView({ block: "center" });
    frame.root.focus({ preventScroll: true });
  }
}
