// The step chart: every experiment a dot, the best so far a line with its noise, kept ones named.

import { byId, el, isPhone } from "./dom.js";
import { score } from "./format.js";
import { placeLabels } from "./labels.js";
import { colours, library, plainFigure } from "./library.js";
import { isKept } from "./model.js";
import { scoreWindow } from "./window.js";

const REACH = 18; // pixels from a dot within which it is meant
const NEAR = 14; // a name so near to its dot needs no line to it

export class StepChart {
  /** onOpen(number); `describe(row)` gives the tooltip's lines. */
  constructor(place, onOpen, describe) {
    Object.assign(this, { place, onOpen, describe, model: null, last: 0, points: [] });
    place.addEventListener("pointermove", (event) => this.hover(event));
    place.addEventListener("pointerleave", () => this.hover(null));
    place.addEventListener("click", (event) => this.click(event));
    new ResizeObserver(() => this.view && requestAnimationFrame(() => this.name())).observe(place);
  }

  async draw(model) {
    this.model = model;
    const Bokeh = await library();
    if (!Bokeh) return;
    if (!this.building) this.building = this.build(Bokeh);
    await this.building;
    this.fill();
  }

  async build(Bokeh) {
    const look = colours();
    const metric = this.model.study?.metric ?? "score";
    const figure = plainFigure(Bokeh, isPhone() ? 260 : 340, "experiment", `${metric} (${this.model.lower ? "lower" : "higher"} is better)`);
    figure.xaxis.ticker = new Bokeh.BasicTicker({ min_interval: 1 });
    const source = () => new Bokeh.ColumnDataSource({ data: { x: [], y: [] } });
    this.sources = {
      band: new Bokeh.ColumnDataSource({ data: { x: [], y1: [], y2: [] } }), base: source(), dots: source(), beyond: source(),
      failed: source(), line: source(), kept: source(),
      leaders: new Bokeh.ColumnDataSource({ data: { x: [], y: [], x1: [], y1: [] } }),
      names: new Bokeh.ColumnDataSource({ data: { x: [], y: [], text: [], dx: [], dy: [], align: [] } }),
    };
    const { band, base, dots, beyond, failed, line, kept, names, leaders } = this.sources;
    const field = (name) => ({ field: name });
    const at = { x: field("x"), y: field("y") };
    figure.varea({ x: field("x"), y1: field("y1"), y2: field("y2"), source: band, fill_color: look.band, fill_alpha: 1 });
    figure.line({ ...at, source: base, line_color: look.muted, line_dash: [5, 4], line_width: 1 });
    this.dots = figure.scatter({ ...at, source: dots, size: 5, fill_color: look.dot, line_color: null });
    figure.scatter({ ...at, source: beyond, size: 6, marker: this.model.lower ? "triangle" : "inverted_triangle", fill_color: look.dot, line_color: null });
    this.failed = figure.scatter({ ...at, source: failed, size: 9, marker: "dash", angle: Math.PI / 2, line_color: look.fail, line_width: 1.2, fill_color: null });
    figure.line({ ...at, source: line, line_color: look.line, line_width: 2 });
    figure.segment({ x0: field("x"), y0: field("y"), x1: field("x1"), y1: field("y1"), source: leaders, line_color: look.muted, line_width: 0.7 });
    this.kept = figure.scatter({ ...at, source: kept, size: 8, fill_color: look.accent, line_color: look.paper, line_width: 1.5 });
    figure.text({
      ...at, text: field("text"), x_offset: field("dx"), y_offset: field("dy"), text_align: field("align"),
      text_baseline: "middle", source: names, text_color: look.ink, text_font_size: "12px", text_font: look.font,
    });
    this.figure = figure;
    this.view = await Bokeh.Plotting.show(figure, this.place);
    this.pen = document.createElement("canvas").getContext("2d");
    this.pen.font = `12px ${look.font}`;
  }

  /** The rows that are shown: all, or the last ones. */
  get shown() {
    const rows = this.model.rows;
    return this.last ? rows.slice(Math.max(0, rows.length - this.last)) : rows;
  }

  fill() {
    const { model, figure } = this;
    const shown = this.shown.filter((row) => row.verdict !== null);
    const scored = shown.filter((row) => row.score !== null);
    const first = shown[0]?.number ?? 0;
    const end = Math.max(shown.at(-1)?.number ?? 0, first + 1);
    const noise = model.study?.noise ?? 0;
    const base = this.last && first > 0 ? null : model.baseline?.score ?? null;
    const [bottom, top] = scoreWindow(scored.map((row) => row.score), base, model.lower, noise);
    const room = (end - first) * 0.015 + 0.5;
    Object.assign(figure.x_range, { start: first - room, end: end + room });
    Object.assign(figure.y_range, { start: bottom, end: top });
    const inside = (row) => row.score >= bottom && row.score <= top;
    const edge = model.lower ? top - (top - bottom) * 0.02 : bottom + (top - bottom) * 0.02;
    const floor = bottom + (top - bottom) * 0.012;
    const others = scored.filter((row) => !isKept(row));
    const place = (rows, y) => ({ x: rows.map((row) => row.number), y: rows.map(y) });
    const beyond = others.filter((row) => !inside(row));
    const failed = shown.filter((row) => row.score === null);
    const kept = scored.filter(isKept);
    this.sources.dots.data = place(others.filter(inside), (row) => row.score);
    this.sources.beyond.data = place(beyond, () => edge);
    this.sources.failed.data = place(failed, () => floor);
    this.sources.kept.data = place(kept, (row) => Math.min(Math.max(row.score, bottom), top));
    const size = Math.min(6, Math.max(2.2, 60 / Math.sqrt(scored.length + 1)));
    this.dots.glyph.size = { value: size };
    this.kept.glyph.size = { value: Math.max(5, size + 3) };
    this.failed.glyph.line_width = { value: Math.min(1.3, Math.max(0.4, 20 / Math.sqrt(failed.length + 1))) };
    const line = this.stepLine(first, end);
    this.sources.line.data = line;
    this.sources.band.data = { x: noise ? line.x : [], y1: noise ? line.y.map((y) => y - noise) : [], y2: noise ? line.y.map((y) => y + noise) : [] };
    const baseline = model.baseline?.score;
    this.sources.base.data = baseline === undefined ? { x: [], y: [] } : { x: [first - room, end + room], y: [baseline, baseline] };
    this.points = [
      ...failed.map((row) => [row, floor]), ...beyond.map((row) => [row, edge]),
      ...others.filter(inside).map((row) => [row, row.score]), ...kept.map((row) => [row, Math.min(Math.max(row.score, bottom), top)]),
    ];
    this.steps = model.steps.filter((row) => row.number >= first);
    this.place.setAttribute("aria-label", this.inWords());
    this.legend(kept.length, failed.length, beyond.length, noise);
    requestAnimationFrame(() => this.name());
  }

