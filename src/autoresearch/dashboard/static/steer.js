// The controls: what a person orders. The engine obeys by itself; here only words are sent.

import { byId, el } from "./dom.js";
import { clock } from "./format.js";
import { order } from "./orders.js";

const FACTORS = { experiments: ["experiments", 1], hours: ["seconds", 3600], tokens: ["tokens", 1000], cost_usd: ["cost_usd", 1] };

export class Steering {
  constructor(getModel) {
    this.getModel = getModel;
    byId("pause").addEventListener("click", (event) => this.send(event, "pause"));
    byId("resume").addEventListener("click", (event) => this.send(event, "resume"));
    byId("stop").addEventListener("click", (event) => this.send(event, "stop", {}, {
      title: "Stop the study after this experiment?",
      text: "The engine ends. It is started again in the terminal, with autoresearch run.",
      yes: "Stop after this one",
    }));
    byId("skip").addEventListener("click", (event) => this.skip(event));
    byId("note").addEventListener("click", (event) => this.word(event, "note"));
    byId("idea").addEventListener("click", (event) => this.word(event, "idea"));
    byId("word-form").addEventListener("submit", (event) => event.preventDefault());
    byId("extend-form").addEventListener("submit", (event) => this.extend(event));
  }

  get tag() {
    return this.getModel().tag;
  }

  send(event, kind, data = {}, question = null) {
    return order(event.currentTarget, this.tag, kind, data, question);
  }

  skip(event) {
    const number = this.getModel().open?.number;
    if (number === undefined) return;
    this.send(event, "skip", { experiment: number }, {
      title: `Skip #${number}?`,
      text: "It ends now and counts as discarded, without a score.",
      yes: `Skip #${number}`,
    });
  }

  async word(event, kind) {
    event.preventDefault();
    const field = byId("word");
    const text = field.value.trim();
    if (!text) {
      field.focus();
      return;
    }
    if (await order(event.currentTarget, this.tag, kind, { text })) field.value = "";
  }

  async extend(event) {
    event.preventDefault();
    const [name, factor] = FACTORS[byId("extend-unit").value];
    const amount = Number(byId("extend-amount").value) * factor;
    if (!(amount > 0)) return;
    const value = name === "cost_usd" || name === "seconds" ? amount : Math.round(amount);
    if (await order(byId("extend"), this.tag, "extend", { [name]: value })) byId("extend-amount").value = "";
  }

  show(model) {
    const { orders, engine } = model;
    byId("pause").hidden = orders.paused;
    byId("resume").hidden = !orders.paused;
    byId("skip").disabled = !model.open || !engine.is_running || orders.skips.includes(model.open.number);
    byId("stop").disabled = !engine.is_running || orders.stopping;
    byId("pause").disabled = !engine.is_running;
    this.showPending(orders);
  }

  showPending({ notes, ideas }) {
    const all = [...notes.map((each) => ["note", each]), ...ideas.map((each) => ["idea", each])];
    const key = all.map(([, each]) => `${each.id} ${each.taken}`).join();
    byId("pending").hidden = !all.length;
    if (key === this.pendingOf) return;
    this.pendingOf = key;
    byId("pending-list").replaceChildren(
      ...all.map(([kind, { id, at, text, taken }]) => {
        const button = taken !== null ? el("span", { class: "muted" }, `now #${taken}`) : el("button", {
          type: "button", class: "quiet", "aria-label": `Withdraw the ${kind}: ${text.slice(0, 80)}`,
          click: (event) => this.send(event, "withdraw", { id }),
        }, "Withdraw");
        return el("li", { "data-id": id }, el("div", {}, el("b", {}, kind), " ", el("span", { class: "muted" }, clock(at)), el("p", { class: "words" }, text)), button);
      }),
    );
  }
}

/** Take a kept change back, or restore it; for the view of one experiment. */
export function vetoButton(model, row) {
  const isVetoed = Boolean(row.vetoed);
  const question = {
    title: isVetoed ? `Restore #${row.number}?` : `Veto #${row.number}?`,
    text: isVetoed
      ? "It counts as kept again, with what was built on it."
      : "It no longer counts as kept, nor does what was built on it. The next experiment starts from the best that is left.",
    yes: isVetoed ? "Restore" : "Veto",
  };
  const send = (event) => order(event.currentTarget, model.tag, isVetoed ? "restore" : "veto", { experiment: row.number }, question);
  return el("button", { type: "button", id: isVetoed ? "restore" : "veto", click: send }, isVetoed ? "Restore" : "Veto this change");
}
