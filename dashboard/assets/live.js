// The live page: every chart of a run, kept up to date by asking the server for what is new. Called by Streamlit with
// {run, kinds, rank, axis, token, paths: {series, window, plotly}, stack: {order, names, colors}, windows, waiting, ended};
// user text reaches the page as textContent only. A rank of null stands for all of them.

import { Chart } from "./chart.js";
import { loadPlotly } from "./plotly.js";
import { Poller } from "./poller.js";
import { StackedChart } from "./stack.js";
import { readTheme } from "./theme.js";
import { buildToolbar, element } from "./toolbar.js";
import { ask } from "./wire.js";

const CHARTS_AT_FIRST = 24;
const SERIES_PER_QUESTION = 64; // what the server allows (api.py)
const GROUP_TITLES = {
  "": "General",
  host: "Host",
  torchglass: "torchglass itself",
  phase: "Time of a step by phase",
  work: "Work done",
  memory: "Memory",
  explanation: "Probes explained during training",
};
const LAST_GROUP = "explanation"; // how maps drift is read after what was learnt, whichever was recorded first
const STACKED = "phase"; // kind of the series that are drawn as one stack
const pages = new WeakMap();

export default function (component) {
  const { data, parentElement } = component;
  const present = pages.get(parentElement);
  if (present?.accept(data)) return () => present.remove();
  present?.remove();
  const page = new LivePage(parentElement, data);
  pages.set(parentElement, page);
  return () => page.remove();
}

class LivePage {
  constructor(parent, data) {
    this.parent = parent;
    this.data = data;
    this.root = element("div", "tg-live");
    parent.append(this.root);
    this.view = { axis: data.axis, isLog: false, smoothing: 0, startedAt: 0, ...remembered(data), theme: readTheme(this.root) };
    this.charts = new Map();
    this.groups = new Map();
    this.seriesKnown = 0;
    this.shown = CHARTS_AT_FIRST;
    this.filter = "";
    this.build();
    this.width = this.root.clientWidth;
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(this.root);
    this.poller = new Poller(() => this.tick(), (state, text) => this.show(state, text));
    this.poller.start();
  }

  build() {
    const toolbar = buildToolbar(this.view, {
      pause: (isPaused) => this.poller.pause(isPaused),
      filter: (text) => this.applyFilter(text),
      smoothing: (weight) => this.change({ smoothing: weight }, (chart) => chart.redraw()),
      axis: (axis) => this.change({ axis }, (chart) => chart.changeAxis()),
      log: (isLog) => this.change({ isLog }, (chart) => chart.changeScale()),
    });
    this.pill = toolbar.pill;
    this.pause = toolbar.pause;
    this.note = element("p", "tg-note", this.data.waiting);
    this.body = element("div", "tg-body");
    this.more = element("button", "tg-button tg-more");
    this.more.type = "button";
    this.more.hidden = true;
    this.more.addEventListener("click", () => this.showMore());
    this.root.append(toolbar.bar, this.note, this.body, this.more);
  }

  // New data from the script: true when this page can go on with it.
  accept(data) {
    const asked = ({ run, kinds, rank }) => JSON.stringify([run, kinds, rank]);
    if (asked(data) !== asked(this.data)) return false;
    const isNewServer = data.token !== this.data.token;
    this.data = data;
    const theme = readTheme(this.root);
    if (JSON.stringify(theme) !== JSON.stringify(this.view.theme)) {
      this.view.theme = theme;
      this.charts.forEach((chart) => chart.changeTheme());
    }
    this.charts.get(STACKED)?.mark(data.windows);
    if (isNewServer) this.poller.wake();
    return true;
  }

  // Charts grow the page downwards; only a change of width concerns them.
  resize() {
    if (this.root.clientWidth === this.width) return;
    this.width = this.root.clientWidth;
    this.charts.forEach((chart) => chart.resize());
  }

  remove() {
    this.poller.stop();
    this.resizing.disconnect();
    this.charts.forEach((chart) => chart.remove());
    this.root.remove();
    if (pages.get(this.parent) === this) pages.delete(this.parent);
  }

  // Ask for what is new, show it, and return the run's status.
  async tick() {
    await loadPlotly(this.data.paths.plotly);
    const lines = this.visible().flatMap(([, chart]) => chart.lines);
    const answers = new Map();
    let header;
    for (let from = 0; from === 0 || from < lines.length; from += SERIES_PER_QUESTION) {
      header = await this.askSeries(lines.slice(from, from + SERIES_PER_QUESTION));
      for (const answer of header.series) answers.set(answer.id, answer);
    }
    this.view.startedAt = header.run.created_at;
    await this.draw(answers);
    if (header.catalogue && this.learn(header.catalogue)) return this.tick();
    return header.run.status;
  }

  askSeries(lines) {
    const query = {
      run: this.data.run,
      kinds: this.data.kinds.join(","),
      known: this.seriesKnown,
      series: lines.map((line) => `${line.series.id}:${line.cursor}`).join(","),
    };
    return ask(this.data.paths.series, query, this.data.token);
  }

  async askWindows(ids, first, last) {
    const { paths, token } = this.data;
    const series = ids.map((id) => `${id}:0`).join(",");
    return (await ask(paths.window, { series, first, last }, token)).series;
  }

  async draw(answers) {
    for (const [, chart] of this.visible()) {
      await chart.update(answers);
      await aFrame(); // one task for all charts would block the page
    }
  }

