// What this tab remembers until it is closed: the key, and the answers with small pictures.

const KEY = "api-key";
const HISTORY = "history";
const LONGEST_HISTORY = 30;

const byId = (id) => document.getElementById(id);

/** Tell a screen reader; the page shows the same in another place. */
function announce(text) {
  byId("live").textContent = text;
}

const kept = {
  memory: new Map(), // where the browser has no session storage, or no room in it

  read(name) {
    try {
      return this.memory.get(name) ?? sessionStorage.getItem(name);
    } catch {
      return null;
    }
  },

  write(name, value) {
    this.memory.set(name, value);
    try {
      sessionStorage.setItem(name, value);
    } catch {
      // It stays in the memory until the page is loaded again.
    }
  },

  remove(name) {
    this.memory.delete(name);
    try {
      sessionStorage.removeItem(name);
    } catch {
      // It was in the memory only.
    }
  },
};

/** Return the answers of this tab, the newest first: {name, picture, answer}. */
function readHistory() {
  const found = parsed(kept.read(HISTORY) ?? "[]");
  return Array.isArray(found) ? found : [];
}

function remember(entry) {
  kept.write(HISTORY, JSON.stringify([entry, ...readHistory()].slice(0, LONGEST_HISTORY)));
}
