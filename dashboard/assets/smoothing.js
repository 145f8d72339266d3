// Smoothing as charts/smoothing.py defines it, for lines of which the browser holds every stored point and for what
// arrives after the points that the server has smoothed.

// Goes on from a state {mean, weight, lastX, typical}; a constant line stays as it is, and NaN or infinity leaves a gap.
export class Smoother {
  constructor(smoothing, state) {
    this.smoothing = smoothing;
    Object.assign(this, state);
  }

  take(x, values) {
    return values.map((value, index) => {
      if (!Number.isFinite(value)) return NaN;
      const distance = this.weight ? (x[index] - this.lastX) / this.typical : 1;
      const keep = this.smoothing ** distance;
      this.weight = keep * this.weight + 1 - keep;
      if (this.weight > 0) this.mean += ((1 - keep) / this.weight) * (value - this.mean);
      this.lastX = x[index];
      return this.mean;
    });
  }
}

// The state before the first point of a line whose finite points lie so far apart as a rule.
export function beginning(typical) {
  return { mean: 0, weight: 0, lastX: 0, typical };
}

// The median distance of the finite points; 1 where there is none.
export function typicalDistance(x, values) {
  const known = x.filter((_, index) => Number.isFinite(values[index]));
  const distances = known.slice(1).map((place, index) => place - known[index]);
  return median(distances) || 1;
}

function median(values) {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
