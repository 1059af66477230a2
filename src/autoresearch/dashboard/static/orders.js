// Orders to the study. Each has a key of its own: sent twice, it is done once.

import { byId, say } from "./dom.js";
import { ask } from "./token.js";

const TRIES = 5;

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (each) => each.toString(16).padStart(2, "0")).join("");
}

/** Returns {said} or {error}. Where no answer comes it is tried again, with the same key. */
export async function give(tag, kind, data = {}) {
  const body = JSON.stringify({ tag, kind, data, key: newKey() });
  for (let tried = 0; tried < TRIES; tried += 1) {
    try {
      const headers = { "Content-Type": "application/json" };
      const response = await ask("/api/orders", { method: "POST", headers, body });
      if (response.status === 401) return { error: "the page was started anew: open the address that the terminal shows" };
      return await response.json();
    } catch {
      answer("no answer yet: it is sent again");
      await new Promise((done) => setTimeout(done, 400 * (tried + 1)));
    }
  }
  return { error: "no answer came: whether it was given is seen once the page is live again" };
}

/** Ask first where the order takes something away; resolves to whether to go on. */
export function confirmed({ title, text, yes }) {
  const dialog = byId("confirm");
  say(byId("confirm-title"), title);
  say(byId("confirm-text"), text);
  say(byId("confirm-yes"), yes);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
  });
}

/** Say what came of an order, wherever one looks. */
export function answer(words, isError = false) {
  for (const place of document.querySelectorAll(".answer")) {
    say(place, words);
    place.classList.toggle("is-error", isError);
  }
}

/** Give an order by a button, which cannot be pressed twice meanwhile; says what came of it. */
export async function order(button, tag, kind, data = {}, question = null) {
  if (button.getAttribute("aria-busy") === "true") return false;
  if (question && !(await confirmed(question))) return false;
  button.setAttribute("aria-busy", "true");
  const { said, error } = await give(tag, kind, data);
  button.removeAttribute("aria-busy");
  answer(error ?? said ?? "", Boolean(error));
  return !error;
}
