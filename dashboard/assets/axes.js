// What the axes say: the three horizontal ones, and units on the vertical one.

import { mark, tr } from "./words.js";

export const X_AXES = { step: mark("Step"), relative: mark("Time since start"), wall: mark("Time of day") };

const Y_AXES = {
  "%": { ticksuffix: " %", rangemode: "tozero" },
  B: { tickformat: "~s", ticksuffix: "B", hoverformat: ".4~s", rangemode: "tozero" },
  "B/s": { tickformat: "~s", ticksuffix: "B/s", hoverformat: ".4~s", rangemode: "tozero" },
  J: { tickformat: "~s", ticksuffix: "J", hoverformat: ".4~s", rangemode: "tozero" },
  s: { tickformat: "~s", ticksuffix: "s", hoverformat: ".4~s" },
  W: { ticksuffix: " W" },
  "°C": { ticksuffix: " °C" },
  FLOP: { tickformat: ".3~s", ticksuffix: "FLOP", hoverformat: ".4~s", rangemode: "tozero" },
  "1/s": { ticksuffix: " /s", rangemode: "tozero" },
  MHz: { ticksuffix: " MHz" },
};

// There is no half a byte: such an axis reaches up to a kilobyte at least.
const BYTES = ["B", "B/s"];
const LEAST_BYTES = 1000;

// Places of points on the chosen axis. Plotly shows dates as UTC, so they are moved to read as local time.
export function places(points, axis, startedAt) {
  if (axis === "relative") return points.times.map((time) => time - startedAt);
  if (axis === "wall") return points.times.map((time) => time * 1000 - localOffset(time));
  return points.steps.slice();
}

// A limit of a drawn range as a number; on a date axis plotly gives text.
export function limit(value, axis) {
  return axis === "wall" && typeof value === "string" ? Date.parse(`${value.replace(" ", "T")}Z`) : Number(value);
}

export function xAxis(axis) {
  const title = { step: tr("step"), relative: tr("seconds since start"), wall: tr("local time") }[axis];
  return { type: axis === "wall" ? "date" : "linear", title: { text: title, standoff: 4 } };
}

export function yAxis(unit, isLog) {
  const known = Object.hasOwn(Y_AXES, unit) ? Y_AXES[unit] : {};
  return { hoverformat: ".6~g", ...known, type: isLog ? "log" : "linear", autorangeoptions: { include: leastOf(unit, isLog) } };
}

// What a vertical axis shows in any case.
export function leastOf(unit, isLog) {
  return BYTES.includes(unit) && !isLog ? LEAST_BYTES : null;
}

function localOffset(time) {
  return new Date(time * 1000).getTimezoneOffset() * 60000;
}