  /** The best so far as corners, from the left edge to the last experiment. */
  stepLine(first, end) {
    const x = [];
    const y = [];
    for (const row of this.model.steps) {
      if (row.number > first && y.length) {
        x.push(row.number);
        y.push(y.at(-1));
      }
      if (row.number <= first) x.length = y.length = 0;
      x.push(Math.max(row.number, first));
      y.push(row.score);
    }
    if (y.length) {
      x.push(end);
      y.push(y.at(-1));
    }
    return { x, y };
  }

  toPixels(number, value) {
    const { x_scale, y_scale, bbox } = this.view.frame;
    return [x_scale.compute(number) - bbox.left, y_scale.compute(value) - bbox.top];
  }

  /** The place so many pixels beside a point. */
  toData([x, y], dx, dy) {
    const { x_scale, y_scale, bbox } = this.view.frame;
    return [x_scale.invert(x + dx + bbox.left), y_scale.invert(y + dy + bbox.top)];
  }

  name() {
    const { bbox } = this.view.frame;
    if (!this.steps || !bbox.width) return;
    const pixels = (row) => this.toPixels(row.number, row.score);
    const dots = this.points.map(([row, value]) => this.toPixels(row.number, value));
    const width = (text) => this.pen.measureText(text).width;
    const placed = placeLabels(this.steps, dots, pixels, [bbox.width, bbox.height], width);
    this.sources.names.data = {
      x: placed.map(({ row }) => row.number), y: placed.map(({ row }) => row.score),
      text: placed.map(({ text }) => text), dx: placed.map(({ dx }) => dx),
      dy: placed.map(({ dy }) => dy), align: placed.map(({ align }) => align),
    };
    const far = placed.filter(({ dy }) => Math.abs(dy) > NEAR);
    const ends = far.map(({ row, dx, dy }) => this.toData(pixels(row), dx, dy - 7 * Math.sign(dy)));
    this.sources.leaders.data = {
      x: far.map(({ row }) => row.number), y: far.map(({ row }) => row.score),
      x1: ends.map(([x]) => x), y1: ends.map(([, y]) => y),
    };
  }

  legend(kept, failed, beyond, noise) {
    const entry = (mark, words) => el("li", {}, el("i", { class: `mark mark-${mark}`, "aria-hidden": "true" }), words);
    byId("chart-legend").replaceChildren(
      ...[
        kept && entry("kept", "kept"), entry("dot", "discarded"), beyond && entry("beyond", "worse than shown"),
        failed && entry("failed", "no score"), entry("line", "best so far"),
        noise && entry("band", `± noise between seeds (${noise.toPrecision(2)})`), entry("base", "baseline"),
      ].filter(Boolean),
    );
  }

  inWords() {
    const { model } = this;
    const best = model.best ? `, best ${score(model.best.score)} by #${model.best.number}` : "";
    return `Chart of ${model.rows.length} experiments, ${model.count("keep")} kept${best}. The table below has them all.`;
  }

  nearest(event) {
    if (!this.view) return null;
    const { bbox } = this.view.frame;
    const box = this.place.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left - bbox.left, event.clientY - box.top - bbox.top];
    let found = null;
    let least = REACH * REACH;
    for (const [row, value] of this.points) {
      const [a, b] = this.toPixels(row.number, value);
      const away = (a - x) ** 2 + (b - y) ** 2;
      if (away < least) [found, least] = [[row, a + bbox.left, b + bbox.top], away];
    }
    return found;
  }

  hover(event) {
    const tip = byId("tooltip");
    const found = event && this.nearest(event);
    tip.hidden = !found;
    this.place.classList.toggle("is-over", Boolean(found));
    if (!found) return;
    const [row, x, y] = found;
    tip.replaceChildren(...this.describe(row).map((line, place) => el(place ? "span" : "b", { class: "words" }, line)));
    const box = this.place.getBoundingClientRect();
    const left = Math.min(Math.max(8, box.left + x - tip.offsetWidth / 2), innerWidth - tip.offsetWidth - 8);
    const above = box.top + y - tip.offsetHeight - 12;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 8 ? above : box.top + y + 14}px`;
  }

  click(event) {
    const found = this.nearest(event);
    if (found) {
      this.hover(null);
      this.onOpen(found[0].number);
    }
  }

  /** Draw anew in other colours. */
  restyle() {
    this.building = null;
    this.view = null;
    this.place.replaceChildren();
    if (this.model) this.draw(this.model);
  }
}
