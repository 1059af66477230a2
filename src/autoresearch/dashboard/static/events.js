// What happened beside the experiments, the latest first.

import { byId, el } from "./dom.js";
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
  withdraw: () => "You withdrew a note or an idea",
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
    const latest = model.events.slice(-this.most).reverse();
    const items = latest.map((each) =>
      el("li", { "data-id": each.id, class: each.kind in WORDS ? null : "is-minor" }, el("time", { datetime: each.at, class: "muted" }, clock(each.at)), el("span", { class: "words" }, eventWords(each))),
    );
    const isAll = model.events.length <= this.most;
    if (isAll && model.earlier) items.push(el("li", { class: "muted" }, `${plural(model.earlier, "earlier event")}: autoresearch log --events`));
    if (!items.length) items.push(el("li", { class: "muted" }, "Nothing yet."));
    byId("events").replaceChildren(...items);
    byId("more-events").hidden = isAll;
  }
}
