// Numbers and times as words.

/** A score: as many decimals as give about `digits` digits in all. */
export function score(value, digits = 6) {
  if (value === null || value === undefined) return "";
  return written(value, Math.abs(value), digits);
}

/** A difference of scores, with its sign and the decimals of a score that it is `like`. */
export function signed(value, like) {
  if (value === null || value === undefined) return "";
  return (value > 0 ? "+" : value < 0 ? "−" : "") + written(Math.abs(value), Math.abs(like || value), 6);
}

/** With the decimals of a score of that size. */
function written(value, size, digits) {
  if ((size > 0 && size < 1e-3) || size >= 1e15) return value.toPrecision(digits - 2);
  return value.toFixed(Math.max(0, digits - String(Math.trunc(size)).length));
}

/** Such as "3 h 20 min", "45 min", "12 s". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const all = Math.max(0, Math.round(seconds));
  if (all < 60) return seconds < 10 && seconds % 1 ? `${seconds.toFixed(1)} s` : `${all} s`;
  const minutes = Math.floor(all / 60);
  if (minutes < 60) return all % 60 && minutes < 10 ? `${minutes} min ${all % 60} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} days`;
}

export function ago(then, now = Date.now()) {
  const moment = typeof then === "number" ? then * 1000 : Date.parse(then);
  if (!Number.isFinite(moment)) return "";
  const seconds = (now - moment) / 1000;
  return seconds < 5 ? "just now" : `${duration(seconds)} ago`;
}

export function clock(then) {
  const moment = new Date(typeof then === "number" ? then * 1000 : Date.parse(then));
  if (Number.isNaN(moment.getTime())) return "";
  const isToday = moment.toDateString() === new Date().toDateString();
  const time = { hour: "2-digit", minute: "2-digit" };
  return moment.toLocaleString([], isToday ? time : { month: "short", day: "numeric", ...time });
}

/** Such as "1.2M", "340k". */
export function count(value) {
  for (const [size, letter] of [[1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= size * 10 || (size > 1e3 && value >= size)) return `${Number((value / size).toPrecision(3))}${letter}`;
  }
  return value >= 1000 ? value.toLocaleString("en") : String(Math.round(value));
}

export const dollars = (value) => `$${value.toFixed(2)}`;
export const gigabytes = (bytes) => `${(bytes / 2 ** 30).toFixed(1)} GB`;
export const plural = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
