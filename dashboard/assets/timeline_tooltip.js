// What a slice or a bin is, beside the pointer; the run's words as textContent only.

import { element } from "./element.js";
import { kindName } from "./slice_colors.js";
import { duration } from "./time_axis.js";
import { tr } from "./words.js";

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
    this.name.textContent = found.name || tr("(no name)");
    this.facts.textContent = factsOf(found);
    this.lane.textContent = tr("{kind} on {lane}", { kind: kindName(found.kind), lane: found.lane });
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

function factsOf({ share, length, start, isClipped }) {
  const time = duration(length);
  if (share !== undefined) {
    return tr("busy {percent} % of {time}, mostly with this", { percent: Math.round(100 * share), time });
  }
  const begun = { time, start: duration(start) };
  if (isClipped) return tr("{time}, begins at {start}, clipped: it overlapped another", begun);
  return tr("{time}, begins at {start}", begun);
}
