// A diff with its colours: words and classes come from the server, and stay words.

import { el } from "./dom.js";

const NAMES = { "+": "ins", "-": "del" };
const CLASS = /^[a-z][a-z0-9]{0,2}$/;

export function diffElement(lines) {
  const code = el("code");
  for (const { kind, words } of lines) {
    const line = el(NAMES[kind] ?? "span", { class: kind === "file" || kind === "hunk" ? `line is-${kind}` : "line" });
    if ("+- ".includes(kind)) line.append(kind);
    for (const [name, text] of words) {
      line.append(CLASS.test(name) ? el("span", { class: `k-${name[0]} k-${name}` }, text) : text);
    }
    code.append(line, "\n");
  }
  return el("pre", { tabindex: "0", role: "region", "aria-label": "The change", class: "diff" }, code);
}

/** A long text that begins at its end: a log or a talk. */
export function textElement({ text, cut }, label) {
  const pre = el("pre", { tabindex: "0", role: "region", "aria-label": label }, el("code", { class: "words" }, text));
  return cut ? [el("p", { class: "muted" }, "The end of it; the terminal has all: autoresearch show."), pre] : [pre];
}
