// One experiment: everything that is known of it, at an address of its own.

import { byId, el, pairs } from "./dom.js";
import { clock, count, dollars, duration, plural, score, signed } from "./format.js";
import { diffElement, textElement } from "./code.js";
import { CurveChart, fetchCurves } from "./curves.js";
import { data } from "./early.js";
import { isKept, kindOf } from "./model.js";
import { answer } from "./orders.js";
import { vetoButton } from "./steer.js";

export class ExperimentView {
  constructor(go, beside) {
    Object.assign(this, { go, beside, number: null });
    this.place = byId("experiment");
  }

  /** Show it; again whenever its row has changed. */
  async show(model, number) {
    const row = model.rows[number];
    const word = row ? model.word(row) : "";
    if (this.number === number && this.row === row && this.word === word && this.tag === model.tag) return;
    const isNew = this.number !== number || this.tag !== model.tag;
    Object.assign(this, { number, row, word, tag: model.tag });
    if (isNew) answer("");
    if (isNew) this.place.replaceChildren(this.head(model, row, number));
    if (isNew) byId("experiment-title").focus({ preventScroll: true });
    if (!row) return this.place.replaceChildren(this.head(model, row, number), el("p", {}, "There is no such experiment."));
    const facts = await data(`/api/study/${encodeURIComponent(model.tag)}/experiments/${number}`);
    if (this.number !== number || this.row !== row) return;
    if (!facts) {
      this.place.replaceChildren(this.head(model, row, number), el("p", {}, "It could not be read: it is asked for again."));
      this.row = null;
      return;
    }
    this.fill(model, row, facts);
  }

  hide() {
    this.number = this.row = null;
    this.place.replaceChildren();
  }

  head(model, row, number) {
    const kind = row ? kindOf(row) : "open";
    const step = (by, words) => {
      const other = this.beside(number, by);
      return other === null ? null : el("a", { href: `#/${model.tag}/${other}`, class: "button quiet", rel: by < 0 ? "prev" : "next" }, words);
    };
    return el(
      "header", { class: "experiment-head" },
      el("nav", { "aria-label": "Experiments", class: "buttons" }, el("a", { href: `#/${model.tag}`, class: "button quiet", id: "back" }, "← All experiments"), step(-1, "Previous"), step(1, "Next")),
      el("h1", { id: "experiment-title", tabindex: "-1", class: "words" }, `#${number} ${row?.description ?? ""}`),
      row ? el("p", { class: "sentence" }, el("span", { class: `verdict is-${kind}` }, model.word(row)), " ", el("span", { class: "words" }, row.reason)) : null,
    );
  }

  fill(model, row, facts) {
    const parts = [
      this.head(model, row, facts.number), this.scores(model, row, facts), this.hypothesis(facts), this.lineage(model, row),
      this.curves(model, row), this.config(facts), this.change(facts), this.runs(facts), this.long(facts.log, "Log"),
      this.long(facts.talk, "What the agent said and did"), this.about(facts),
    ];
    const hadFocus = this.place.contains(document.activeElement);
    const opened = [...this.place.querySelectorAll("details[open]")].map((each) => each.dataset.name);
    this.place.replaceChildren(...parts.filter(Boolean));
    for (const name of opened) this.place.querySelector(`details[data-name="${name}"]`)?.setAttribute("open", "");
    if (hadFocus) byId("experiment-title").focus({ preventScroll: true });
  }

  scores(model, row, facts) {
    const fact = (title, value, more) => (value ? el("div", {}, el("dt", {}, title), el("dd", {}, value), more ? el("dd", { class: "muted" }, more) : null) : null);
    const tokens = facts.proposal_tokens ? `${count(facts.proposal_tokens)} tokens` : "";
    const money = facts.proposal_cost_usd === null ? "" : dollars(facts.proposal_cost_usd);
    const dl = el(
      "dl", { class: "headline" },
      fact(model.study?.metric ?? "Score", score(facts.score)),
      fact("Against the best of its moment", signed(facts.delta, facts.score)),
      fact("Took", duration(facts.seconds), facts.training_seconds ? `${duration(facts.training_seconds)} of training` : ""),
      fact("Proposal", tokens || money, tokens ? money : ""),
    );
    const canVeto = row && row.number > 0 && row.verdict === "keep" && (isKept(row) || row.vetoed);
    return el("div", { class: "experiment-scores" }, dl, canVeto ? el("div", { class: "buttons" }, vetoButton(model, row)) : null);
  }

  hypothesis({ hypothesis, answer }) {
    if (!hypothesis) return null;
    return section("Hypothesis", el("p", { class: "words prose" }, hypothesis), answer ? el("p", { class: "muted" }, `It is ${answer}.`) : null);
  }

  lineage(model, row) {
    if (!row || row.parent === null) return null;
    const chain = [];
    for (let each = row; each && chain.length < 500; each = model.rows[each.parent]) chain.unshift(each);
    const children = model.rows.filter((each) => each.parent === row.number);
    const link = (each) => el("a", { href: `#/${model.tag}/${each.number}`, title: each.description, "aria-current": each === row ? "true" : null }, `#${each.number}`);
    const shown = chain.length > 14 ? [chain[0], null, ...chain.slice(-12)] : chain;
    const items = shown.map((each) => el("li", {}, each ? link(each) : "…"));
    const kept = children.filter(isKept);
    const words = children.length ? el("p", { class: "muted" }, `${plural(children.length, "experiment")} started from it`, kept.length ? "; kept: " : "", kept.flatMap((each, place) => [place ? ", " : "", link(each)])) : null;
    return section("Built on", el("ol", { class: "lineage plain" }, items), words);
  }

