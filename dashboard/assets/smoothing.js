// Exponential moving average without the pull towards zero of its first values (Kingma and Ba, 2015, section 3).

// Smooths values one batch after another; a constant series stays as it is, and NaN or infinity leaves a gap.
export class Smoother {
  constructor(weight) {
    this.weight = weight;
    this.average = 0;
    this.share = 0;
  }

  take(values) {
    return values.map((value) => {
      if (!Number.isFinite(value)) return NaN;
      this.share = this.weight * this.share + (1 - this.weight);
      this.average += ((1 - this.weight) / this.share) * (value - this.average);
      return this.average;
    });
  }
}
