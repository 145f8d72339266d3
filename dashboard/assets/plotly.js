// plotly.js from our own server: the small build, or all of it where a figure needs that; each once on a page.

import { shared } from "./shared.js";

const loading = shared("plotly", () => new Map());

// The Plotly of a build. A plot stays with the one that drew it: the other has modules of its own, and `window.Plotly`
// is whichever came last.
export function loadPlotly(source) {
  if (!loading.has(source)) loading.set(source, load(source));
  return loading.get(source);
}

function load(source) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = source;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      loading.delete(source);
      script.remove();
      reject(new Error("plotly.js could not be loaded"));
    };
    document.head.append(script);
  });
}
