// The one copy of plotly.js on the page, from our own server.

import { shared } from "./shared.js";

const loading = shared("plotly", () => ({ promise: null }));

export function loadPlotly(source) {
  loading.promise ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = source;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      loading.promise = null;
      script.remove();
      reject(new Error("plotly.js could not be loaded"));
    };
    document.head.append(script);
  });
  return loading.promise;
}
