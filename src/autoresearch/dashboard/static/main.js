// The page: which study and which experiment is shown, and who draws what when something changes.

import { StepChart } from "./chart.js";
import { byId, calmly, el, pairs, say } from "./dom.js";
import { showBudget, showDevice } from "./budget.js";
import { data, early, place } from "./early.js";
import { CurveChart, fetchCurves } from "./curves.js";
import { Events } from "./events.js";
import { ExperimentView } from "./experiment.js";
import { Feed } from "./feed.js";
import { clock, duration, score, signed } from "./format.js";
import { listen } from "./keys.js";
import { library } from "./library.js";
import { Model } from "./model.js";
import { announcement, showStatus } from "./status.js";
import { Steering } from "./steer.js";
import { Table } from "./table.js";
import { ask, takeToken } from "./token.js";

const CONNECTIONS = {
  live: "live", lost: "connection lost, trying again", locked: "locked", gone: "gone", opening: "connecting",
  empty: "waiting for a study",
};

let model = new Model("");
let feed = null;
let connection = "opening";
let overviewTop = 0;
let asking = null; // whether there is a study by now

const go = (number) => {
  location.hash = number === null ? `#/${model.tag}` : `#/${model.tag}/${number}`;
};
const table = new Table(go);
const chart = new StepChart(byId("chart"), go, (row) => [
  `#${row.number} ${model.word(row)}${row.score === null ? "" : `, ${score(row.score)}`}${row.delta === null ? "" : ` (${signed(row.delta, row.score)})`}`,
  row.description || row.reason,
]);
const live = new CurveChart(byId("live-chart"), byId("live-legend"));
const events = new Events();
const steering = new Steering(() => model);
const experiment = new ExperimentView(go, (number, by) => table.beside(number, by));

async function arrive() {
  clearTimeout(asking);
  if (takeToken() && connection === "locked") feed?.wake();
  const { tag } = place();
  const first = await early();
  const wanted = tag || first?.tag || (await lastStudy());
  if (!wanted) return showNothing();
  if (!tag) history.replaceState(null, "", `#/${wanted}`);
  if (model.tag !== wanted) open(wanted, first?.tag === wanted ? first.news : null);
  showPlace();
}

async function lastStudy() {
  const response = await ask("/api/studies").catch(() => null);
  if (response?.status === 401) return showConnection("locked");
  showConnection(response?.ok ? "empty" : "lost");
  const known = response?.ok ? await response.json().catch(() => []) : [];
  return known.at(-1)?.tag;
}

/** Where there is no study, or none that may be shown. */
function showNothing() {
  byId("locked").hidden = connection !== "locked";
  byId("nothing").hidden = connection !== "empty";
  byId("overview").hidden = byId("experiment").hidden = byId("studies").hidden = true;
  if (!model.tag) asking = setTimeout(arrive, 2000);
}

function open(tag, first) {
  feed?.close();
  model = new Model(tag);
  connection = "opening";
  feed = new Feed(tag, take, showConnection, first);
}

function showPlace() {
  const { number } = place();
  byId("nothing").hidden = byId("locked").hidden = true;
  byId("studies").hidden = false;
  const wasOpen = byId("overview").hidden && !byId("experiment").hidden;
  if (number !== null && !wasOpen) overviewTop = scrollY;
  byId("overview").hidden = number !== null;
  byId("experiment").hidden = number === null;
  if (number !== null) {
    if (model.study) experiment.show(model, number);
    if (!wasOpen) scrollTo(0, 0);
    return;
  }
  const last = experiment.number;
  experiment.hide();
  drawAll();
  if (wasOpen) {
    scrollTo(0, overviewTop);
    if (last !== null && table.rows?.some((row) => row.number === last)) table.selected = last;
    table.paint();
  }
}

// what comes in

function take(news) {
  const wasRunning = model.engine.is_running;
  const parts = model.apply(news);
  const isRows = parts.has("rows") || parts.has("vetoed") || parts.has("anew");
  const isTurn = model.engine.is_running !== wasRunning;
  if (isRows || parts.has("study") || isTurn) later.rows();
  if (parts.has("curve") || isRows || isTurn) later.curve();
  if (parts.has("curve") && experiment.row?.verdict === null) later.ownCurve();
  if (parts.has("events") || parts.has("orders")) events.show(model);
  if (parts.has("device")) showDevice(byId("device"), model.device);
  if (parts.has("studies")) showStudies();
  if (parts.has("study")) showAbout();
  byId("overview").classList.toggle("is-imported", model.isImported);
  steering.show(model);
  showNow();
  const { number } = place();
  if (number !== null) experiment.show(model, number);
}