  curves(model, row) {
    if (!row) return null;
    const place = el("div", { class: "plot", role: "img" });
    const legend = el("ul", { class: "legend plain" });
    this.curvePart = section("Loss", place, legend);
    this.curvePart.hidden = true;
    this.chart = new CurveChart(place, legend);
    setTimeout(() => this.drawCurves(model)); // once it stands in the document
    return this.curvePart;
  }

  /** Its curve beside its parent's; of the running one as far as it is. */
  async drawCurves(model) {
    const { row, chart } = this;
    if (!row || !chart) return;
    const isRunning = row.verdict === null;
    const asked = [row.number, row.parent].filter((number) => number !== null && !(isRunning && number === row.number));
    const found = asked.length ? await fetchCurves(model.tag, asked) : {};
    if (isRunning && model.curve.experiment === row.number) found[row.number] = model.curve.points;
    const curves = [[`#${row.number}`, found[row.number] ?? []]];
    if (row.parent !== null) curves.push([`what it was built on, ${row.parent ? `#${row.parent}` : "the baseline"}`, found[row.parent] ?? []]);
    if (chart !== this.chart || !curves.some(([, points]) => points.length)) return;
    this.curvePart.hidden = false;
    await chart.draw(curves.map(([name, points]) => ({ name, points })), model.study?.budget_seconds);
  }

  config({ config_changes: changes, config }) {
    const rows = changes.map(({ name, before, after }) => el("tr", {}, el("th", { scope: "row", class: "words" }, name), el("td", { class: "words" }, text(before)), el("td", { class: "words" }, text(after))));
    const head = el("thead", {}, el("tr", {}, ["Setting", "Before", "After"].map((title) => el("th", { scope: "col" }, title))));
    const all = Object.entries(config ?? {});
    if (!all.length) return null;
    return section(
      "Configuration",
      rows.length ? wide(el("table", { class: "small" }, head, el("tbody", {}, rows))) : el("p", { class: "muted" }, "It ran with the settings of what it was built on."),
      fold("config", `All ${all.length} settings`, el("dl", { class: "pairs" }, pairs(all.map(([name, value]) => [name, text(value)])))),
    );
  }

  change({ diff }) {
    return diff.length ? section("Change", diffElement(diff)) : null;
  }

  runs({ runs }) {
    if (!runs.length) return null;
    const number = (value, digits = 4) => (value === null || value === undefined ? "" : Number(value).toPrecision(digits));
    const rows = runs.map((run, place) => el(
      "tr", {}, el("th", { scope: "row" }, String(place + 1)), el("td", {}, run.seed === null ? "" : String(run.seed)), el("td", {}, run.outcome), el("td", {}, score(run.score)),
      el("td", {}, duration(run.figures.seconds)), el("td", {}, run.figures.peak_memory_mb ? `${Math.round(run.figures.peak_memory_mb)} MB` : ""), el("td", { class: "words" }, run.reason),
    ));
    const titles = ["Run", "Seed", "Outcome", "Score", "Took", "Memory", "Why"];
    const table = el("table", { class: "small" }, el("thead", {}, el("tr", {}, titles.map((title) => el("th", { scope: "col" }, title)))), el("tbody", {}, rows));
    const figures = Object.entries(runs.at(-1).figures);
    const audit = figures.filter(([name]) => name.startsWith("audit_"));
    const rest = figures.filter(([name]) => !name.startsWith("audit_"));
    const list = (entries) => el("dl", { class: "pairs" }, pairs(entries.map(([name, value]) => [name.replace(/^audit_/, "").replaceAll("_", " "), number(value, 6)])));
    return section("Runs", wide(table), audit.length ? fold("audit", "Audit of the last run", list(audit)) : null, rest.length ? fold("figures", "Figures of the last run", list(rest)) : null);
  }

  long(file, title) {
    if (!file.text) return null;
    return el("section", {}, el("h2", {}, title), fold(title, "Show", ...textElement(file, title)));
  }

  about(facts) {
    return section("Facts", el("dl", { class: "pairs" }, pairs([
      ["by", facts.researcher], ["started", clock(facts.started_at)], ["finished", facts.finished_at && clock(facts.finished_at)],
      ["commit", facts.commit], ["parameters", facts.num_params?.toLocaleString("en")], ["training tokens", facts.tokens?.toLocaleString("en")],
      ["protection", facts.tier === null ? "" : facts.tier === 1 ? "none (tier 1)" : `tier ${facts.tier}`],
    ])));
  }
}

const section = (title, ...children) => el("section", {}, el("h2", {}, title), ...children);
const wide = (table) => el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Table" }, table);
const fold = (name, title, ...children) => el("details", { "data-name": name }, el("summary", {}, title), ...children);
const text = (value) => (value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));
