// Colours of the page that the charts stand on.

// Okabe and Ito, Color Universal Design (2008): told apart by colour-blind readers.
const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
export const ALARM = "#cc3311";

export function readTheme(element) {
  const style = getComputedStyle(element);
  const read = (name, fallback) => style.getPropertyValue(name).trim() || fallback;
  const colors = read("--st-chart-categorical-colors", "").split(",").filter(Boolean);
  return {
    text: read("--st-text-color", "#31333f"),
    background: read("--st-background-color", "#ffffff"),
    grid: "rgba(128,134,145,0.22)",
    colors: colors.length ? colors.map((color) => color.trim()) : PALETTE,
  };
}

// What the layout of every live plot begins with.
export function layoutOf(theme, height) {
  const axis = { gridcolor: theme.grid, zeroline: false, automargin: true };
  return {
    height,
    margin: { l: 52, r: 12, t: 8, b: 38 }, // roomy enough for most: a margin that has to grow draws the plot twice
    font: { size: 11, color: theme.text },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hovermode: "x",
    hoverdistance: -1, // a click anywhere goes to the step that lies nearest
    dragmode: "zoom",
    legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom" },
    hoverlabel: { bgcolor: theme.background, font: { color: theme.text }, namelength: 40 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: theme.grid, activecolor: theme.text },
    xaxis: axis,
    yaxis: axis,
    yaxis2: { overlaying: "y", range: [0, 1], fixedrange: true, visible: false },
  };
}

export function themeLayout(theme) {
  return {
    "font.color": theme.text,
    "hoverlabel.bgcolor": theme.background,
    "hoverlabel.font.color": theme.text,
    "modebar.color": theme.grid,
    "modebar.activecolor": theme.text,
    "xaxis.gridcolor": theme.grid,
    "yaxis.gridcolor": theme.grid,
  };
}
