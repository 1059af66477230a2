// The controls: what a person orders. The engine obeys by itself; here only words are sent.

import { byId, el } from "./dom.js";
import { clock, count, dollars, duration, plural, score } from "./format.js";
import { order } from "./orders.js";

const FACTORS = { experiments: ["experiments", 1], hours: ["seconds", 3600], tokens: ["tokens", 1000], cost_usd: ["cost_usd", 1] };

const AMOUNTS = { experiments: (value) => plural(value, "experiment"), seconds: duration, tokens: (value) => `${count(value)} tokens`, cost_usd: dollars };

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
    const limit = this.getModel().study?.limits[name] ?? 0;
    const question = {
      title: "Extend the budget?",
      text: `${AMOUNTS[name](value)} more, ${AMOUNTS[name](limit + value)} in all.`,
      yes: "Extend",
    };
    if (await order(byId("extend"), this.tag, "extend", { [name]: value }, question)) byId("extend-amount").value = "";
  }

  show(model) {
    const { orders, engine } = model;
    byId("pause").hidden = orders.paused;
    byId("resume").hidden = !orders.paused;
    byId("skip").disabled = !model.open || !engine.is_running || orders.skips.includes(model.open.number);
    byId("stop").disabled = !engine.is_running || orders.stopping;
    byId("pause").disabled = !engine.is_running;
    this.showLimits(model.study?.limits ?? {});
    const all = [...orders.notes.map((each) => ["note", each]), ...orders.ideas.map((each) => ["idea", each])];
    this.showWords("tried", all.filter(([, each]) => each.taken !== null), orders.deaf);
    this.showWords("pending", all.filter(([, each]) => each.taken === null), orders.deaf);
  }

  /** Only a limit that the study has can be extended. */
  showLimits(limits) {
    const units = byId("extend-unit");
    for (const option of units.options) option.hidden = option.disabled = (limits[FACTORS[option.value][0]] ?? null) === null;
    const open = [...units.options].filter((option) => !option.disabled);
    byId("extend-form").hidden = !open.length;
    if (units.selectedOptions[0]?.disabled && open.length) units.value = open[0].value;
  }

  showWords(name, all, deaf) {
    const key = [deaf, ...all.map(([, each]) => `${each.id} ${each.taken}`)].join();
    byId(name).hidden = !all.length;
    if (byId(name).dataset.of === key) return;
    byId(name).dataset.of = key;
    byId(`${name}-list`).replaceChildren(
      ...all.map(([kind, { id, at, text, taken, exact }]) => {
        const button = taken !== null ? el("span", { class: "muted" }, `now #${taken}`) : el("button", {
          type: "button", class: "quiet", "aria-label": `Withdraw the ${kind}: ${text.slice(0, 80)}`,
          click: (event) => this.send(event, "withdraw", { id }),
        }, "Withdraw");
        return el("li", { "data-id": id }, el("div", {}, el("b", {}, kind), " ", el("span", { class: "muted" }, clock(at), deaf && !(kind === "idea" && exact) ? `: ${deaf} reads no words` : ""), el("p", { class: "words" }, text)), button);
      }),
    );
  }
}

function vetoWords(model, row) {
  const { count: built, best } = model.without(row.number);
  const taken = `Takes back #${row.number}${built ? ` and ${plural(built, "kept change")} built on it` : ""}`;
  const left = best ? `the best is then ${best.number ? `#${best.number}` : "the baseline"} (${score(best.score)})` : "nothing is left";
  return `${taken}; ${left}. The next experiment starts from there.`;
}

/** Take a kept change back, or restore it; for the view of one experiment. */
export function vetoButton(model, row) {
  const isVetoed = Boolean(row.vetoed);
  const question = {
    title: isVetoed ? `Restore #${row.number}?` : `Veto #${row.number}?`,
    text: isVetoed
      ? "It counts as kept again, with what was built on it."
      : vetoWords(model, row),
    yes: isVetoed ? "Restore" : "Veto",
  };
  const send = (event) => order(event.currentTarget, model.tag, isVetoed ? "restore" : "veto", { experiment: row.number }, question);
  return el("button", { type: "button", id: isVetoed ? "restore" : "veto", click: send }, isVetoed ? "Restore" : "Veto this change");
}
