// The live page: every chart of a run, kept up to date by asking the server for what is new. Called by Streamlit with
// {runs: [{id, name, label}], kinds, rank, axis, token, paths: {series, window, plotly, table}, store, stack: {order,
// names, colors}, windows, waiting, ended, words}; user text reaches the page as textContent only. A rank of null stands
// for all of them. The first run is the page's own, the others are drawn over it.

import { Arrangement } from "./arrangement.js";
import { Asking, partsOf } from "./asking.js";
import { STACKED } from "./catalogue.js";
import { Chart } from "./chart.js";
import { Choices, followLink } from "./choices.js";
import { pythonOf } from "./code.js";
import { cursorStep, moveCursor, onCursor, reach } from "./cursor.js";
import { element } from "./element.js";
import { Frame } from "./frame.js";
import { lookOf } from "./look.js";
import { exactly, neighbour } from "./places.js";
import { loadPlotly } from "./plotly.js";
import { Poller } from "./poller.js";
import { StackedChart } from "./stack.js";
import { readTheme } from "./theme.js";
import { buildToolbar } from "./toolbar.js";
import { speak, tr } from "./words.js";

const AHEAD = "300px"; // drawn before they are scrolled to
const SETTLE_MS = 200; // a slider reports every place that it passes
const pages = new WeakMap();

