// Red marks for values that are not finite: NaN and −∞ at the foot of the plot, +∞ at its top.

import { ALARM } from "./theme.js";

const SYMBOLS = { NaN: "x", "+∞": "triangle-up", "−∞": "triangle-down" };
const FOOT = 0.04;
const TOP = 0.96;

// One trace for all lines of a plot; `placesOf(line, points)` tells where points lie on the x axis.
export function marksOf(lines, placesOf) {
  const found = { x: [], y: [], text: [] };
  for (const line of lines) {
    const points = line.points();
    const x = placesOf(line, points);
    points.values.forEach((value, index) => {
      if (Number.isFinite(value)) return;
      const kind = Number.isNaN(value) ? "NaN" : value > 0 ? "+∞" : "−∞";
      found.x.push(x[index]);
      found.y.push(kind === "+∞" ? TOP : FOOT);
      found.text.push(kind);
    });
  }
  return {
    ...found,
    type: "scatter",
    mode: "markers",
    name: "not finite",
    yaxis: "y2",
    visible: true,
    opacity: 1,
    showlegend: false,
    marker: { color: ALARM, symbol: found.text.map((kind) => SYMBOLS[kind]), size: 8 },
    hovertemplate: "%{text}<extra></extra>",
  };
}

// What of the marks plotly takes apart from their places.
export function styleOf(marks) {
  return { text: [marks.text], "marker.symbol": [marks.marker.symbol] };
}
