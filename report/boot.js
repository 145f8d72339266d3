"use strict";
// Draws each figure when it comes into view, all of them before printing, and redraws when the reader's scheme changes.
(() => {
  const { looks, figures } = JSON.parse(document.getElementById("figures").textContent);
  const config = { displaylogo: false, showSendToCloud: false, responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d"] };
  const scheme = window.matchMedia("(prefers-color-scheme: dark)");
  const boxes = Array.from(document.querySelectorAll("[data-figure]"));
  const drawn = new Set();
  let onPaper = false;

  const look = () => (scheme.matches && !onPaper ? looks.dark : looks.light);

  function draw(box) {
    if (drawn.has(box)) return;
    drawn.add(box);
    const figure = figures[Number(box.dataset.figure)];
    box.replaceChildren();
    Plotly.newPlot(box, figure.data, { ...figure.layout, template: look() }, config);
  }

  function recolour() {
    for (const box of drawn) Plotly.relayout(box, { template: look() });
  }

  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        observer.unobserve(entry.target);
        draw(entry.target);
      }
    },
    { rootMargin: "300px" },
  );
  boxes.forEach((box) => observer.observe(box));

  scheme.addEventListener("change", recolour);
  window.addEventListener("beforeprint", () => {
    onPaper = true;
    recolour();
    boxes.forEach(draw);
  });
  window.addEventListener("afterprint", () => {
    onPaper = false;
    recolour();
  });
  document.getElementById("print").addEventListener("click", () => window.print());
})();
