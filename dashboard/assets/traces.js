// The traces of one line: the raw one, faint behind the smoothed one, and the edges of a band below both.

const GHOST_OPACITY = 0.3;
const BAND_OPACITY = 0.2;
const UNSEEN = { showlegend: false, hoverinfo: "skip", hovertemplate: undefined, visible: true, opacity: 1 };

// `points` at the places `x`; `look` is {color, dash, name, isSmoothed, isAlone}. The raw and the smoothed trace come last.
export function tracesOf(line, points, x, look) {
  const { color, dash, name, isSmoothed, isAlone } = look;
  const common = {
    type: "scatter",
    mode: x.length === 1 ? "lines+markers" : "lines",
    name,
    legendgroup: name,
    line: { color, dash, width: 1.5 },
    connectgaps: false,
    hovertemplate: isAlone ? "%{y}<extra></extra>" : undefined,
  };
  return [
    ...(line.isBand ? edgesOf(points, x, { ...common, ...UNSEEN, mode: "lines", line: { width: 0, color } }) : []),
    { ...common, x, y: points.values.slice(), visible: true, showlegend: !isSmoothed, opacity: isSmoothed ? GHOST_OPACITY : 1 },
    { ...common, ...UNSEEN, x: x.slice(), y: points.smoothed.slice(), visible: isSmoothed, showlegend: isSmoothed },
  ];
}

function edgesOf(points, x, edge) {
  return [
    { ...edge, x: x.slice(), y: points.high.slice() },
    { ...edge, x: x.slice(), y: points.low.slice(), fill: "tonexty", fillcolor: faint(edge.line.color) },
  ];
}

function faint(color) {
  const share = Math.round(BAND_OPACITY * 255).toString(16);
  return /^#[0-9a-f]{6}$/i.test(color) ? `${color}${share}` : color;
}
