// Asks again and again while there is something to expect: slower when the server is away, not at all when hidden.

import { RefusedError } from "./wire.js";
import { tr } from "./words.js";

const PERIOD_MS = 1000;
const SILENT_PERIOD_MS = 5000; // the run's process has stopped beating: it may come back
const LONGEST_PAUSE_MS = 10000;

export class Poller {
  // `tick` asks once and returns the run's status; `show(state, detail)` tells the reader.
  constructor(tick, show) {
    this.tick = tick;
    this.show = show;
    this.failures = 0;
    this.isPaused = false;
    this.isStopped = false;
    this.isBusy = false;
    this.isWanted = false;
    this.timer = null;
    this.onVisibility = () => this.wake();
    document.addEventListener("visibilitychange", this.onVisibility);
  }

  start() {
    this.wake();
  }

  stop() {
    this.isStopped = true;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.onVisibility);
  }

  pause(isPaused) {
    this.isPaused = isPaused;
    this.wake();
  }

  wake() {
    clearTimeout(this.timer);
    if (this.isBusy) this.isWanted = true;
    else this.run();
  }

  async run() {
    if (this.isStopped) return;
    if (this.isPaused) return this.show("paused", tr("Paused"));
    if (document.visibilityState === "hidden") return this.show("paused", tr("Paused while hidden"));
    this.isBusy = true;
    this.isWanted = false;
    const pause = await this.once();
    this.isBusy = false;
    if (this.isStopped) return;
    if (this.isWanted) this.run();
    else if (pause !== null) this.timer = setTimeout(() => this.run(), pause);
  }

  // One question; returns how long to wait for the next, null for no next one.
  async once() {
    try {
      const status = await this.tick();
      this.failures = 0;
      if (this.isStopped) return null;
      if (status === "running") {
        this.show("live", tr("Live"));
        return PERIOD_MS;
      }
      if (status === "lost") {
        this.show("silent", tr("No heartbeat"));
        return SILENT_PERIOD_MS;
      }
      this.show("ended", status === "finished" ? tr("Finished") : status === "failed" ? tr("Failed") : tr("Interrupted"));
      return null;
    } catch (error) {
      if (this.isStopped) return null;
      this.failures += 1;
      const pause = Math.min(PERIOD_MS * 2 ** this.failures, LONGEST_PAUSE_MS);
      const what = error instanceof RefusedError ? error.message : tr("Server lost");
      this.show("lost", tr("{what}: trying again every {seconds} s", { what, seconds: Math.round(pause / 1000) }));
      return pause;
    }
  }
}
