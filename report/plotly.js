// The builds of plotly.js in this file: the small one starts at once, the full one when a figure needs it.

const needsFull = new Set(full);
let small = null;
let whole = null;
let wholeText = null;

async function startPlotly() {
  small = started(await unpacked("plotly-cartesian"));
}

// Unpacked beside everything else, so that paper, which waits for nothing, finds it.
async function fetchWhole() {
  if (needsFull.size) wholeText = await unpacked("plotly-full");
}

// What draws a figure: null as long as it is not unpacked.
function plotlyFor(index) {
  if (!needsFull.has(index)) return small;
  if (!whole && wholeText) whole = started(wholeText);
  return whole;
}

async function unpacked(id) {
  const packed = new Blob([bytesOf(document.getElementById(id).textContent)]).stream();
  return new Response(packed.pipeThrough(new DecompressionStream("gzip"))).text();
}

// The policy knows the script's hash, and it runs at once.
function started(text) {
  const script = document.createElement("script");
  script.textContent = text;
  document.head.append(script);
  return window.Plotly;
}

