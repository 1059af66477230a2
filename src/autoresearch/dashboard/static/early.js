// Asks for the study while the rest of the page is still being loaded.

async function ask() {
  const [, named = ""] = location.hash.split("/").map(decodeURIComponent);
  const tag = named || (await json("/api/studies"))?.at(-1)?.tag;
  return tag ? { tag, news: await json(`/api/study/${encodeURIComponent(tag)}`) } : null;
}

async function json(address) {
  const response = await fetch(address);
  return response.ok ? response.json() : null;
}

let asked = ask().catch(() => null);

/** The first answer, once: {tag, news}, or null where there is none. */
export function early() {
  const answer = asked;
  asked = Promise.resolve(null);
  return answer;
}
