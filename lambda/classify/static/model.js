// The card of the model: what it was trained on, how good it is, which run made it, and since when it serves.

const MODEL = "model"; // in the tab's session storage
const MANY_CLASSES = 200; // that are listed; of more, these are the first

const FACTS = ["Right on test photos", "In service since", "Made by run", "Release"];
const [ACCURACY, SINCE, RUN, RELEASE] = FACTS;

const model = {
  facts: new Map(),
  classes: [],
  run: undefined,

  /** Show what GET /health says, {release, since}, and what this tab knows of the release from an answer. */
  health(found) {
    this.learn(found);
    const known = parsed(kept.read(MODEL) ?? "null");
    if (found.release && known?.served?.release === found.release && !this.classes.length) this.learnFrom(known.served, known.classes);
  },

  /** Learn from an answer, which holds every class where `top_k` was large enough. */
  answer(found) {
    const classes = found.predictions.map(({label}) => label);
    const served = found.model ?? {}; // an answer of an earlier release names no model
    this.learnFrom(served, classes);
    kept.write(MODEL, JSON.stringify({served, classes: this.classes}));
  },

  /** Learn what an answer says of its model, and of the classes those that it holds. */
  learnFrom(served, classes) {
    if (served.run !== this.run || classes.length > this.classes.length) this.classes = classes;
    this.run = served.run;
    this.learn(served);
  },

  /** Say why nothing is known of the model. */
  missing(title) {
    byId("model-line").textContent = title;
  },

  /** Show what is said of the model, in place of what was said of another one. */
  learn({release, since, run, test_accuracy: accuracy}) {
    if (release && release !== this.facts.get(RELEASE)) this.facts.clear();
    if (typeof accuracy === "number") this.facts.set(ACCURACY, `${(accuracy * 100).toFixed(1)} %`);
    if (since) this.facts.set(SINCE, when(since));
    if (run) this.facts.set(RUN, String(run));
    if (release) this.facts.set(RELEASE, String(release));
    this.show();
  },

  line() {
    const accuracy = this.facts.get(ACCURACY);
    return accuracy ? `right on ${accuracy} of its test photos` : this.facts.get(RELEASE) ?? "";
  },

  show() {
    byId("model-line").textContent = this.line();
    byId("model-facts").replaceChildren(...FACTS.filter((name) => this.facts.has(name)).map((name) => {
      const [entry, term, fact] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
      term.textContent = name;
      fact.textContent = this.facts.get(name);
      entry.append(term, fact);
      return entry;
    }));

    const sorted = [...this.classes].sort((one, other) => one.localeCompare(other, "en", {numeric: true}));
    suggest(sorted);
    const left = sorted.length - MANY_CLASSES;
    byId("model-classes").hidden = !sorted.length;
    byId("model-classes-line").textContent = `${sorted.length} classes${left > 0 ? `, the first ${MANY_CLASSES} of which are` : ""}:`;
    byId("model-class-list").replaceChildren(...sorted.slice(0, MANY_CLASSES).map((name) => {
      const entry = document.createElement("li");
      entry.textContent = name;
      return entry;
    }));
  },
};

function when(time) {
  const moment = new Date(time);
  return Number.isNaN(moment.getTime()) ? String(time) : new Intl.DateTimeFormat("en-GB", {dateStyle: "long", timeStyle: "short"}).format(moment);
}
