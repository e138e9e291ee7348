// The API behind this page: its key, its answers, and its refusals, which say when it is worth trying again.

const BASE = location.origin + location.pathname.replace(/\/*$/, "/");
const LONGEST_ANSWER = 40_000; // ms; API Gateway gives up after 29 s
const LONGEST_WAIT = 900_000; // ms that a photo waits for a model that wakes
const UNREADABLE = "The answer is unreadable";
const MOST_TRIES = 3; // of a photo that the API fails at; a model that wakes or is busy is asked for as long as it takes

/** A request that got no answer: what happened, and what to do. */
class ApiError extends Error {
  constructor(status, title, detail, retryAfter = 0) {
    super(detail);
    Object.assign(this, {status, title, detail, retryAfter});
  }
}

/** Return the answer of the API as {content, id}: its JSON and the request's id; throw an ApiError where it gives none. */
async function request(path, {signal, ...options} = {}) {
  const headers = new Headers(options.headers);
  const key = kept.read(KEY);
  if (key) headers.set("x-api-key", key);

  const ended = AbortSignal.timeout(LONGEST_ANSWER);
  let response, text;
  try {
    response = await fetch(BASE + path, {
      ...options, headers, signal: signal ? AbortSignal.any([signal, ended]) : ended,
      cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer",
    });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    if (ended.aborted) throw new ApiError(0, "No answer in time", "The API did not answer in 40 seconds. Try again.");
    throw new ApiError(0, "The API cannot be reached", "Is this device connected to the internet? Then try again.");
  }

  const content = parsed(text);
  if (response.ok && content) return {content, id: response.headers.get("x-request-id")};
  if (response.ok) throw new ApiError(response.status, UNREADABLE, "The API answered something else than JSON. Try again.");
  const error = new ApiError(
    response.status,
    String(content?.title ?? "The API refused the request"),
    String(content?.detail ?? `It answered ${response.status} and gave no reason. Try again.`),
    Math.min(Math.max(Number(response.headers.get("retry-after")) || 0, 0), 300),
  );
  error.key = key;
  throw error;
}

/** Return whether this is an answer to a photo; predictions stand in it, the likeliest first. */
function isAnswer({predictions}) {
  return Array.isArray(predictions) && predictions.length > 0
    && predictions.every((entry) => typeof entry?.label === "string" && typeof entry.score === "number");
}

function parsed(text) {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}

// What a photo is asked for. A model that cannot do one of them says so by 422, and is not asked for it again.
const wanted = new Map([["coverage", "0.95"], ["explain", "1"], ["top_k", "100000"]]);

/**
 * Return the answer to a photo, and the id of the request that it answers. It waits with the others while the model wakes, and for a key where there is none.
 *
 * @param onWait is told what the photo waits for
 * @param onSend is told when the photo is sent
 */
async function classify(photo, {signal, onWait, onSend}) {
  const started = Date.now();
  for (let tries = 1; ; tries += 1) {
    if (pause.until) onWait("Waiting for the model");
    await pause.over(signal);
    const asked = new Map(wanted);
    try {
      onSend();
      const query = asked.size ? `?${new URLSearchParams([...asked])}` : "";
      const headers = {"content-type": photo.blob.type || "application/octet-stream"};
      const {content: answer, id: requestId} = await request(`classify${query}`, {method: "POST", body: photo.blob, headers, signal});
      if (!isAnswer(answer)) throw new ApiError(200, UNREADABLE, "The API answered without predictions. Try again.");
      pause.end();
      return {answer, requestId};
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 422 && leaveOut(error.detail, asked)) continue;
      if (error.status === 403) {
        onWait("Waiting for the API key");
        await newKey(error, signal);
        continue;
      }
      const passes = [429, 503].includes(error.status) ? Date.now() - started < LONGEST_WAIT : tries < MOST_TRIES;
      if (!error.retryAfter || !passes) {
        pause.end();
        throw error;
      }
      pause.begin(error);
    }
  }
}

/** Ask no longer for what the model cannot do. Return whether the refusal was about that and not about the photo. */
function leaveOut(detail, asked) {
  const named = [...asked.keys()].filter((name) => detail.includes(name) || detail.includes("parameters"));
  for (const name of named) wanted.delete(name);
  return named.length > 0;
}

// While the model wakes or is busy, no photo is sent: one notice counts down for all of them.
const pause = {
  timer: 0,
  until: 0,
  waiting: new Set(),

  begin({title, detail, retryAfter}) {
    const reason = detail.replace(/[;,]? *(and )?try again[^.]*\.?$/i, "."); // this page does so by itself
    this.until = Date.now() + retryAfter * 1000;
    if (byId("pause").hidden || byId("pause-title").textContent !== title) {
      announce(`${title}. ${reason} This page tries again by itself.`);
    }
    byId("pause-title").textContent = title;
    byId("pause-detail").textContent = reason;
    byId("pause").hidden = false;
    clearInterval(this.timer);
    this.timer = setInterval(() => this.tick(), 250);
    this.tick();
  },

  tick() {
    const seconds = Math.ceil((this.until - Date.now()) / 1000);
    byId("pause-countdown").textContent = seconds > 0
      ? `This page tries again by itself in ${seconds} ${seconds === 1 ? "second" : "seconds"}.`
      : "Trying again …";
    if (seconds <= 0) this.release();
  },

  /** Let the photos go on; the notice stays until one of them has an answer. */
  release() {
    clearInterval(this.timer);
    this.until = 0;
    byId("pause-countdown").textContent = "Trying again …";
    for (const go of this.waiting) go();
    this.waiting.clear();
  },

  /** Take the notice away, unless another photo was told to wait in the meantime. */
  end() {
    if (!this.until) byId("pause").hidden = true;
  },

  /** Wait no longer, since nothing is left to send. */
  stop() {
    this.release();
    this.end();
  },

  async over(signal) {
    if (!this.until) return;
    await new Promise((go) => {
      this.waiting.add(go);
      signal.addEventListener("abort", go, {once: true});
    });
    signal.throwIfAborted();
  },
};
