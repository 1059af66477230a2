// The connection: everything once, then what changes. It comes back by itself, and misses nothing.

import { ask, listenTo } from "./token.js";

const SILENCE_MS = 25000; // the server gives a sign of life every ten seconds
const RETRY_MS = [500, 1000, 2000, 5000];
const HIDDEN_MS = 60000; // a browser has six lines to a server: a hidden page only looks in

export class Feed {
  /** onNews(message), onState("live" | "lost" | "locked" | "gone"); `first` is a message that has
   * come already. */
  constructor(tag, onNews, onState, first = null) {
    Object.assign(this, { tag, onNews, onState, cursor: "", source: null, tries: 0, timer: null });
    this.watchdog = setInterval(() => this.checkSilence(), 2500);
    if (first) this.begin(first);
    else this.start();
  }

  get address() {
    return `/api/study/${encodeURIComponent(this.tag)}`;
  }

  async start() {
    this.cursor = "";
    try {
      const response = await ask(this.address);
      if (this.isClosed) return;
      if (!response.ok) return this.refused(response.status);
      const news = await response.json();
      if (!this.isClosed) this.begin({ ...news, anew: true });
    } catch {
      this.again();
    }
  }

  begin(news) {
    this.cursor = news.cursor;
    this.onNews(news);
    this.connect();
  }

  connect() {
    this.source?.close();
    this.heard = Date.now();
    const source = listenTo(`${this.address}/feed?after=${this.cursor}`);
    this.source = source;
    source.onopen = () => this.alive();
    source.addEventListener("beat", () => this.alive());
    source.onmessage = (message) => {
      this.alive();
      this.cursor = message.lastEventId;
      this.onNews(JSON.parse(message.data));
      if (document.hidden) this.rest();
    };
    source.onerror = () => {
      if (this.source === source) this.again(); // with the same cursor, whatever the reason was
    };
  }

  alive() {
    this.heard = Date.now();
    this.tries = 0;
    this.onState("live");
  }

  again() {
    if (this.isClosed) return;
    this.onState("lost");
    this.later(RETRY_MS[Math.min(this.tries++, RETRY_MS.length - 1)]);
  }

  /** Hold no line for a while: the next message tells all that was missed. */
  rest() {
    this.later(HIDDEN_MS);
  }

  later(milliseconds) {
    this.source?.close();
    this.source = null;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.wake(), milliseconds);
  }

  /** Look now, whatever it waits for. */
  wake() {
    if (this.isClosed || this.isAsking) return;
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
    this.isAsking = true;
    (this.cursor ? this.reconnect() : this.start()).finally(() => (this.isAsking = false));
  }

  /** An EventSource does not say why it failed: ask, then connect. */
  async reconnect() {
    try {
      const response = await ask("/api/studies");
      if (this.isClosed) return;
      if (!response.ok) return this.refused(response.status);
      const known = await response.json();
      if (!known.some((each) => each.tag === this.tag)) return this.refused(404);
      this.connect();
    } catch {
      this.again();
    }
  }

  refused(status) {
    if (status === 404) return this.onState("gone");
    if (status !== 401) return this.again();
    this.cursor = ""; // what is opened next may be another lab's page
    this.onState("locked");
  }

  /** The page was hidden, or is shown again. */
  shown() {
    if (document.hidden) {
      if (this.source?.readyState === EventSource.OPEN) this.rest();
    } else if (this.source?.readyState !== EventSource.OPEN || this.isSilent) this.wake();
  }

  get isSilent() {
    return this.source !== null && Date.now() - this.heard > SILENCE_MS;
  }

  checkSilence() {
    if (this.isSilent) this.again();
  }

  close() {
    this.isClosed = true;
    clearInterval(this.watchdog);
    clearTimeout(this.timer);
    this.source?.close();
  }
}
