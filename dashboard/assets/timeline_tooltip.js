// What a slice or a bin is, beside the pointer; the run's words as textContent only.

import { kindName } from "./slice_colors.js";
import { duration } from "./time_axis.js";
import { element } from "./toolbar.js";

const DISTANCE = 14; // px from the pointer

export class Tooltip {
  constructor() {
    this.node = element("div", "tg-tooltip");
    this.node.hidden = true;
    this.name = element("div", "tg-tooltip-name");
    this.facts = element("div", "tg-tooltip-facts");
    this.lane = element("div", "tg-tooltip-facts");
    this.node.append(this.name, this.facts, this.lane);
  }

  // `found` is {name, kind, lane, start, length, isClipped} of a slice, or {..., share} of a bin.
  show(found, event, frame) {
    const isBin = found.share !== undefined;
    this.name.textContent = found.name || "(no name)";
    this.facts.textContent = isBin
      ? `busy ${Math.round(100 * found.share)} % of ${duration(found.length)}, mostly with this`
      : `${duration(found.length)}, begins at ${duration(found.start)}${found.isClipped ? ", clipped: it overlapped another" : ""}`;
    this.lane.textContent = `${kindName(found.kind)} on ${found.lane}`;
    this.node.hidden = false;
    const bounds = frame.getBoundingClientRect();
    const x = event.clientX - bounds.left;
    const y = event.clientY - bounds.top;
    const isRight = x + DISTANCE + this.node.offsetWidth > bounds.width;
    this.node.style.left = `${Math.max(0, isRight ? x - DISTANCE - this.node.offsetWidth : x + DISTANCE)}px`;
    this.node.style.top = `${y + DISTANCE}px`;
  }

  hide() {
    this.node.hidden = true;
  }
}
