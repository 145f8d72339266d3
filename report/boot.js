// Brings the report to life.

const LOOKS = ["auto", "light", "dark"];

function offerLooks() {
  const button = document.getElementById("look");
  const root = document.documentElement;
  const show = () => {
    button.textContent = words[root.dataset.theme ?? "auto"];
  };
  button.addEventListener("click", () => {
    const next = LOOKS[(LOOKS.indexOf(root.dataset.theme ?? "auto") + 1) % LOOKS.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    show();
    recolour();
  });
  show();
  button.hidden = false;
}

function offerPrint() {
  const button = document.getElementById("print");
  button.addEventListener("click", () => window.print());
  button.hidden = false;
  window.addEventListener("beforeprint", ontoPaper);
  window.addEventListener("afterprint", backToScreen);
}

async function boot() {
  unfold();
  isWide.addEventListener("change", unfold);
  follow();
  try {
    await startPlotly();
  } catch (error) {
    const trouble = document.getElementById("trouble");
    trouble.textContent = words.old;
    trouble.hidden = false;
    throw error;
  }
  listen();
  if (boxes.length) draw(boxes[0]); // however far below the first tables it stands
  boxes.forEach((box) => observer.observe(box));
  fetchWhole().then(drawNext);
  offerLooks();
  offerPrint();
  systemIsDark.addEventListener("change", recolour);
  showBar();
  window.addEventListener("hashchange", readFragment);
  readFragment();
}

boot();
