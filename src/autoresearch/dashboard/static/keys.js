// The keyboard.

import { byId } from "./dom.js";

const isTyping = (target) => target.closest?.("input, textarea, select, [contenteditable]");

/** `page` has: isOpen(), step(by), move(by), back(). */
export function listen(page) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const work = keys(page, event)[event.key];
    if (work) {
      event.preventDefault();
      work();
    }
  });
  byId("help-button").addEventListener("click", () => byId("help").showModal());
}

function keys(page, event) {
  const go = (by) => () => (page.isOpen() ? page.step(by) : page.move(by));
  const inTable = event.target.closest?.("#scroll");
  const found = { j: go(1), k: go(-1), "?": () => byId("help").showModal() };
  if (page.isOpen()) return { ...found, Escape: page.back, ArrowRight: go(1), ArrowLeft: go(-1) };
  found["/"] = () => {
    byId("search").focus();
    byId("search").select();
  };
  return inTable ? { ...found, ArrowDown: go(1), ArrowUp: go(-1) } : found;
}
