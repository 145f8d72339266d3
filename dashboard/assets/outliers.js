// How high an axis reaches when outliers are ignored: from the 5th to the 95th percentile of the values, and some more.

const OUTER = [0.05, 0.95];
const MARGIN = 0.1; // of the extent, on either side

// The percentiles of the finite values, or of those above zero; null where there are none.
export function extentOf(values, isLog) {
  const known = values.filter((value) => Number.isFinite(value) && (!isLog || value > 0)).sort();
  return known.length ? OUTER.map((share) => quantile(known, share)) : null;
}

// What holds all of the extents.
export function union(extents) {
  const known = extents.filter(Boolean);
  return known.length ? [Math.min(...known.map(([low]) => low)), Math.max(...known.map(([, high]) => high))] : null;
}

// The limits that an axis does not go beyond by itself; null where it may.
export function limitsOf(extent, isLog) {
  if (!extent || !(extent[1] > extent[0])) return [null, null];
  const [low, high] = isLog ? extent.map(Math.log10) : extent;
  const margin = (high - low) * MARGIN;
  const limits = [low - margin, high + margin];
  return isLog ? limits.map((limit) => 10 ** limit) : limits;
}

function quantile(sorted, share) {
  const place = share * (sorted.length - 1);
  const before = Math.floor(place);
  const after = Math.min(before + 1, sorted.length - 1);
  return sorted[before] + (place - before) * (sorted[after] - sorted[before]);
}
