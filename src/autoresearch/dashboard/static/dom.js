// Making elements. Words become text nodes, never markup: nothing here parses HTML.

export const byId = (id) => document.getElementById(id);

/** el("a", {href: "#"}, "words", otherElement): what is null, undefined or false is left out. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(key, value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((each) => each !== null && each !== undefined && each !== false));
  return made;
}

/** Words into an element, only where they differ: a screen reader hears only what is new. */
export function say(element, words) {
  const text = words ?? "";
  if (element.textContent !== text) element.textContent = text;
}

/** Names and values for a <dl>; pairs without a value are left out. */
export function pairs(list) {
  return list
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]);
}

/** Calls `work` soon, and at most once every `apart` milliseconds. */
export function calmly(work, apart) {
  let timer = null;
  let last = -Infinity;
  return () => {
    if (timer !== null) return;
    timer = setTimeout(() => {
      timer = null;
      last = performance.now();
      work();
    }, Math.max(0, last + apart - performance.now()));
  };
}

export const isPhone = () => matchMedia("(max-width: 640px)").matches;
