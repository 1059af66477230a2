// What the page knows of the study, and what follows from it.

export const VERDICTS = ["keep", "discard", "crash", "timeout", "invalid", "failed"];
export const WORDS = {
  keep: "kept", discard: "discarded", crash: "crashed", timeout: "timed out", invalid: "invalid",
  failed: "failed", open: "running", vetoed: "vetoed", undone: "undone", baseline: "baseline",
};

export class Model {
  constructor(tag) {
    this.tag = tag;
    this.rows = [];
    this.events = [];
    this.earlier = 0; // events before the first that we have
    this.study = null;
    this.engine = { is_running: false, now: {} };
    this.orders = { paused: false, stopping: false, notes: [], ideas: [], skips: [], extensions: [], troubles: [] };
    this.studies = [];
    this.device = null;
    this.curve = { experiment: -1, points: [] };
    this.version = 0; // of the rows
  }

  /** Take a message of the feed; returns the names of the parts that changed. */
  apply(news) {
    if (news.columns) this.columns = news.columns;
    if (news.anew) {
      this.rows = [];
      this.events = [];
    }
    if (news.earlier !== undefined) this.earlier = news.earlier;
    for (const values of news.rows ?? []) {
      const row = Object.fromEntries(this.columns.map((name, place) => [name, values[place]]));
      this.rows[row.number] = row;
    }
    if (news.vetoed) this.mark(news.vetoed, news.undone);
    const last = this.events.at(-1)?.id ?? 0;
    this.events.push(...(news.events ?? []).filter((each) => each.id > last));
    for (const part of ["study", "engine", "orders", "studies", "device"]) {
      if (news[part] !== undefined) this[part] = news[part];
    }
    if (news.curve) this.extend(news.curve);
    if (news.rows || news.vetoed || news.anew) this.version += 1;
    return new Set(Object.keys(news));
  }

  mark(vetoed, undone) {
    const taken = new Set(vetoed);
    const built = new Set(undone);
    for (const row of this.rows) {
      if (Boolean(row.vetoed) === taken.has(row.number) && Boolean(row.undone) === built.has(row.number)) continue;
      this.rows[row.number] = { ...row, vetoed: taken.has(row.number), undone: built.has(row.number) };
    }
  }

  extend({ experiment, from, points }) {
    const isSame = experiment === this.curve.experiment && from > 0;
    this.curve = { experiment, points: [...(isSame ? this.curve.points.slice(0, from) : []), ...points] };
  }

  get lower() {
    return this.study?.lower ?? true;
  }

  /** The experiment that has no verdict yet. */
  get open() {
    return this.rows.findLast((row) => row.verdict === null) ?? null;
  }

  get baseline() {
    const first = this.rows[0];
    return first?.verdict && first.score !== null ? first : null;
  }

  /** A difference of scores as a gain: positive is better. */
  gain(difference) {
    return this.lower ? -difference : difference;
  }

  /** Whether `score` is better than `other`, or as good: of equals the later one counts. */
  isBetter(score, other) {
    return this.lower ? score <= other : score >= other;
  }

  /** The kept experiments that were the best of their moment: the corners of the step line. */
  get steps() {
    if (this.stepsOf !== this.version) {
      this.stepsOf = this.version;
      this.stepsFound = [];
      for (const row of this.rows) {
        if (!isKept(row) || row.score === null) continue;
        const best = this.stepsFound.at(-1);
        if (!best || this.isBetter(row.score, best.score)) this.stepsFound.push(row);
      }
    }
    return this.stepsFound;
  }

  get best() {
    return this.steps.at(-1) ?? null;
  }

  /** What a veto of this one takes back: {count: kept changes built on it, best: what is left}. */
  without(number) {
    const gone = new Set([number]);
    for (const row of this.rows) if (gone.has(row.parent)) gone.add(row.number);
    const left = this.rows.filter((row) => isKept(row) && row.score !== null && !gone.has(row.number));
    const best = left.reduce((best, row) => (!best || this.isBetter(row.score, best.score) ? row : best), null);
    return { count: this.rows.filter((row) => isKept(row) && gone.has(row.number)).length - 1, best };
  }

  /** Its verdict in a word: one without is at work, or was left by an engine that is no more. */
  word(row) {
    return row.verdict === null && !this.engine.is_running ? "left open" : WORDS[kindOf(row)];
  }

  get isImported() {
    return this.study?.researcher === "imported";
  }

  count(kind) {
    return this.rows.filter((row) => row.number > 0 && kindOf(row) === kind).length;
  }
}

export const isKept = (row) => row.verdict === "keep" && !row.undone;

/** The verdict as the page shows it: a kept change that was taken back is none any more. */
export function kindOf(row) {
  if (row.verdict === null) return "open";
  if (row.number === 0 && row.verdict === "keep") return "baseline"; // nobody's change
  if (row.verdict === "keep" && row.undone) return row.vetoed ? "vetoed" : "undone";
  return row.verdict;
}