export default function (component) {
  const { data, parentElement } = component;
  speak(data);
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
    const said = followLink();
    this.choices = new Choices(data, said);
    this.view = { ...this.choices.chosen, startedAt: [], theme: readTheme(this.root), hasRuns: data.runs.length > 1 };
    this.view.lookOf = (line, lines) => lookOf(line, lines, data.runs, this.view.theme.colors);
    this.asking = new Asking(this.view, () => this.data);
    this.seriesKnown = -1;
    this.build();
    this.shown = new Arrangement(this.body, (entry) => this.makeFrame(entry), said.get("chart"));
    this.width = this.root.clientWidth;
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(this.root);
    this.nearing = new IntersectionObserver((seen) => this.onNear(seen), { rootMargin: AHEAD, scrollMargin: AHEAD });
    this.forget = onCursor(() => this.showCursor());
    this.poller = new Poller(() => this.tick(), (state, text) => this.show(state, text));
    loadPlotly(data.paths.plotly).catch(() => {}); // asked for early; a tick that needs it says what went wrong
    this.poller.start();
  }

  build() {
    const redraw = (chart) => chart.changeScale();
    const toolbar = buildToolbar(this.view, {
      pause: (isPaused) => this.poller.pause(isPaused),
      filter: (filter) => this.rearrange({ filter }),
      ranks: (ranks) => this.rearrange({ ranks }),
      smoothing: (smoothing) => this.change({ smoothing }, (chart) => chart.changeSmoothing()),
      axis: (axis) => this.change({ axis }, (chart) => chart.changeAxis()),
      log: (isLog) => this.change({ isLog }, redraw),
      outliers: (ignoresOutliers) => this.change({ ignoresOutliers }, redraw),
    });
    Object.assign(this, { pill: toolbar.pill, pause: toolbar.pause, offerRanks: toolbar.offerRanks });
    this.note = element("p", "tg-note", this.data.waiting);
    this.body = element("div", "tg-body");
    this.more = element("button", "tg-button tg-more");
    this.more.type = "button";
    this.more.hidden = true;
    this.more.addEventListener("click", () => this.showMore());
    this.root.append(toolbar.bar, ...this.legend(), this.note, this.body, this.more);
  }

  // Runs in the same charts are told apart here, once for all charts.
  legend() {
    if (!this.view.hasRuns) return [];
    const list = element("ul", "tg-runs");
    this.data.runs.forEach(({ name }, run) => {
      const entry = element("li", "tg-value tg-swatch", name);
      const { color, dash } = this.view.lookOf({ series: { run, rank: 0 } }, []);
      entry.style.setProperty("--tg-line", color);
      entry.dataset.dash = dash;
      list.append(entry);
    });
    return [list];
  }

  // New data from the script: true when this page can go on with it.
  accept(data) {
    const asked = ({ runs, kinds, rank, language }) => JSON.stringify([runs.map((run) => run.id), kinds, rank, language]);
    if (asked(data) !== asked(this.data)) return false;
    const isNewServer = data.token !== this.data.token;
    this.data = data;
    const theme = readTheme(this.root);
    if (JSON.stringify(theme) !== JSON.stringify(this.view.theme)) {
      this.view.theme = theme;
      this.charts().forEach((chart) => chart.changeTheme());
    }
    this.shown.frames.get(STACKED)?.chart.mark(data.windows);
    if (isNewServer) this.poller.wake();
    return true;
  }

  // Charts grow the page downwards; only a change of width concerns them.
  resize() {
    if (this.root.clientWidth === this.width) return;
    this.width = this.root.clientWidth;
    this.shown.all().forEach((frame) => frame.resize());
  }

  remove() {
    this.poller.stop();
    this.resizing.disconnect();
    this.nearing.disconnect();
    this.forget();
    clearTimeout(this.settling);
    this.choices.release();
    this.shown.all().forEach((frame) => frame.remove());
    this.root.remove();
    if (pages.get(this.parent) === this) pages.delete(this.parent);
  }

  // Ask for what is new, show it, and return the runs' status: that of the page's own unless another still trains.
  async tick() {
    const lines = this.near().flatMap((frame) => frame.chart.lines);
    const { header, answers } = await this.asking.news(lines, this.seriesKnown);
    if (header.catalogue) this.learn(header);
    if (lines.length) this.view.plotly ??= await loadPlotly(this.data.paths.plotly); // what to draw is asked for meanwhile
    await this.draw(answers);
    const { status } = header;
    return ["running", "lost"].find((one) => status.includes(one)) ?? status[0];
  }

  async draw(answers) {
    for (const frame of this.near()) {
      await frame.chart.update(answers);
      frame.tell(cursorStep());
      await aFrame(); // one task for all charts would block the page
    }
    const lasts = this.charts().flatMap((chart) => chart.lines.map((line) => line.held.steps.at(-1) ?? 0));
    if (lasts.length) reach(Math.max(...lasts));
  }

  learn({ catalogue, created_at: startedAt }) {
    const { rank } = this.data;
    this.seriesKnown = catalogue.length;
    this.view.startedAt = startedAt;
    const drawn = catalogue.filter((series) => rank === null || series.rank === rank);
    this.shown.learn(drawn);
    const isByClock = drawn.some((series) => series.timed);
    if (rank === null && !isByClock) this.offerRanks([...new Set(drawn.map((series) => series.rank))].sort((a, b) => a - b));
    this.arrange();
  }

  makeFrame(entry) {
    const isStacked = entry.key === STACKED;
    const frame = new Frame(entry, isStacked, (way) => this.step(frame.chart, way), () => this.sourceOf(frame));
    const on = { askWindow: (...asked) => this.asking.window(...asked), pick: moveCursor };
    frame.chart = isStacked ? new StackedChart(frame.plot, this.view, on, this.data.stack) : new Chart(frame.plot, this.view, on);
    frame.chart.cursor = cursorStep();
    if (isStacked) frame.chart.mark(this.data.windows);
    this.nearing.observe(frame.root);
    return frame;
  }

  // What a chart's menu offers: the numbers and the code are those of the lines that are drawn.
  sourceOf({ key, chart }) {
    const { store, runs, token, paths } = this.data;
    const code = () => pythonOf(key, chart.lines, { store, runs: runs.map((run) => run.name), view: this.view });
    const query = { ids: chart.lines.flatMap((line) => line.series.ids).join(",") };
    return { source: { table: "series", query, get code() { return code(); } }, token, tablePath: paths.table };
  }

  arrange() {
    const { drawn, left, next } = this.shown.arrange(this.view.filter, this.view.ranks);
    this.more.hidden = left <= 0;
    this.more.textContent = tr("Show {count} more of {left} charts", { count: next, left });
    this.note.hidden = drawn > 0;
    if (this.shown.entries.length) this.note.textContent = tr("No chart has this text in its name.");
  }

  near() {
    return this.shown.near();
  }

  charts() {
    return this.shown.all().map((frame) => frame.chart);
  }

  onNear(seen) {
    const frames = new Map(this.shown.all().map((frame) => [frame.root, frame]));
    for (const { target, isIntersecting } of seen) frames.get(target).isNear = isIntersecting;
    if (seen.some((one) => one.isIntersecting)) this.poller.wake();
  }

  rearrange(part) {
    this.choices.change(part);
    Object.assign(this.view, part);
    this.arrange();
    this.poller.wake();
  }

  showMore() {
    this.shown.showMore();
    this.arrange();
    this.poller.wake();
  }

  async change(part, apply) {
    Object.assign(this.view, part);
    this.choices.change(part);
    let isAsked = false;
    for (const chart of this.charts()) {
      isAsked = (await apply(chart)) === true || isAsked;
      await aFrame();
    }
    if (isAsked) this.poller.wake();
  }

  // Move the line in every chart that is seen, and tell the values there: first those at hand, soon the exact ones.
  async showCursor() {
    const step = cursorStep();
    clearTimeout(this.settling);
    if (step !== null) this.settling = setTimeout(() => this.settle(step), SETTLE_MS);
    for (const frame of this.shown.all()) {
      if (cursorStep() !== step) return; // it has moved on
      await frame.chart.showCursor(step);
      frame.tell(step);
      if (frame.isNear) await aFrame();
    }
  }

  async settle(step) {
    const frames = this.near();
    const lines = frames.flatMap((frame) => frame.chart.lines);
    for (const part of partsOf(lines)) await exactly(part, step, (...asked) => this.asking.window(...asked));
    if (cursorStep() === step) frames.forEach((frame) => frame.tell(step));
  }

  async step(chart, way) {
    const next = await neighbour(chart, cursorStep(), way, (...asked) => this.asking.window(...asked));
    if (next !== null) moveCursor(next);
  }

  show(state, text) {
    this.root.dataset.state = state;
    this.pill.dataset.state = state;
    this.pill.textContent = text;
    this.pause.hidden = state === "ended";
    if (!this.shown.entries.length && state === "ended") this.note.textContent = this.data.ended;
  }
}

function aFrame() {
  return new Promise((resolve) => {
    setTimeout(resolve);
  });
}
