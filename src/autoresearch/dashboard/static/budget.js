// What may still be used, and how busy the machine is: bars with words.

import { el } from "./dom.js";
import { count, dollars, duration, gigabytes } from "./format.js";

const LIMITS = [
  ["experiments", "Experiments", (value) => value.toLocaleString("en")],
  ["seconds", "Time", duration],
  ["tokens", "Tokens", count],
  ["cost_usd", "Money", dollars],
];

export function showBudget(place, model) {
  const { limits = {}, used = {} } = model.study ?? {};
  const parts = LIMITS.map(([key, title, words]) => {
    const limit = limits[key] ?? null;
    const of = limit === null ? "" : ` of ${words(limit)}`;
    if (used.untold?.includes(key)) return meter(title, `unknown${of}`, null);
    const spent = key === "seconds" ? withRunning(model, used[key] ?? 0) : used[key] ?? 0;
    if (limit === null) return meter(title, `${words(spent)} used, no limit`, null);
    const left = Math.max(0, limit - spent);
    return meter(title, `${words(left)} left of ${words(limit)}`, limit ? spent / limit : 1);
  });
  place.replaceChildren(...parts);
}

/** The open experiment's time counts, too, while it runs. */
function withRunning(model, seconds) {
  const open = model.open;
  if (!open || !model.engine.is_running || model.engine.now?.phase === "paused") return seconds;
  return seconds + Math.max(0, Date.now() / 1000 - open.started);
}

export function showDevice(place, device) {
  if (!device) return;
  const { cpu_percent: cpu, cores, memory_used: used, memory_total: total, gpus } = device;
  const parts = [
    meter("Processor", `${cpu}% of ${cores} core${cores === 1 ? "" : "s"}`, cpu / 100),
    meter("Memory", `${gigabytes(used)} of ${gigabytes(total)}`, used / total),
  ];
  for (const [place_, gpu] of gpus.entries()) {
    const name = gpus.length > 1 ? `GPU ${place_}` : "GPU";
    const facts = [gpu.percent === null ? "" : `${gpu.percent}%`, gpu.celsius ? `${gpu.celsius} °C` : "", gpu.name];
    parts.push(meter(name, facts.filter(Boolean).join(", "), (gpu.percent ?? 0) / 100));
    if (gpu.memory_total) {
      const words = `${gigabytes(gpu.memory_used)} of ${gigabytes(gpu.memory_total)}`;
      parts.push(meter(`${name} memory`, words, gpu.memory_used / gpu.memory_total));
    }
  }
  place.replaceChildren(...parts);
}

function meter(title, words, share) {
  const bar = share === null ? null : el("i", { class: "bar", "aria-hidden": "true" }, el("i"));
  if (bar) {
    const part = Math.max(0, Math.min(1, share));
    bar.firstChild.style.width = `${(part * 100).toFixed(1)}%`;
    bar.classList.toggle("is-high", part >= 0.9);
  }
  return el("div", {}, el("dt", {}, title), el("dd", {}, words), bar);
}
