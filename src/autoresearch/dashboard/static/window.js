// The range of scores worth looking at: as in the report's chart.

const quantile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];

/** [bottom, top]: from the best score to the baseline, and on to the dots that lie close beyond.
 *
 * Where nothing beat the baseline, three quarters of the dots are taken in, diverged ones aside. */
export function scoreWindow(scores, baseline, lower, noise = 0) {
  if (!scores.length) return [0, 1];
  const sign = lower ? 1 : -1;
  const losses = scores.map((each) => sign * each); // lower is better from here on
  const sorted = Float64Array.from(losses).sort();
  const base = baseline === null ? quantile(sorted, 0.5) : sign * baseline;
  const gain = Math.max(0, base - sorted[0]);
  const behind = Float64Array.from(losses.filter((each) => each > base), (each) => each - base).sort();
  const near = behind.filter((each) => each <= (gain > 0 ? 0.6 * gain : Math.abs(base) || 1));
  let reach = near.length ? (gain > 0 ? near.at(-1) : quantile(near, 0.75)) : 0;
  if (gain === 0 && !reach) reach = Math.abs(base) * 0.01 || 1;
  const room = gain + reach;
  const better = base - gain - Math.max(0.16 * room, noise * 1.2);
  const worse = base + reach + 0.1 * room;
  return lower ? [better, worse] : [-worse, -better];
}