  // Make a chart for each key that is new, a line for each rank; true when there is something to ask for.
  learn(catalogue) {
    const heldIds = new Set([...this.charts.values()].flatMap((chart) => chart.lines.map((line) => line.series.id)));
    const { rank } = this.data;
    const fresh = catalogue
      .filter((series) => !heldIds.has(series.id) && (rank === null || series.rank === rank))
      .sort((a, b) => a.id - b.id);
    this.seriesKnown = catalogue.length;
    for (const series of fresh) this.chartOf(series).addLine(series);
    this.arrange();
    return fresh.length > 0;
  }

  chartOf(series) {
    const isStacked = series.kind === STACKED;
    const key = isStacked ? STACKED : series.key;
    if (!this.charts.has(key)) {
      const frame = element("figure", isStacked ? "tg-chart tg-wide" : "tg-chart");
      frame.dataset.key = key;
      const plot = element("div", "tg-plot");
      if (!isStacked) frame.append(captionOf(series));
      frame.append(plot);
      const grid = this.gridOf(isStacked ? series.key : key);
      if (isLoss(key)) grid.insertBefore(frame, [...grid.children].find((other) => !isLoss(other.dataset.key)) ?? null);
      else grid.append(frame);
      const askWindows = (...window) => this.askWindows(...window);
      const chart = isStacked
        ? new StackedChart(plot, this.view, askWindows, this.data.stack)
        : new Chart(plot, this.view, async (id, ...window) => (await askWindows([id], ...window))[0] ?? null);
      if (isStacked) chart.mark(this.data.windows);
      chart.frame = frame;
      chart.title = isStacked ? titleOf(STACKED) : series.title;
      this.charts.set(key, chart);
    }
    return this.charts.get(key);
  }

  gridOf(key) {
    const prefix = key.includes("/") ? key.slice(0, key.indexOf("/")) : "";
    if (!this.groups.has(prefix)) {
      const section = element("section", "tg-group");
      const grid = element("div", "tg-grid");
      section.append(element("h3", "tg-title", titleOf(prefix)), grid);
      if (prefix === "") this.body.prepend(section);
      else this.body.insertBefore(section, this.groups.get(LAST_GROUP)?.section ?? null);
      this.groups.set(prefix, { section, grid });
    }
    return this.groups.get(prefix).grid;
  }

  visible() {
    return [...this.charts].filter(([, chart]) => !chart.frame.hidden);
  }

  arrange() {
    const matching = [...this.charts].filter(([key, chart]) => [key, chart.title].some((name) => name.toLowerCase().includes(this.filter)));
    const drawn = new Set(matching.slice(0, this.shown).map(([key]) => key));
    for (const [key, chart] of this.charts) chart.frame.hidden = !drawn.has(key);
    for (const { section, grid } of this.groups.values()) {
      section.hidden = [...grid.children].every((frame) => frame.hidden);
    }
    const left = matching.length - drawn.size;
    this.more.hidden = left <= 0;
    this.more.textContent = `Show ${Math.min(left, CHARTS_AT_FIRST)} more of ${left} charts`;
    this.note.hidden = drawn.size > 0;
    if (this.charts.size) this.note.textContent = "No chart has this text in its name.";
  }

  applyFilter(text) {
    this.filter = text.trim().toLowerCase();
    this.arrange();
    this.poller.wake();
  }

  showMore() {
    this.shown += CHARTS_AT_FIRST;
    this.arrange();
    this.poller.wake();
  }

  async change(part, apply) {
    Object.assign(this.view, part);
    remember(this.data, this.view);
    for (const [, chart] of this.charts) {
      await apply(chart);
      await aFrame();
    }
  }

  show(state, text) {
    this.root.dataset.state = state;
    this.pill.dataset.state = state;
    this.pill.textContent = text;
    this.pause.hidden = state === "ended";
    if (!this.charts.size && state === "ended") this.note.textContent = this.data.ended;
  }
}

// Its key, too, where the title is not the key: that is what another program reads it by.
function captionOf({ title, key }) {
  const caption = element("figcaption", "tg-caption", title);
  if (title !== key) caption.title = key;
  return caption;
}

// What a reader looks for first stands first, whatever was logged before it.
function isLoss(key) {
  return key.slice(key.lastIndexOf("/") + 1) === "loss";
}

function titleOf(prefix) {
  if (Object.hasOwn(GROUP_TITLES, prefix)) return GROUP_TITLES[prefix];
  const gpu = /^gpu(\d+)$/.exec(prefix);
  return gpu ? `GPU ${gpu[1]}` : prefix;
}

// What the reader chose lasts for the tab: another run or page shows itself in the same way.
function remembered(data) {
  try {
    return JSON.parse(sessionStorage.getItem(memoryOf(data)) ?? "{}");
  } catch {
    return {}; // storage may be switched off, or hold what an older version wrote
  }
}

function remember(data, { axis, isLog, smoothing }) {
  try {
    sessionStorage.setItem(memoryOf(data), JSON.stringify({ axis, isLog, smoothing }));
  } catch {
    // storage is full or switched off: the choice lasts until the page is left
  }
}

function memoryOf(data) {
  return `torchglass.live.${data.kinds.join("+")}`;
}

function aFrame() {
  return new Promise((resolve) => {
    setTimeout(resolve);
  });
}
