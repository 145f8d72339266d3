// The step that all panels show, as a slider that a keyboard moves too. Called by Streamlit with {last, step, follows,
// moved, words}: `follows` says that this page is drawn from the store anew for a step; `moved` counts the times that
// the page itself moved the cursor, to `step`.

import { cursorStep, holdCursor, moveCursor, onCursor, onReach } from "./cursor.js";
import { element } from "./element.js";
import { shared } from "./shared.js";
import { speak, tr } from "./words.js";

const SETTLE_MS = 200; // a slider reports every place that it passes
const FAR = 10;
const bars = new WeakMap();
const heard = shared("cursor_bar", () => ({ moved: 0 })); // by the page's own moves: a bar is made anew for each page

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  speak(data);
  const bar = bars.get(parentElement) ?? new CursorBar(parentElement);
  bars.set(parentElement, bar);
  bar.accept(data, setStateValue);
  return () => {
    bars.delete(parentElement);
    bar.remove();
  };
}

class CursorBar {
  constructor(parent) {
    this.root = element("div", "tg-cursor");
    this.slider = Object.assign(document.createElement("input"), { type: "range", min: 0, step: 1, className: "tg-cursor-slider" });
    this.field = Object.assign(document.createElement("input"), { type: "number", min: 0, step: 1, className: "tg-cursor-field" });
    this.label = element("label", "tg-cursor-label");
    this.clear = element("button", "tg-cursor-clear", "✕");
    this.clear.type = "button";
    const row = element("div", "tg-cursor-row");
    row.append(this.label, this.field, this.clear);
    this.root.append(row, this.slider);
    parent.append(this.root);
    this.slider.addEventListener("input", () => moveCursor(Number(this.slider.value)));
    this.field.addEventListener("change", () => moveCursor(this.field.value === "" ? null : Number(this.field.value)));
    this.clear.addEventListener("click", () => moveCursor(null));
    this.forget = [onCursor(() => this.show()), onReach((last) => this.reach(last))];
    this.onKey = (event) => this.press(event);
    document.addEventListener("keydown", this.onKey);
    this.last = 0;
  }

  accept(data, setStateValue) {
    this.data = data;
    this.setStateValue = setStateValue;
    this.noticeLook();
    this.label.textContent = tr("Step");
    this.slider.setAttribute("aria-label", tr("Step that every panel shows"));
    this.slider.title = tr("Move by [ and ], ten steps with Shift; Escape lets go");
    this.field.setAttribute("aria-label", tr("Step"));
    this.field.placeholder = tr("all");
    this.clear.setAttribute("aria-label", tr("Show no single step"));
    if (data.moved > heard.moved) moveCursor(data.step);
    heard.moved = data.moved;
    this.reach(data.last ?? 0);
    holdCursor();
    this.show();
  }

  // The system went from light to dark: figures that the page drew are to be drawn anew in its colours.
  noticeLook() {
    const look = getComputedStyle(this.root).getPropertyValue("--st-background-color");
    if (this.look !== undefined && look !== this.look) this.setStateValue("look", look);
    this.look = look;
  }

  reach(last) {
    this.last = Math.max(this.last, last);
    this.slider.max = String(this.last);
    this.slider.disabled = this.last === 0;
  }

  show() {
    const step = cursorStep();
    this.slider.value = String(step ?? this.last);
    this.slider.classList.toggle("tg-cursor-free", step === null);
    this.slider.setAttribute("aria-valuetext", step === null ? tr("no single step") : tr("step {step}", { step }));
    this.field.value = step === null ? "" : String(step);
    this.clear.style.visibility = step === null ? "hidden" : "visible";
    this.tell(step);
  }

  // Have the page drawn for the step, once the cursor rests, where the page asks for that.
  tell(step) {
    clearTimeout(this.settling);
    if (!this.data?.follows || step === this.data.step) return;
    this.settling = setTimeout(() => {
      if (cursorStep() === step) this.setStateValue("place", { step, moved: this.data.moved });
    }, SETTLE_MS);
  }

  press(event) {
    const way = { "[": -1, "]": 1, "{": -FAR, "}": FAR }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (event.key === "Escape" && cursorStep() !== null) moveCursor(null);
    else if (way) moveCursor(Math.min(this.last, Math.max(0, (cursorStep() ?? this.last) + way)));
    else return;
    event.preventDefault();
  }

  remove() {
    clearTimeout(this.settling);
    document.removeEventListener("keydown", this.onKey);
    this.forget.forEach((stop) => stop());
    this.root.remove();
  }
}

function isTyping(target) {
  const isText = target instanceof HTMLInputElement && !["range", "checkbox", "radio", "button"].includes(target.type);
  return isText || target instanceof HTMLTextAreaElement || target?.isContentEditable;
}
