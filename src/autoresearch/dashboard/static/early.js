// Asks for the study while the rest of the page is still being loaded.

import { ask } from "./token.js";

/** Where we are: {tag, number} of #/tag or #/tag/number; what makes no sense is left out. */
export function place() {
  let parts = [];
  try {
    parts = location.hash.split("/").map(decodeURIComponent);
  } catch {
    // a broken address: the beginning
  }
  const [, tag = "", number = ""] = parts;
  return { tag, number: /^\d{1,9}$/.test(number) ? Number(number) : null };
}

async function begin() {
  const tag = place().tag || (await data("/api/studies"))?.at(-1)?.tag;
  return tag ? { tag, news: await data(`/api/study/${encodeURIComponent(tag)}`) } : null;
}

/** What an address answers, as JSON; null when it refuses, or when the line breaks meanwhile. */
export async function data(address) {
  const response = await ask(address).catch(() => null);
  return response?.ok ? response.json().catch(() => null) : null;
}

let asked = begin().catch(() => null);

/** The first answer, once: {tag, news}, or null where there is none. */
export function early() {
  const answer = asked;
  asked = Promise.resolve(null);
  return answer;
}
