// A window's time line: a map of what was busy, which becomes slices as the reader comes close. Called by Streamlit with
// {run, window, steps: [[number, start_ns]], phases: {name: colour}, token, path}; text of the run reaches the page as
// textContent or on canvas.

import { Canvas } from "./timeline_canvas.js";
import { Tooltip } from "./timeline_tooltip.js";
import { listen } from "./gestures.js";
import { duration } from "./time_axis.js";
import { element } from "./toolbar.js";
import { readTheme } from "./theme.js";
import { askColumns } from "./wire.js";

const SETTLE_MS = 60; // a drag reports every pixel; ask once it slows down
const MARGIN = 0.5; // of the view, on both sides: a short drag needs no question
const NARROWEST_NS = 20;
const HINT = "Drag to pan · Ctrl + scroll, pinch or W/S to zoom · drag along the axis to look at a span · 0 for all";
const timelines = new WeakMap();

export default function (component) {
  const { data, parentElement } = component;
  const present = timelines.get(parentElement);
  if (present?.accept(data)) return () => present.remove();
  present?.remove();
  const timeline = new Timeline(parentElement, data);
  timelines.set(parentElement, timeline);
  return () => timeline.remove();
}

class Timeline {
  constructor(parent, data) {
    this.parent = parent;
    this.data = data;
    this.answer = null;
    this.view = null; // {first, last} in ns
    this.asked = 0;
    this.build();
    this.theme = readTheme(this.root);
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(this.root);
    this.ask();
  }

  build() {
    this.root = element("div", "tg-timeline");
    const bar = element("div", "tg-bar");
    this.note = element("span", "tg-pill", "Loading");
    this.note.setAttribute("role", "status");
    bar.append(this.note, element("span", "tg-space"));
    const buttons = [
      ["−", "Zoom out", () => this.zoom(1 / 2, 0.5)],
      ["+", "Zoom in", () => this.zoom(2, 0.5)],
      ["All", "Show the whole window", () => this.fit()],
    ];
    for (const [text, label, act] of buttons) {
      const button = element("button", "tg-button", text);
      button.type = "button";
      button.setAttribute("aria-label", label);
      button.addEventListener("click", act);
      bar.append(button);
    }
    this.canvas = new Canvas(this.data.phases);
    this.tooltip = new Tooltip();
    this.frame = element("div", "tg-timeline-frame");
    this.frame.append(this.canvas.axis, this.canvas.scroller, this.tooltip.node);
    this.root.append(bar, this.frame, element("p", "tg-hint", HINT));
    this.parent.append(this.root);
    listen(this.canvas.plot, this.canvas.axis, (event) => this.canvas.shareAt(event), {
      pan: (share) => this.pan(share),
      zoom: (factor, place) => this.zoom(factor, place),
      span: (from, to, isDone) => this.span(from, to, isDone),
      fit: () => this.fit(),
      hover: (event) => this.hover(event),
      leave: () => this.tooltip.hide(),
    });
  }

  // New data from the script: true when this time line can go on with it.
  accept(data) {
    if (data.run !== this.data.run || data.window !== this.data.window) return false;
    const isNewServer = data.token !== this.data.token;
    this.data = data;
    this.theme = readTheme(this.root);
    if (isNewServer) this.ask();
    this.draw();
    return true;
  }

  remove() {
    clearTimeout(this.settling);
    this.resizing.disconnect();
    this.root.remove();
    this.isRemoved = true;
    if (timelines.get(this.parent) === this) timelines.delete(this.parent);
  }

  resize() {
    if (this.canvas.fit(this.root.clientWidth, this.answer)) this.later();
    this.draw();
  }

  // Ask for what is in view and a margin around it, unless it is there already.
  async ask() {
    const number = ++this.asked;
    const began = performance.now();
    const { first, last } = this.view ?? { first: 0, last: 1e14 };
    const margin = this.view ? (last - first) * MARGIN : 0;
    const bins = Math.round(this.canvas.plotWidth * (1 + 2 * (this.view ? MARGIN : 0)));
    const query = { run: this.data.run, window: this.data.window, first: first - margin, last: last + margin, bins };
    try {
      const answer = await askColumns(this.data.path, query, this.data.token);
      if (number !== this.asked || this.isRemoved) return;
      this.take(answer);
      this.root.dataset.answerMs = String(Math.round(performance.now() - began));
      this.root.dataset.answers = String(Number(this.root.dataset.answers ?? 0) + 1);
    } catch (error) {
      if (number === this.asked && !this.isRemoved) this.say(`${error.message}: move to try again`, true);
    }
  }

  take(answer) {
    this.answer = answer;
    this.view ??= { first: 0, last: Math.max(answer.span_ns, NARROWEST_NS) };
    this.root.dataset.mode = answer.total ? answer.mode : "empty";
    this.canvas.fit(this.root.clientWidth, answer);
    this.draw();
    if (!answer.total) return this.say("No slices in this window", false);
    const hidden = answer.hidden_rows ? `, ${answer.hidden_rows} deeper rows hidden` : "";
    const what = answer.mode === "slices" ? "slices drawn" : "slices, too many to draw: how busy each stretch was";
    this.say(`${duration(this.view.last - this.view.first)} · ${answer.count.toLocaleString("en")} ${what}${hidden}`, false);
  }

  say(text, isAlarm) {
    this.note.textContent = text;
    this.note.dataset.state = isAlarm ? "lost" : this.answer?.mode === "slices" ? "live" : "ended";
  }

  draw() {
    if (this.isDrawing || !this.view) return;
    this.isDrawing = true;
    requestAnimationFrame(() => {
      this.isDrawing = false;
      if (!this.isRemoved) this.canvas.draw(this.answer, this.view, this.data.steps, this.theme, this.brush);
    });
  }

  look(first, last) {
    if (!this.answer) return;
    const whole = Math.max(this.answer.span_ns, NARROWEST_NS);
    const width = Math.min(Math.max(last - first, NARROWEST_NS), whole);
    const begin = Math.min(Math.max(first, 0), whole - width);
    this.view = { first: begin, last: begin + width };
    this.tooltip.hide();
    this.draw();
    this.later();
  }

  later() {
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.ask(), SETTLE_MS);
  }

  pan(share) {
    if (!this.view) return;
    const { first, last } = this.view;
    this.look(first + share * (last - first), last + share * (last - first));
  }

  zoom(factor, place) {
    if (!this.view) return;
    const { first, last } = this.view;
    const at = first + place * (last - first);
    this.look(at - (at - first) / factor, at + (last - at) / factor);
  }

  span(from, to, isDone) {
    if (!this.view) return;
    const [low, high] = from < to ? [from, to] : [to, from];
    this.brush = isDone ? null : [low, high];
    const { first, last } = this.view;
    if (isDone && high - low > 0.005) this.look(first + low * (last - first), first + high * (last - first));
    else this.draw();
  }

  fit() {
    if (this.answer) this.look(0, this.answer.span_ns);
  }

  hover(event) {
    const found = this.answer && this.view ? this.canvas.itemAt(event, this.answer, this.view) : null;
    this.canvas.plot.style.cursor = found ? "default" : "grab";
    if (found) this.tooltip.show(found, event, this.frame);
    else this.tooltip.hide();
  }
}
