// The table: sorted, filtered, searched. Only the rows in view are in the document.

import { byId, el, isPhone, say } from "./dom.js";
import { ago, clock, duration, score, signed } from "./format.js";
import { kindOf, VERDICTS, WORDS } from "./model.js";

const SPARE = 12; // rows above and below those in view
const COLUMNS = [
  ["number", "#", (row) => row.number],
  ["verdict", "Verdict", (row) => kindOf(row)],
  ["score", "Score", (row) => row.score],
  ["delta", "Change", (row) => row.delta],
  ["description", "What", (row) => row.description.toLowerCase()],
  ["researcher", "By", (row) => row.researcher],
  ["seconds", "Took", (row) => row.seconds],
  ["finished", "When", (row) => row.finished ?? row.started],
];

export class Table {
  constructor(onOpen) {
    Object.assign(this, { onOpen, model: null, key: "number", isDown: true, kind: "all", words: "", selected: null });
    this.scroll = byId("scroll");
    this.body = byId("rows");
    this.made = new Map(); // number -> [row, tr, its verdict's word]
    this.makeHead();
    this.scroll.addEventListener("scroll", () => requestAnimationFrame(() => this.paint()), { passive: true });
    byId("search").addEventListener("input", (event) => this.search(event.target.value));
    byId("filters").addEventListener("change", (event) => this.filter(event.target.value));
    this.body.addEventListener("click", (event) => this.click(event));
    new ResizeObserver(() => this.paint()).observe(this.scroll);
  }

  makeHead() {
    this.heads = COLUMNS.map(([key, title]) => {
      const button = el("button", { type: "button", class: "sort", click: () => this.sort(key) }, title);
      return el("th", { scope: "col", role: "columnheader", class: `c-${key}`, "data-key": key }, button);
    });
    byId("head").replaceChildren(...this.heads);
  }

  sort(key) {
    this.isDown = this.key === key ? !this.isDown : ["number", "finished", "seconds"].includes(key);
    this.key = key;
    this.arrange();
  }

  filter(kind) {
    this.kind = kind;
    this.arrange();
  }

  search(words) {
    this.words = words.trim().toLowerCase();
    this.arrange();
  }

  show(model) {
    this.model = model;
    if (this.tag !== model.tag) {
      this.tag = model.tag;
      this.selected = null;
      this.scroll.scrollTop = 0;
    }
    this.showFilters();
    const top = this.rows?.[Math.floor(this.scroll.scrollTop / this.rowHeight)];
    const above = this.scroll.scrollTop % this.rowHeight;
    this.arrange();
    if (this.scroll.scrollTop > 0 && top) this.stayAt(top.number, above);
  }

  /** What is read stays where it is while rows come in above. */
  stayAt(number, above) {
    const at = this.rows.findIndex((row) => row.number === number);
    if (at >= 0) this.scroll.scrollTop = at * this.rowHeight + above;
    this.paint();
  }

  showFilters() {
    const counts = new Map();
    const tried = this.model.rows.filter((row) => row.number > 0 && row.verdict !== null);
    for (const row of tried) counts.set(kindOf(row), (counts.get(kindOf(row)) ?? 0) + 1);
    const kinds = ["all", ...[...VERDICTS, "vetoed", "undone"].filter((kind) => counts.has(kind))];
    const words = kinds.map((kind) => [kind, kind === "all" ? "all" : WORDS[kind], kind === "all" ? tried.length : counts.get(kind)]);
    const key = JSON.stringify(kinds);
    const place = byId("filters");
    if (this.filtersOf !== key) {
      this.filtersOf = key;
      const chips = words.map(([kind, title]) =>
        el("label", {}, el("input", { type: "radio", name: "kind", value: kind, checked: kind === this.kind }), el("span", {}, title, " ", el("b", { "data-count": kind }))),
      );
      place.replaceChildren(place.firstElementChild, ...chips);
    }
    for (const [kind, , count] of words) say(place.querySelector(`[data-count="${kind}"]`), count.toLocaleString("en"));
  }

  arrange() {
    if (!this.model) return;
    const value = COLUMNS.find(([key]) => key === this.key)[2];
    const fits = (row) => (this.kind === "all" || kindOf(row) === this.kind) && (!this.words || this.found(row));
    const sign = this.isDown ? -1 : 1;
    this.rows = this.model.rows.filter(fits).sort((a, b) => compare(value(a), value(b), sign) || b.number - a.number);
    for (const head of this.heads) {
      const isSorted = head.dataset.key === this.key;
      head.setAttribute("aria-sort", isSorted ? (this.isDown ? "descending" : "ascending") : "none");
    }
    byId("table").setAttribute("aria-rowcount", String(this.rows.length + 1));
    byId("no-rows").hidden = this.rows.length > 0;
    this.paint();
  }

  found(row) {
    const text = `#${row.number} ${row.description} ${row.reason} ${row.researcher}`.toLowerCase();
    return this.words.split(/\s+/).every((word) => text.includes(word));
  }