const later = {
  ownCurve: calmly(() => experiment.drawCurves(model), 500),
  rows: calmly(() => {
    table.show(model);
    if (!byId("overview").hidden) chart.draw(model);
    showNow();
  }, 400),
  curve: calmly(() => showCurve(), 500),
};

function drawAll() {
  if (!model.study) return;
  later.rows();
  later.curve();
}

function showNow() {
  showStatus(model, connection);
  showHypothesis();
  showBudget(byId("budget"), model);
  say(byId("said"), announcement(model, connection));
}

let hypothesisOf = null;

/** The running experiment's hypothesis is asked for once it has been proposed. */
async function showHypothesis() {
  const row = model.open;
  const key = row?.description ? `${model.tag}/${row.number}/${row.description}` : null;
  if (key === hypothesisOf) return;
  hypothesisOf = key;
  say(byId("hypothesis"), "");
  if (!key || row.number === 0) return;
  const facts = await data(`/api/study/${encodeURIComponent(model.tag)}/experiments/${row.number}`);
  if (hypothesisOf !== key) return;
  if (facts) say(byId("hypothesis"), facts.hypothesis);
  else hypothesisOf = null; // asked for again with the next news
}

async function showCurve() {
  const { curve, best, tag } = model;
  const running = curve.experiment >= 0 ? curve : null;
  const other = best && best.number !== running?.experiment ? best.number : null;
  const points = other === null ? [] : (await fetchCurves(tag, [other]))[other] ?? [];
  if (tag !== model.tag) return;
  byId("live-chart").closest("section").hidden = !running && !points.length;
  if (byId("overview").hidden || (!running && !points.length)) return;
  const curves = [];
  const what = model.engine.is_running ? "running" : "left open";
  if (running) curves.push({ name: `#${running.experiment}, ${what}`, points: running.points });
  if (other !== null) curves.push({ name: `${other ? `#${other}` : "the baseline"}, the best so far`, points });
  say(byId("live-title"), running ? `Loss of the ${model.engine.is_running ? "running experiment" : "experiment left open"}` : "Loss of the best");
  await live.draw(curves, model.study?.budget_seconds);
}

/** The chooser's entries stay the same elements while it may be open. */
function showStudies() {
  const place = byId("studies");
  const tags = model.studies.map(({ tag }) => tag).reverse();
  if ([...place.options].map((each) => each.value).join() !== tags.join()) {
    place.replaceChildren(...tags.map((tag) => el("option", { value: tag })));
  }
  for (const { tag, experiments } of model.studies) say(place.options[tags.indexOf(tag)], `${tag} (${experiments})`);
  place.value = model.tag;
}

function showAbout() {
  const { study } = model;
  byId("about").replaceChildren(...pairs([
    ["began", clock(study.created_at)], ["researcher", study.researcher], ["metric", `${study.metric}, ${study.lower ? "lower" : "higher"} is better`],
    ["training of a run", study.budget_seconds > 0 ? duration(study.budget_seconds) : ""], ["keep rule", study.keep_rule], ["noise between seeds", study.noise === null ? "not known yet" : study.noise.toPrecision(3)],
    ["edited", study.editable.join(", ")], ["locked", study.locked.join(", ")], ["seed", study.seed < 0 ? "" : String(study.seed)],
    ...Object.entries(study.machine).map(([name, value]) => [name, String(value)]),
  ]));
}

function showConnection(state) {
  connection = state;
  byId("connection").dataset.state = state;
  say(byId("connection"), CONNECTIONS[state]);
  if (state === "gone") {
    feed?.close();
    model = new Model("");
    location.hash = "#/";
    arrive();
    return;
  }
  if (state === "live" && !byId("locked").hidden) showPlace();
  if (model.study) showNow();
  else if (state === "locked") showNothing();
}

// beginning

byId("studies").addEventListener("change", (event) => {
  location.hash = `#/${event.target.value}`;
});
byId("chart-window").addEventListener("change", (event) => {
  chart.last = Number(event.target.value);
  chart.draw(model);
});
listen({
  isOpen: () => !byId("experiment").hidden,
  move: (by) => table.move(by),
  step: (by) => {
    const next = table.beside(place().number, by);
    if (next !== null) go(next);
  },
  back: () => go(null),
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  chart.restyle();
  live.restyle();
  experiment.chart?.restyle();
});
addEventListener("hashchange", arrive);
addEventListener("storage", () => {
  takeToken();
  if (connection !== "locked") return;
  if (feed) feed.wake();
  else arrive();
});
document.addEventListener("visibilitychange", () => feed?.shown());
addEventListener("online", () => feed?.wake());
setInterval(() => model.study && showNow(), 1000);
library();
arrive();
