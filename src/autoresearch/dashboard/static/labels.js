// Names for the kept changes, where there is room: they cover neither each other nor the edges.

const MOST = 14;
const LONGEST = 34;
// from the dot: right of it and left of it, near and farther, below and above
const PLACES = [12, 26, 42].flatMap((away) =>
  [[7, "left"], [-7, "right"]].flatMap(([dx, align]) => [[dx, away, align], [dx, -away, align]]),
);

/** Words and places for the best and for what was worth most.
 *
 * `toPixels(row)` gives [x, y]; `dots` are all dots, in pixels, and the words cover none. */
export function placeLabels(steps, dots, toPixels, size, measure) {
  const [width, height] = size;
  const latest = steps.at(-1);
  const byWorth = steps.slice(1, -1).sort((a, b) => Math.abs(b.delta ?? 0) - Math.abs(a.delta ?? 0));
  const chosen = [latest, ...byWorth].filter((row) => row?.number && row.description);
  const lines = linesOf(steps.map(toPixels), width);
  const taken = [];
  const found = [];
  for (const row of chosen) {
    if (found.length >= MOST) break;
    const text = short(row.description);
    const [x, y] = toPixels(row);
    const wide = measure(text);
    for (const [dx, dy, align] of PLACES) {
      const left = align === "left" ? x + dx : x + dx - wide;
      const box = [left, y + dy - 7, left + wide, y + dy + 7];
      const isInside = box[0] >= 0 && box[2] <= width && box[1] >= 2 && box[3] <= height - 2;
      const hits = dots.some(([a, b]) => a > box[0] - 3 && a < box[2] + 3 && b > box[1] - 2 && b < box[3] + 2);
      const crosses = lines.some((line) => overlap(box, line));
      const way = [Math.min(x, x + dx), Math.min(y, y + dy) + 8, Math.max(x, x + dx), Math.max(y, y + dy) - 8];
      const leader = way[1] < way[3] ? [way] : [];
      if (!isInside || hits || crosses || [box, ...leader].some((each) => taken.some((other) => overlap(each, other)))) continue;
      taken.push(box, ...leader);
      found.push({ row, text, dx, dy, align });
      break;
    }
  }
  return found;
}

/** The step line as thin boxes, which labels keep off. */
function linesOf(corners, width) {
  return corners.flatMap(([x, y], place) => {
    const [nextX, nextY] = corners[place + 1] ?? [width, y];
    return [[x, y - 1, nextX, y + 1], [nextX - 1, Math.min(y, nextY), nextX + 1, Math.max(y, nextY)]];
  });
}

const short = (text) => (text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 1).trimEnd()}…`);

const overlap = (a, b) => !(a[2] + 4 < b[0] || b[2] + 4 < a[0] || a[3] + 1 < b[1] || b[3] + 1 < a[1]);
