// What happened beside the experiments, the latest first.

import { byId, el } from "./dom.js";
import { order } from "./orders.js";
import { clock, duration, plural } from "./format.js";

const FIRST = 12;

const WORDS = {
  pause: () => "You paused it",
  resume: () => "You resumed it",
  stop: () => "You asked it to stop after the experiment",
  skip: (data) => `You skipped #${data.experiment}`,
  veto: (data) => `You vetoed #${data.experiment}`,
  restore: (data) => `You restored #${data.experiment}`,
  note: (data) => `Your note: ${data.text}`,
  idea: (data) => `Your idea: ${data.text}`,
  withdraw: (data) => `You took back ${data.id}: a note, an idea or an extension`,
  extend: (data) => `You extended the budget by ${amounts(data)}`,
  started: (data) => `The engine started${data.researcher ? ` with ${data.researcher}` : ""}`,
  over: (data) => `The study is over${data.why ? `: ${data.why}` : ""}`,
  resumed: () => "Taken up again after the engine had been killed",
  stopped: () => "Stopped in the middle of an experiment",
  waited: (data) => `Waited ${duration(data.seconds)}`,
  paused: (data) => (data.seconds ? `Was paused for ${duration(data.seconds)}` : "Paused"),
  carried: (data) => `A note went to #${data.experiment}`,
  taken: (data) => `An idea became #${data.experiment}`,
  imported: (data) => `Read from ${data.file}`,
  unavailable: (data) => `Cannot be reached: ${data.text}`,
  back: (data) => `${data.text}`,
  "stand-in": (data) => `${data.text}: #${data.experiment}`,
  trouble: (data) => `Trouble: ${data.text ?? data.why ?? ""}`,
  final: () => "The sealed text was opened",
};

function amounts(data) {
  const parts = [
    data.experiments && plural(data.experiments, "experiment"), data.seconds && duration(data.seconds),
    data.tokens && `${data.tokens.toLocaleString("en")} tokens`, data.cost_usd && `$${data.cost_usd}`,
  ];
  return parts.filter(Boolean).join(", ");
}

export function eventWords({ kind, data }) {
  if (WORDS[kind]) return WORDS[kind](data);
  const number = data.experiment === undefined ? "" : `#${data.experiment} `;
  const rest = Object.entries(data).filter(([name]) => name !== "experiment" && name !== "text");
  return `${number}${kind}${data.text ? `: ${data.text}` : rest.length ? `: ${JSON.stringify(Object.fromEntries(rest))}` : ""}`;
}

/** The latest first; a stand-in that goes on and on is one. */
function folded(events) {
  const groups = [];
  for (const each of events.toReversed()) {
    if (each.kind === "stand-in" && groups.at(-1)?.[0].kind === "stand-in") groups.at(-1).push(each);
    else groups.push([each]);
  }
  return groups;
}

export class Events {
  constructor() {
    this.most = FIRST;
    byId("more-events").addEventListener("click", () => {
      this.most += 50;
      this.show(this.model);
    });
  }

  show(model) {
    this.model = model;
    const all = folded(model.events);
    const items = all.slice(0, this.most).map(([each, ...more]) => {
      const words = eventWords(each) + (more.length ? ` and ${plural(more.length, "experiment")} before` : "");
      return el(
        "li", { "data-id": each.id, class: each.kind in WORDS ? null : "is-minor" },
        el("time", { datetime: each.at, class: "muted" }, clock(each.at)), el("span", { class: "words" }, words), this.back(each),
      );
    });
    const isAll = all.length <= this.most;
    if (isAll && model.earlier) items.push(el("li", { class: "muted" }, `${plural(model.earlier, "earlier event")}: autoresearch log --events`));
    if (!items.length) items.push(el("li", { class: "muted" }, "Nothing yet."));
    byId("events").replaceChildren(...items);
    byId("more-events").hidden = isAll;
  }

  /** An extension that stands can be taken back. */
  back({ id, kind, data }) {
    if (kind !== "extend" || !this.model.orders.extensions.includes(id)) return null;
    const question = { title: "Take the extension back?", text: `${amounts(data)} less.`, yes: "Take it back" };
    const send = (event) => order(event.currentTarget, this.model.tag, "withdraw", { id }, question);
    return el("button", { type: "button", class: "quiet", click: send, "aria-label": `Take back: ${amounts(data)}` }, "Take back");
  }
}
