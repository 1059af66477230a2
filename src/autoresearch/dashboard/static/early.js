// Asks for the study while the rest of the page is still being loaded.

async function ask() {
  const [, named = ""] = location.hash.split("/").map(decodeURIComponent);
  const tag = named || (await data("/api/studies"))?.at(-1)?.tag;
  return tag ? { tag, news: await data(`/api/study/${encodeURIComponent(tag)}`) } : null;
}

/** What an address answers, as JSON; null when it refuses, or when the line breaks meanwhile. */
export async function data(address) {
  const response = await fetch(address).catch(() => null);
  return response?.ok ? response.json().catch(() => null) : null;
}

let asked = ask().catch(() => null);

/** The first answer, once: {tag, news}, or null where there is none. */
export function early() {
  const answer = asked;
  asked = Promise.resolve(null);
  return answer;
}
