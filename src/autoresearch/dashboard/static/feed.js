// The connection: everything once, then what changes. It comes back by itself, and misses nothing.

const SILENCE_MS = 35000; // the server gives a sign of life every ten seconds
const RETRY_MS = [500, 1000, 2000, 5000];

export class Feed {
  /** onNews(message), onState("live" | "lost" | "locked" | "gone"); `first` is a message that has
   * come already. */
  constructor(tag, onNews, onState, first = null) {
    Object.assign(this, { tag, onNews, onState, cursor: "", source: null, tries: 0, timer: null });
    this.watchdog = setInterval(() => this.checkSilence(), 5000);
    if (first) this.begin(first);
    else this.start();
  }

  get address() {
    return `/api/study/${encodeURIComponent(this.tag)}`;
  }

  async start() {
    try {
      const response = await fetch(this.address);
      if (this.isClosed) return;
      if (!response.ok) return this.refused(response.status);
      const news = await response.json();
      if (!this.isClosed) this.begin(news);
    } catch {
      this.again(() => this.start());
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
    const source = new EventSource(`${this.address}/feed?after=${this.cursor}`);
    this.source = source;
    source.onopen = () => this.alive();
    source.addEventListener("beat", () => this.alive());
    source.onmessage = (message) => {
      this.alive();
      this.cursor = message.lastEventId;
      this.onNews(JSON.parse(message.data));
    };
    source.onerror = () => {
      if (this.source !== source || this.isClosed) return;
      source.close(); // we come back ourselves, with the same cursor, whatever the reason was
      this.again(() => this.reconnect());
    };
  }

  alive() {
    this.heard = Date.now();
    this.tries = 0;
    this.onState("live");
  }

  again(work) {
    if (this.isClosed) return;
    this.onState("lost");
    clearTimeout(this.timer);
    this.timer = setTimeout(work, RETRY_MS[Math.min(this.tries++, RETRY_MS.length - 1)]);
  }

  /** An EventSource does not say why it failed: ask, then connect. */
  async reconnect() {
    try {
      const response = await fetch("/api/studies");
      if (this.isClosed) return;
      if (!response.ok) return this.refused(response.status);
      const known = await response.json();
      if (!known.some((each) => each.tag === this.tag)) return this.refused(404);
      this.connect();
    } catch {
      this.again(() => this.reconnect());
    }
  }

  refused(status) {
    if (status === 401) return this.onState("locked");
    if (status === 404) return this.onState("gone");
    this.again(() => this.start());
  }

  checkSilence() {
    if (this.source?.readyState === EventSource.OPEN && Date.now() - this.heard > SILENCE_MS) this.connect();
  }

  close() {
    this.isClosed = true;
    clearInterval(this.watchdog);
    clearTimeout(this.timer);
    this.source?.close();
  }
}
