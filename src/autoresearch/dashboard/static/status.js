// "Is it still running?": the state in words, what it does now, how good it is so far.

import { byId, el, say } from "./dom.js";
import { ago, clock, duration, plural, score, signed } from "./format.js";

const PHASES = {
  proposing: "thinking of a change",
  training: "training",
  scoring: "scoring",
  waiting: "waiting",
  paused: "paused",
};

/** {title, more}: the state in words. */
export function stateWords(model, connection) {
  const { engine, orders, open } = model;
  const now = engine.now ?? {};
  if (connection === "locked") {
    return { title: "Locked", more: "The page was started anew: open the address that the terminal shows." };
  }
  if (connection === "lost" && engine.is_running) return { title: "Not heard of", more: "It was running when the connection was lost." };
  if (!engine.is_running) return stoppedWords(model);
  const number = open ? `#${open.number}` : "";
  const since = now.since ? `since ${clock(now.since)}` : "";
  if (now.phase === "paused") return { title: "Paused", more: join([since, "Resume goes on with the next experiment."]) };
  const doing = open?.number === 0 && now.phase !== "waiting" ? `${PHASES[now.phase] ?? "starting"} the baseline` : `${PHASES[now.phase] ?? "at work"} ${number}`;
  const title = `Running: ${doing.trim()}`;
  if (orders.stopping) return { title, more: join([since, "It stops after this experiment."]) };
  if (orders.paused) return { title, more: join([since, "It pauses after this experiment."]) };
  return { title, more: since };
}

function stoppedWords(model) {
  if (model.engine.elsewhere) return { title: "Not running", more: "An engine is at work in this lab: on another study, or it is still preparing this one." };
  if (model.isImported) return { title: "Not running", more: "It was read from a log: nothing runs in it." };
  if (model.engine.died) return diedWords(model);
  const over = model.events.findLast((each) => each.kind === "over" || each.kind === "stopped" || each.kind === "started");
  const why = over?.kind === "over" ? sentence(over.data.why) : "";
  const last = model.rows.findLast((row) => row.finished);
  const when = last ? `The last experiment ended ${ago(last.finished)}.` : "";
  const left = model.open ? `#${model.open.number} is left open: it is taken up again.` : "";
  return { title: "Not running", more: [why, when, left, waitsWords(model)].filter(Boolean).join(" ") };
}

function diedWords(model) {
  const sign = model.engine.seen ?? model.events.at(-1)?.at;
  const seen = sign ? `Its last sign was at ${clock(sign)}.` : "";
  const left = model.open ? `It takes up #${model.open.number} again.` : "";
  const again = `Start it again with: autoresearch run --tag ${model.tag}.`;
  return { title: "The engine has died", more: [seen, again, left, waitsWords(model)].filter(Boolean).join(" ") };
}

const waitsWords = (model) => (model.orders.paused ? "It is paused: a run then waits for Resume." : "");

const join = (parts) => parts.filter(Boolean).join(" · ");
const sentence = (text) => (text ? `${text[0].toUpperCase()}${text.slice(1)}.` : "");

export function showStatus(model, connection) {
  const { title, more } = stateWords(model, connection);
  const open = model.open;
  say(byId("state"), title);
  byId("state").dataset.state = connection === "lost" ? "off" : stateOf(model);
  showTroubles(model);
  say(byId("state-more"), more);
  say(byId("current"), open?.description ? `#${open.number} ${open.description}` : "");
  showProgress(model);
  showHeadline(model);
  document.title = `${connection === "lost" ? "?" : titleMark(model)} ${model.tag} · autoresearch`.trim();
}

/** What is the matter: told as long as it lasts. */
function showTroubles({ engine, orders }) {
  const troubles = engine.is_running ? orders.troubles : [];
  const place = byId("troubles");
  place.hidden = !troubles.length;
  while (place.children.length > troubles.length) place.lastChild.remove();
  while (place.children.length < troubles.length) place.append(el("p", { class: "words" }));
  troubles.forEach(({ at, text }, number) => say(place.children[number], `Since ${clock(at)}: ${text}`));
}

function stateOf(model) {
  if (!model.engine.is_running) return model.engine.died ? "died" : "off";
  if (model.orders.troubles.length && model.engine.now?.phase !== "paused") return "trouble";
  return model.engine.now?.phase === "paused" ? "paused" : "on";
}

function titleMark(model) {
  const best = model.best;
  const mark = { on: "▶", paused: "❚❚", off: "■", trouble: "⚠", died: "✖" }[stateOf(model)];
  return best ? `${mark} ${score(best.score, 5)}` : mark;
}

function showProgress(model) {
  const { is_running, now = {} } = model.engine;
  const budget = now.budget_seconds ?? model.study?.budget_seconds;
  const isShown = is_running && ["training", "scoring"].includes(now.phase) && budget > 0;
  byId("progress-row").hidden = !isShown;
  if (!isShown) return;
  const seconds = now.phase === "scoring" ? budget : Math.min(now.seconds ?? 0, budget);
  byId("progress").value = seconds / budget;
  const facts = [
    now.phase === "scoring" ? "scoring" : `${duration(seconds)} of ${duration(budget)}`,
    now.run > 0 ? `run ${now.run + 1}` : "",
    now.step ? `step ${now.step.toLocaleString("en")}` : "",
    now.loss !== null && now.loss !== undefined ? `loss ${now.loss.toFixed(3)}` : "",
    now.tokens_per_second ? `${Math.round(now.tokens_per_second).toLocaleString("en")} tokens/s` : "",
  ];
  say(byId("progress-text"), facts.filter(Boolean).join(" · "));
}

function showHeadline(model) {
  const { best, baseline, study } = model;
  say(byId("best"), best ? score(best.score) : "–");
  say(byId("best-more"), best ? `${study?.metric ?? ""}, ${best.number ? `#${best.number}` : "the baseline"}` : "");
  const gain = best && baseline ? model.gain(best.score - baseline.score) : 0;
  say(byId("gain"), gain > 0 ? signed(gain, baseline.score).slice(1) : best ? "none yet" : "–");
  const relative = gain > 0 && baseline.score ? `${Math.abs((gain / baseline.score) * 100).toPrecision(3)}% better` : "";
  say(byId("gain-more"), relative);
  const done = model.rows.filter((row) => row.number > 0 && row.verdict !== null).length;
  say(byId("count"), done.toLocaleString("en"));
  const kept = model.count("keep");
  say(byId("count-more"), done ? `${kept.toLocaleString("en")} kept` : "");
}

/** What a screen reader is told by itself: only what matters, and only when it changes. */
export function announcement(model, connection) {
  const { title } = stateWords(model, connection);
  const state = title.split(":")[0];
  const best = model.best;
  const words = best?.number ? `, best ${score(best.score)} by #${best.number}` : "";
  if (connection === "lost") return "Connection lost";
  return `${state}${words}, ${plural(model.count("keep"), "kept change")}`;
}
