// The token: out of the address into this browser's store, which is of this origin alone, and along
// with each request. Unlike a cookie it goes to no other server on this machine.

const KEY = "token";
const PATIENCE_MS = 15000; // for an answer

let token = "";

/** Out of the address, if it is there, so that it stands in no bookmark; returns whether it was. */
export function takeToken() {
  const said = /^#token=([\w-]+)/.exec(location.hash);
  if (said) history.replaceState(null, "", `#/${location.hash.slice(said[0].length).replace(/^\//, "")}`);
  try {
    if (said) localStorage.setItem(KEY, said[1]);
    token = localStorage.getItem(KEY) ?? "";
  } catch {
    token = said?.[1] ?? token; // no store: this tab knows it until it is loaded anew
  }
  return Boolean(said);
}

takeToken();

/** `fetch` with the token; fails when no answer comes. */
export function ask(address, how = {}) {
  const headers = { ...how.headers, Authorization: `Bearer ${token}` };
  return fetch(address, { ...how, headers, signal: AbortSignal.timeout(PATIENCE_MS) });
}

/** An EventSource, which can send no headers, has it in its address. */
export const listenTo = (address) => new EventSource(`${address}&token=${token}`);
