// The page: how photos come in, the queue that sends two at a time, the key, and the history.

const AT_A_TIME = 2;
const AT_ONCE = 100;
const UNFIT = [400, 413, 415, 422]; // status of a photo that will never be taken
const queue = [];
let stopped = new AbortController();
let running = 0;

/** Take files from wherever they came, the first on top. */
function take(files) {
  byId("complaint").textContent = "";
  if (!files.length) {
    byId("complaint").textContent = "That was no file. Save the photo and choose it, or copy the photo itself and paste it.";
    return;
  }
  if (files.length > AT_ONCE) {
    byId("complaint").textContent = `These were ${files.length} files: the first ${AT_ONCE} were taken. For more, use whippet classify FOLDER.`;
  }
  const taken = [...files].slice(0, AT_ONCE).map((file) => ({file, card: new Card(file.name || "pasted photo")}));
  byId("photos").prepend(...taken.map(({card}) => card.element));
  byId("results").hidden = false;
  announce(taken.length === 1 ? `${taken[0].card.name} was taken.` : `${taken.length} photos were taken.`);
  for (const entry of taken) enqueue(entry);
}

function enqueue(entry) {
  entry.card.state("busy", "Waiting for its turn");
  queue.push(entry);
  while (running < AT_A_TIME && queue.length) work();
}

async function work() {
  running += 1;
  try {
    while (queue.length) await handle(queue.shift(), stopped.signal);
  } finally {
    running -= 1;
  }
}

/** Make one photo ready, send it, and show the answer or why there is none. */
async function handle(entry, signal) {
  const {card, file} = entry;
  try {
    if (!entry.photo) {
      card.state("busy", "Getting it ready");
      entry.photo = await preparePhoto(file);
      entry.url = entry.photo.width ? URL.createObjectURL(entry.photo.blob) : "";
      card.picture(entry.url);
    }
    const {answer, requestId} = await classify(entry.photo, {
      signal,
      onWait: (words) => card.state("busy", words),
      onSend: () => card.state("busy", "The model is looking"),
    });
    card.answer(answer);
    offerFeedback(card, {photo: entry.photo, answer, requestId});
    model.answer(answer);
    announce(`${card.name}: ${card.find("h3").textContent}. ${card.find(".detail").textContent}`);
    const picture = await thumbnail(entry.photo);
    const short = {...answer, predictions: answer.predictions.slice(0, BARS)};
    if (!signal.aborted) remember({name: card.name, picture, answer: short});
  } catch (error) {
    if (signal.aborted) return;
    const refused = error instanceof ApiError;
    const unfit = error instanceof PhotoError || (refused && UNFIT.includes(error.status));
    const title = unfit ? refused ? "The model cannot use this" : "This cannot be sent" : error.title ?? "This page failed";
    card.fail(title, error.message, unfit ? null : () => enqueue(entry));
    announce(`${card.name}: ${title}. ${error.message}`);
    if (!refused && !unfit) console.error(error);
  }
}

// The key: asked for where the API refuses to answer without it; photos that wait for it go on by themselves.
const waitingForKey = new Set();

/** Return when there is a key other than the one that was refused. */
async function newKey({detail, key}, signal) {
  if (kept.read(KEY) !== key) return;
  askForKey(key ? detail : byId("key-error").textContent);
  kept.remove(KEY);
  await new Promise((go) => {
    waitingForKey.add(go);
    signal.addEventListener("abort", go, {once: true});
  });
  signal.throwIfAborted();
}

function askForKey(error) {
  byId("key-form").hidden = false;
  if (byId("photos").querySelector("[data-state=busy]")) byId("key").focus();
  byId("forget-key").hidden = true;
  sayOfKey(error);
}

function sayOfKey(error) {
  byId("key-error").textContent = error;
  byId("key").toggleAttribute("aria-invalid", Boolean(error));
}

byId("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = byId("key").value.trim();
  if (!/^[\x21-\x7e]{1,200}$/.test(key)) {
    sayOfKey("A key has letters and digits only, and no spaces. Copy it again.");
    byId("key").focus();
    return;
  }
  kept.write(KEY, key);
  if (!(await ask())) {
    byId("key").focus();
    return;
  }
  byId("key").value = "";
  byId("file").focus();
  announce("The key is right. Choose photos.");
  for (const go of waitingForKey) go();
  waitingForKey.clear();
});

byId("forget-key").addEventListener("click", () => {
  kept.remove(KEY);
  askForKey("");
  byId("key").focus();
});

/** Ask the API for its model, and whether it takes this tab's key. Return whether it does. */
async function ask() {
  try {
    model.health((await request("health")).content);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 403) {
      askForKey(error.key ? error.detail : "");
      kept.remove(KEY);
      return false;
    }
    model.missing(error.title);
  }
  byId("key-form").hidden = true;
  byId("forget-key").hidden = !kept.read(KEY);
  sayOfKey("");
  return true;
}

// How photos come in.
for (const input of [byId("file"), byId("camera")]) {
  input.addEventListener("change", () => {
    take(input.files);
    input.value = ""; // the same file may be chosen again
  });
}
addEventListener("paste", (event) => {
  if (event.target.matches?.("input") && !event.clipboardData.files.length) return;
  event.preventDefault();
  take(event.clipboardData.files);
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("drop").classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) byId("drop").classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  take(event.dataTransfer.files);
});

byId("pause-now").addEventListener("click", () => pause.release());
byId("clear").addEventListener("click", () => {
  stopped.abort();
  stopped = new AbortController();
  queue.length = 0;
  pause.stop();
  for (const image of document.querySelectorAll(".frame img")) URL.revokeObjectURL(image.src);
  byId("photos").replaceChildren();
  byId("results").hidden = true;
  byId("complaint").textContent = "";
  kept.remove(HISTORY);
  byId("file").focus();
  announce("All photos and answers were removed.");
});

for (const {name, picture, answer} of readHistory()) {
  const card = new Card(name);
  card.picture(picture);
  card.answer(answer);
  byId("photos").append(card.element);
  byId("results").hidden = false;
}
ask();
