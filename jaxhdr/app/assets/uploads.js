// Takes photographs that are dropped or chosen, and sends them one behind the other.

const MEGABYTE = 1e6;
const messages = document.getElementById("messages");

/** Shows a sentence until it is closed. */
function say(sentence) {
  const line = document.createElement("p");
  const close = document.createElement("button");
  Object.assign(close, { type: "button", className: "remove", textContent: "×" });
  close.setAttribute("aria-label", "Close this message");
  close.addEventListener("click", () => line.remove());
  line.append(sentence, close);
  messages.append(line);
}

/** Returns why a file need not be sent at all, or "". */
function objection(file) {
  const limit = settings.mostBytes / MEGABYTE;
  if (file.size > settings.mostBytes) {
    return `${file.name} has ${Math.ceil(file.size / MEGABYTE)} MB; this server takes up to ${limit} MB.`;
  }
  return file.size ? "" : `${file.name} is empty, or a folder.`;
}

class Uploads {
  /** `changed(waiting)` is called with [{name, share}] of what is not sent yet. */
  constructor(changed) {
    this.changed = changed;
    this.waiting = [];
    this.isSending = false;
  }

  add(files) {
    for (const file of files) {
      const reason = objection(file);
      if (reason) say(reason);
      else this.waiting.push({ file, name: file.name, share: 0 });
    }
    this.changed(this.waiting);
    this.send();
  }

  async send() {
    if (this.isSending) return;
    this.isSending = true;
    while (this.waiting.length) {
      const [upload] = this.waiting;
      try {
        await sendFile(upload.file, (share) => {
          upload.share = share;
          this.changed(this.waiting);
        });
      } catch (error) {
        say(`${upload.name}: ${error.message}`);
      }
      this.waiting.shift();
      this.changed(this.waiting);
    }
    this.isSending = false;
  }
}

/** Calls `take(files)` when files are dropped anywhere on the page, or chosen. */
function connectDrops(take) {
  const chooser = document.getElementById("chooser");
  const app = document.getElementById("app");
  chooser.addEventListener("change", () => {
    take([...chooser.files]);
    chooser.value = ""; // so that the same file can be chosen again
  });
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  window.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault(); // otherwise the browser would open the file
    app.classList.add("dragging");
  });
  window.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) app.classList.remove("dragging");
  });
  window.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    app.classList.remove("dragging");
    take([...event.dataTransfer.files]);
  });
}
