// Joins the parts of the page, and asks the server what has changed.

const SOON = 400; // milliseconds between questions while something is computed
const LATER = 5000; // another tab of this page may have sent something

let photographs = [];
let chosen = null; // id of the photograph that is shown
let latestNotice = null; // number of the last one; earlier ones are not said again
let knownBefore = null; // ids before files were added whose first result is shown; else null
let timer;
let isLost = false; // whether the server did not answer the last time
let isPlanned = false;
const result = new Result();
const uploads = new Uploads(() => draw());
const list = new PhotographList(document.getElementById("list"), {
  open: (photograph) => choose(photograph.id),
  remove: async (photograph) => {
    await ask("DELETE", `/photographs/${photograph.id}`).catch((error) => say(error.message));
    refresh();
  },
});

function choose(id) {
  chosen = id;
  knownBefore = null;
  draw();
  result.downloads.scrollIntoView({ block: "start" }); // on a narrow screen it is below the list
}

function add(files) {
  knownBefore = new Set(photographs.map(({ id }) => id));
  uploads.add(files);
}

function draw() {
  list.show(photographs.filter(({ state }) => state !== "uploading"), uploads.waiting, chosen);
  const shown = photographs.find(({ id, state }) => id === chosen && state === "done");
  result.show(shown ?? null);
  if (uploads.isSending) refreshSoon();
}

/** Shows the first result of new files, and another one when that is removed. */
function chooseFirst() {
  const done = photographs.filter(({ state }) => state === "done");
  const fresh = knownBefore && done.find(({ id }) => !knownBefore.has(id));
  if (fresh) {
    chosen = fresh.id;
    knownBefore = null;
  }
  if (!done.some(({ id }) => id === chosen)) chosen = done[0]?.id ?? null;
}

function sayNew(notices) {
  for (const { number, sentence } of notices) {
    if (latestNotice !== null && number > latestNotice) say(sentence);
  }
  latestNotice = notices.at(-1)?.number ?? 0;
}

async function refresh() {
  clearTimeout(timer);
  let isBusy = uploads.isSending;
  try {
    const answer = await ask("GET", "/photographs");
    photographs = answer.photographs;
    sayNew(answer.notices);
    isBusy ||= photographs.some(({ state }) => BUSY.includes(state) || state === "waiting");
    isLost = false;
  } catch (error) {
    if (!isLost) say(error.message);
    isLost = true;
  }
  chooseFirst();
  draw();
  clearTimeout(timer);
  timer = setTimeout(refresh, isBusy ? SOON : LATER);
}

/** Asks within `SOON`, however often it is called. */
function refreshSoon() {
  if (isPlanned) return;
  isPlanned = true;
  setTimeout(() => {
    isPlanned = false;
    refresh();
  }, SOON);
}

document.getElementById("limit-note").textContent =
  `up to ${settings.mostBytes / MEGABYTE} MB each; the list keeps ${settings.mostPhotographs}`;
connectDrops(add);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
refresh();