  get rowHeight() {
    return isPhone() ? 64 : 36;
  }

  /** Put the rows in view into the document, between two that stand for all the others. */
  paint() {
    if (!this.rows) return;
    const height = this.rowHeight;
    const first = Math.max(0, Math.floor(this.scroll.scrollTop / height) - SPARE);
    const last = Math.min(this.rows.length, Math.ceil((this.scroll.scrollTop + this.scroll.clientHeight) / height) + SPARE);
    const shown = this.rows.slice(first, last);
    const keep = new Map();
    const focused = document.activeElement?.closest?.("tr");
    shown.forEach((row, place) => {
      const made = this.made.get(row.number);
      const word = this.model.word(row);
      const tr = made?.[0] === row && made[2] === word ? made[1] : this.rowElement(row, word);
      tr.setAttribute("aria-rowindex", String(first + place + 2));
      tr.classList.toggle("is-selected", row.number === this.selected);
      keep.set(row.number, [row, tr, word]);
    });
    const wanted = [spacer(first * height), ...[...keep.values()].map(([, tr]) => tr), spacer((this.rows.length - last) * height)];
    this.made = keep;
    if (this.isThere(wanted)) return;
    this.body.replaceChildren(...wanted);
    const number = focused?.dataset.number; // a row that was drawn anew keeps the focus
    if (number && document.activeElement === document.body) keep.get(Number(number))?.[1].querySelector("a").focus({ preventScroll: true });
  }

  /** Whether the document has these rows already; the spacers may only differ in their height. */
  isThere(wanted) {
    const there = [...this.body.children];
    if (there.length !== wanted.length || wanted.slice(1, -1).some((each, at) => there[at + 1] !== each)) return false;
    for (const place of [0, -1]) {
      const [old, made] = [there.at(place), wanted.at(place)];
      old.hidden = made.hidden;
      old.firstChild.style.height = made.firstChild.style.height;
    }
    return true;
  }

  rowElement(row, word) {
    const kind = kindOf(row);
    const what = row.score === null && row.reason && row.verdict ? `${row.description || "no change"}: ${row.reason}` : row.description;
    const when = row.finished ?? row.started;
    const cell = (name, ...children) => el("td", { role: "cell", class: `c-${name}` }, ...children);
    return el(
      "tr", { role: "row", "data-number": row.number },
      cell("number", el("a", { href: `#/${this.model.tag}/${row.number}` }, `#${row.number}`)),
      cell("verdict", el("span", { class: `verdict is-${kind}` }, word)),
      cell("score", score(row.score)),
      cell("delta", el("span", { class: row.delta && this.model.gain(row.delta) > 0 ? "is-better" : null }, signed(row.delta, row.score))),
      el("td", { role: "cell", class: "c-description words", title: what }, what),
      el("td", { role: "cell", class: "c-researcher words" }, row.researcher),
      cell("seconds", duration(row.seconds)),
      el("td", { role: "cell", class: "c-finished", title: ago(when) }, clock(when)),
    );
  }

  click(event) {
    const tr = event.target.closest("tr[data-number]");
    if (tr && !event.target.closest("a") && !getSelection().toString()) this.onOpen(Number(tr.dataset.number));
  }

  /** Select the next or previous row, bring it into view and give it the focus. */
  move(by) {
    if (!this.rows?.length) return;
    const at = this.rows.findIndex((row) => row.number === this.selected);
    const next = at < 0 ? 0 : Math.min(Math.max(at + by, 0), this.rows.length - 1);
    this.select(this.rows[next].number);
  }

  select(number) {
    this.selected = number;
    const at = this.rows.findIndex((row) => row.number === number);
    const [top, height] = [at * this.rowHeight, this.rowHeight];
    const room = this.scroll.clientHeight - byId("head").offsetHeight;
    if (top < this.scroll.scrollTop) this.scroll.scrollTop = top;
    else if (top + height > this.scroll.scrollTop + room) this.scroll.scrollTop = top + height - room;
    this.paint();
    this.made.get(number)?.[1].querySelector("a").focus({ preventScroll: true });
    this.scroll.scrollIntoView({ block: "nearest" });
  }

  /** The number of the experiment beside another one, in the order of the table. */
  beside(number, by) {
    const at = this.rows?.findIndex((row) => row.number === number) ?? -1;
    return at < 0 ? null : this.rows[at + by]?.number ?? null;
  }
}

function spacer(height) {
  const made = el("tr", { class: "spacer", "aria-hidden": "true" }, el("td", { colspan: COLUMNS.length }));
  made.firstChild.style.height = `${height}px`;
  made.hidden = height === 0;
  return made;
}

/** What is not known comes last, whichever way it is sorted. */
function compare(a, b, sign) {
  const [noA, noB] = [a === null || a === "", b === null || b === ""];
  if (noA || noB) return noA - noB;
  return sign * (a < b ? -1 : a > b ? 1 : 0);
}
