// Loss curves over the seconds of training: one experiment against another at equal time.

import { el, isPhone } from "./dom.js";
import { data } from "./early.js";
import { colours, library, plainFigure } from "./library.js";

const MOST = 400; // points that are drawn of a curve

export class CurveChart {
  constructor(place, legend) {
    Object.assign(this, { place, legend });
  }

  /** `curves`: up to two of {name, points}, the first in the accent's colour. */
  async draw(curves, budgetSeconds) {
    this.latest = [curves, budgetSeconds];
    const Bokeh = await library();
    if (!Bokeh || !this.place.isConnected) return;
    if (!this.building) this.building = this.build(Bokeh);
    await this.building;
    this.fill(...this.latest);
  }

  async build(Bokeh) {
    const look = colours();
    this.figure = plainFigure(Bokeh, isPhone() ? 200 : 240, "seconds of training", "loss");
    const make = () => new Bokeh.ColumnDataSource({ data: { x: [], y: [] } });
    this.sources = [make(), make()];
    const looks = [{ line_color: look.accent, line_width: 2 }, { line_color: look.muted, line_width: 1.5 }];
    for (const place of [1, 0]) {
      this.figure.line({ x: { field: "x" }, y: { field: "y" }, source: this.sources[place], ...looks[place] });
    }
    await Bokeh.Plotting.show(this.figure, this.place);
  }

  fill(curves, budgetSeconds) {
    const drawn = curves.map(({ points }) => thinned(points));
    this.sources.forEach((source, place) => {
      const points = drawn[place] ?? [];
      source.data = { x: points.map(([x]) => x), y: points.map(([, y]) => y) };
    });
    const all = drawn.flat();
    const end = Math.max(budgetSeconds ?? 0, ...all.map(([x]) => x)) || 1;
    Object.assign(this.figure.x_range, { start: 0, end });
    Object.assign(this.figure.y_range, lossRange(drawn));
    this.legend.replaceChildren(
      ...curves.map(({ name, points }, place) => {
        const words = `${name}: ${lossWords(points, place ? curves[0].points : [])}`;
        return el("li", { class: "words" }, el("i", { class: `mark mark-${place ? "other" : "line"}`, "aria-hidden": "true" }), words);
      }),
    );
    this.place.setAttribute("aria-label", `Loss over the seconds of training. ${this.legend.textContent}`);
  }

  restyle() {
    this.building = null;
    this.place.replaceChildren();
    if (this.latest) this.draw(...this.latest);
  }
}

/** The last loss; of a curve that is further than `other`, the loss when it was as far. */
function lossWords(points, other) {
  if (!points.length) return "no curve yet";
  const end = other.at(-1)?.[0] ?? Infinity;
  const then = points.findLast(([seconds]) => seconds <= end) ?? points[0];
  return then[1].toFixed(3) + (then === points.at(-1) ? "" : " at the same time");
}

/** The steep start would squeeze all that matters: the first twentieth may lie above the edge. */
function lossRange(curves) {
  const losses = curves.flatMap((points) => {
    const late = points.slice(Math.floor(points.length / 20));
    return late.map(([, y]) => y);
  });
  if (!losses.length) return { start: 0, end: 1 };
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  const room = (high - low) * 0.08 || Math.abs(high) * 0.05 || 1;
  return { start: low - room, end: high + room };
}

function thinned(points) {
  if (points.length <= MOST) return points;
  const apart = points.length / MOST;
  const kept = Array.from({ length: MOST }, (_, place) => points[Math.floor(place * apart)]);
  return [...kept, points.at(-1)];
}

const known = new Map(); // curves of finished experiments do not change

/** The curves of some experiments, by number; {} when the line is broken. */
export async function fetchCurves(tag, numbers) {
  const missing = numbers.filter((number) => !known.has(`${tag}/${number}`));
  if (missing.length) {
    const found = await data(`/api/study/${encodeURIComponent(tag)}/curves/${missing.join(",")}`);
    if (!found) return {};
    for (const [number, points] of Object.entries(found)) known.set(`${tag}/${number}`, points);
  }
  return Object.fromEntries(numbers.map((number) => [number, known.get(`${tag}/${number}`) ?? []]));
}
