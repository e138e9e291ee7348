// One photo on the page: its picture, what the model says of it, the bars, and the heat map. Labels and file names are
// whatever somebody typed: they become text, never HTML.

const BARS = 5;
const UNSURE_BELOW = 0.5; // for a model that makes no sets of labels with a promised coverage
const NAMED = 3; // classes in a heading
const HEAT = {for: "rgb(230, 97, 0)", against: "rgb(0, 90, 181)", opacity: 0.65}; // contract/heat_map.py

/** Return a probability in per cent; only what is certain is 100 %. */
function percent(share) {
  if (share > 0 && share < 0.01) return "< 1 %";
  if (share > 0.99 && share < 1) return "> 99 %";
  return `${Math.round(share * 100)} %`;
}

function listed(names, last) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} ${last} ${names.at(-1)}`;
}

function sentence(text) {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}

/** Return what the answer says in words: {kind, title, detail}. */
function inWords(answer) {
  const [likeliest] = answer.predictions;
  if (answer.known === false) {
    return {
      kind: "unknown",
      title: "Unlike anything it was trained on",
      detail: sentence(answer.reason ?? "The photo is far from all that the model has seen"),
    };
  }
  const labels = answer.labels ?? [];
  if (labels.length > 1) {
    const few = labels.length <= NAMED;
    return {
      kind: "unsure",
      title: few ? `Not sure: ${listed(labels, "or")}` : "Not sure",
      detail: few ? "The right one is among them for 95 of 100 photos." : `The likeliest is ${likeliest.label}, but ${labels.length} classes are possible.`,
    };
  }
  if (!answer.labels && likeliest.score < UNSURE_BELOW) {
    return {
      kind: "unsure",
      title: "Not sure",
      detail: `The likeliest is ${likeliest.label}, with only ${percent(likeliest.score)}.`,
    };
  }
  return {kind: "sure", title: likeliest.label, detail: `${percent(likeliest.score)} sure`};
}

/** A photo's place in the list. */
class Card {
  constructor(name) {
    this.name = name;
    this.element = byId("photo").content.firstElementChild.cloneNode(true);
    this.find(".frame").hidden = true;
    this.find("figcaption").textContent = name;
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  /** Show the photo; without a URL, say that there is none. */
  picture(url) {
    const image = this.find("img");
    image.alt = `Preview of ${this.name}`;
    image.addEventListener("error", () => this.noPicture());
    this.find(".frame").hidden = false;
    if (url) image.src = url;
    else this.noPicture();
  }

  noPicture() {
    const words = document.createElement("p");
    words.className = "soft";
    words.textContent = "No preview: this browser cannot show this file.";
    this.find(".frame").replaceChildren(words);
  }

  /** Say what happens to the photo now. */
  state(kind, title, detail = "") {
    this.element.dataset.state = kind;
    this.element.setAttribute("aria-busy", String(kind === "busy"));
    this.find("h3").textContent = title;
    this.find(".detail").textContent = detail;
    this.find(".actions").replaceChildren();
  }

  fail(title, detail, again) {
    this.state("failed", title, sentence(detail));
    if (again) this.action("Try again", again);
  }

  action(text, act) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", () => act(button));
    this.find(".actions").append(button);
    return button;
  }

  /** Show the answer. */
  answer(answer) {
    const words = inWords(answer);
    this.state(words.kind, words.title, words.detail);
    const likely = answer.labels ?? [answer.predictions[0].label];
    this.find(".bars").replaceChildren(
      ...answer.predictions.slice(0, BARS).map((prediction) => bar(prediction, likely.includes(prediction.label))),
    );
    this.find(".of-known").hidden = words.kind !== "unknown";
    if (answer.heat_map && this.find("img")) this.heat(answer.heat_map);
  }

  /** Offer the heat map, which lies over the photo. */
  heat(map) {
    const drawing = this.find(".heat");
    drawing.setAttribute("role", "img");
    drawing.setAttribute("aria-label", `Heat map: orange places speak for ${map.label}, blue places against it`);
    this.find(".legend b").textContent = map.label;
    const button = this.action("Show where it looked", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      const image = this.find("img");
      if (shown && !drawing.firstChild) drawHeat(drawing, map, image.naturalWidth, image.naturalHeight);
      drawing.toggleAttribute("hidden", !shown);
      this.find(".legend").hidden = !shown;
      button.setAttribute("aria-pressed", String(shown));
    });
    button.setAttribute("aria-pressed", "false");
  }
}

function bar({label, score}, likely) {
  const entry = document.createElement("li");
  entry.classList.toggle("likely", likely);
  const [name, share, track, fill] = ["span", "span", "span", "span"].map((tag) => document.createElement(tag));
  [name.className, share.className, track.className] = ["name", "share", "track"];
  name.textContent = label;
  share.textContent = percent(score);
  track.setAttribute("aria-hidden", "true");
  fill.style.width = `${Math.max(score * 100, 0.5)}%`;
  track.append(fill);
  entry.append(name, share, track);
  return entry;
}

/** Draw the places of the map over the square that the network saw, in the photo's own pixels. */
function drawHeat(drawing, {values, crop}, width, height) {
  const side = crop * Math.min(width, height);
  const [left, top] = [(width - side) / 2, (height - side) / 2];
  const [high, wide] = [side / values.length, side / values[0].length];
  drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);

  const place = (x, y, w, h, more) => {
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [key, value] of Object.entries({x, y, width: w, height: h, ...more})) rect.setAttribute(key, value);
    drawing.append(rect);
  };
  values.forEach((row, y) => row.forEach((value, x) => place(left + x * wide, top + y * high, wide, high, {
    fill: value > 0 ? HEAT.for : HEAT.against, "fill-opacity": HEAT.opacity * Math.abs(value),
  })));
  place(left, top, side, side, {class: "seen"});
}
