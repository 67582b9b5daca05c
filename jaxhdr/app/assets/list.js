// The list of photographs. Items are kept and changed, so that the focus stays.

const BUSY = ["reading", "computing", "packing"];
const WORDS = {
  reading: "reading the file",
  computing: "computing the HDR image",
  packing: "packing the result",
};

/** Returns what the list says of a photograph. */
function stateText({ state, place, sentence, seconds, facts }) {
  if (state === "uploading") return "is being sent";
  if (state === "waiting") return place === 1 ? "next in the queue" : `place ${place} in the queue`;
  if (state === "failed") return asSentence(sentence);
  if (state === "done") return `done in ${seconds.toFixed(1)} s · ${facts.width}\u00a0×\u00a0${facts.height}`;
  return `${WORDS[state]} · ${Math.round(seconds)} s`;
}

class PhotographList {
  /** `open(photograph)` and `remove(photograph)` are called for the buttons of an item. */
  constructor(element, { open, remove }) {
    this.element = element;
    this.actions = { open, remove };
    this.items = new Map(); // id to the parts of its item
  }

  /** Shows photographs of the server, the newest last, and files that wait to be sent. */
  show(photographs, waiting, chosen) {
    const entries = [
      ...photographs,
      ...waiting.map(({ name, share }, index) => ({ id: `sending-${index}`, name, share, state: "sending" })),
    ];
    const kept = new Set(entries.map(({ id }) => id));
    for (const [id, item] of this.items) {
      if (kept.has(id)) continue;
      item.root.remove();
      this.items.delete(id);
    }
    entries.forEach((entry, index) => {
      const item = this.items.get(entry.id) ?? this.add(entry.id);
      if (this.element.children[index] !== item.root) this.element.insertBefore(item.root, this.element.children[index] ?? null);
      this.update(item, entry, entry.id === chosen);
    });
  }

  add(id) {
    const root = document.createElement("li");
    root.className = "item";
    root.innerHTML = '<button type="button" class="open"><span class="picture"></span><span><span class="name"></span>'
      + '<span class="state"></span><progress hidden></progress><span class="warning" hidden></span></span></button>'
      + '<button type="button" class="remove">×</button>';
    const item = { root };
    for (const part of ["open", "picture", "name", "state", "warning", "remove"]) item[part] = root.querySelector(`.${part}`);
    item.progress = root.querySelector("progress");
    item.open.addEventListener("click", () => this.actions.open(item.entry));
    item.remove.addEventListener("click", () => this.actions.remove(item.entry));
    this.items.set(id, item);
    return item;
  }

  update(item, entry, isChosen) {
    item.entry = entry;
    const isSending = entry.state === "sending";
    const isBusy = BUSY.includes(entry.state);
    item.root.classList.toggle("failed", entry.state === "failed");
    item.root.setAttribute("aria-current", isChosen);
    item.name.textContent = entry.name;
    item.state.textContent = isSending ? `is being sent · ${Math.round(100 * entry.share)} %` : stateText(entry);
    item.open.disabled = entry.state !== "done";
    item.remove.hidden = isSending;
    item.remove.title = isBusy || entry.state === "waiting" ? "Cancel" : "Remove";
    item.remove.setAttribute("aria-label", `${item.remove.title} ${entry.name}`);
    item.progress.hidden = !isSending && !isBusy;
    if (isSending) item.progress.value = entry.share;
    else item.progress.removeAttribute("value");
    const warnings = entry.facts?.warnings ?? [];
    item.warning.hidden = !warnings.length;
    item.warning.textContent = warnings.map(asSentence).join(" ");
    const picture = entry.addresses?.thumbnail;
    if (picture && !item.picture.firstChild) {
      item.picture.append(Object.assign(new Image(), { src: `/files/${picture}`, alt: "" }));
    }
  }
}
