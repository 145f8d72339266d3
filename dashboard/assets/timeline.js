// A window's time line: a map of what was busy, which becomes slices as the reader comes close. Called by Streamlit with
// {run, window, steps: [[number, start_ns, end_ns]], phases: {name: colour}, token, path, words}; text of the run reaches
// the page as textContent or on canvas.

import { cursorStep, moveCursor, onCursor } from "./cursor.js";
import { element } from "./element.js";
import { listen, STILL } from "./gestures.js";
import { readTheme } from "./theme.js";
import { duration } from "./time_axis.js";
import { Canvas } from "./timeline_canvas.js";
import { Tooltip } from "./timeline_tooltip.js";
import { askColumns } from "./wire.js";
import { speak, tr } from "./words.js";

const SETTLE_MS = 60; // a drag reports every pixel; ask once it slows down
const MARGIN = 0.5; // of the view, on both sides: a short drag needs no question
const NARROWEST_NS = 20;
const SPOKEN_LANES = 40;
const timelines = new WeakMap();

export default function (component) {
  const { data, parentElement } = component;
  speak(data);
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
    this.forget = onCursor(() => this.mark());
    this.mark();
    this.ask();
  }

  build() {
    this.root = element("div", "tg-timeline");
    const bar = element("div", "tg-bar");
    this.note = element("span", "tg-pill", tr("Loading"));
    this.note.setAttribute("role", "status");
    bar.append(this.note, element("span", "tg-space"));
    this.toStep = this.button(bar, "", "", () => this.showStep());
    this.button(bar, "−", tr("Zoom out"), () => this.zoom(1 / 2, 0.5));
    this.button(bar, "+", tr("Zoom in"), () => this.zoom(2, 0.5));
    this.button(bar, tr("All"), tr("Show the whole window"), () => this.fit());
    this.canvas = new Canvas(this.data.phases);
    this.tooltip = new Tooltip();
    this.frame = element("div", "tg-timeline-frame");
    this.frame.append(this.canvas.axis, this.canvas.scroller, this.tooltip.node);
    this.told = element("p", "tg-spoken");
    this.told.id = `tg-timeline-${this.data.window}`;
    this.canvas.plot.setAttribute("aria-describedby", this.told.id);
    const hint = tr(
      "Drag to pan · Ctrl + scroll, pinch or W/S to zoom · drag along the axis to look at a span · click there to choose " +
        "a step · 0 for all"
    );
    this.root.append(bar, this.frame, this.told, element("p", "tg-hint", hint));
    this.parent.append(this.root);
    listen(this.canvas.plot, this.canvas.axis, (event) => this.canvas.shareAt(event), {
      pan: (share) => this.pan(share),
      zoom: (factor, place) => this.zoom(factor, place),
      span: (from, to, isDone) => this.span(from, to, isDone),
      pick: (place) => this.pick(place),
      fit: () => this.fit(),
      hover: (event) => this.hover(event),
      leave: () => this.tooltip.hide(),
    });
  }

  button(bar, text, label, act) {
    const button = element("button", "tg-button", text);
    button.type = "button";
    if (label) button.setAttribute("aria-label", label);
    button.addEventListener("click", act);
    bar.append(button);
    return button;
  }

  // New data from the script: true when this time line can go on with it.
  accept(data) {
    if (data.run !== this.data.run || data.window !== this.data.window) return false;
    const isNewServer = data.token !== this.data.token;
    this.data = data;
    this.theme = readTheme(this.root);
    if (isNewServer) this.ask();
    this.mark();
    return true;
  }

  remove() {
    clearTimeout(this.settling);
    this.resizing.disconnect();
    this.forget();
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
      const told = tr("{reason}: move to try again", { reason: error.message });
      if (number === this.asked && !this.isRemoved) this.say(told, true);
    }
  }

  take(answer) {
    this.answer = answer;
    this.view ??= { first: 0, last: Math.max(answer.span_ns, NARROWEST_NS) };
    this.root.dataset.mode = answer.total ? answer.mode : "empty";
    this.canvas.fit(this.root.clientWidth, answer);
    this.draw();
    this.tell();
  }

  // What is in view in words: on the pill for all, and with its lanes for those who hear the page.
  tell() {
    const { total, count, mode, hidden_rows: hidden, lanes } = this.answer;
    if (!total) return this.say(tr("No slices in this window"), false);
    const told = { span: duration(this.view.last - this.view.first), count: count.toLocaleString("en") };
    const text =
      mode === "slices"
        ? tr("{span} · {count} slices drawn", told)
        : tr("{span} · {count} slices, too many to draw: how busy each stretch was", told);
    this.say(hidden ? tr("{told}, {count} deeper rows hidden", { told: text, count: hidden }) : text, false);
    const named = lanes.slice(0, SPOKEN_LANES).map((lane) => lane.title);
    const more = lanes.length - named.length;
    const list = more > 0 ? tr("{list} and {count} more", { list: named.join(", "), count: more }) : named.join(", ");
    this.told.textContent = tr("{told}. Lanes: {list}.", { told: text, list });
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
      if (this.isRemoved) return;
      const { theme, brush } = this;
      this.canvas.draw(this.answer, this.view, { steps: this.data.steps, chosen: cursorStep(), theme, brush });
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
    if (isDone && high - low > STILL) this.look(first + low * (last - first), first + high * (last - first));
    else this.draw();
  }

  // The step below a place on the axis becomes the one that every panel shows.
  pick(place) {
    if (!this.view) return;
    const at = this.view.first + place * (this.view.last - this.view.first);
    const found = this.data.steps.findLast(([, start, end]) => start <= at && at < end);
    if (found) moveCursor(found[0]);
  }

  chosen() {
    const step = cursorStep();
    return this.data.steps.find(([number]) => number === step) ?? null;
  }

  mark() {
    const chosen = this.chosen();
    this.toStep.hidden = chosen === null;
    if (chosen) this.toStep.textContent = tr("Step {step}", { step: chosen[0].toLocaleString("en") });
    this.draw();
  }

  showStep() {
    const [, start, end] = this.chosen() ?? [null, 0, this.answer?.span_ns ?? 0];
    this.look(start, end);
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
