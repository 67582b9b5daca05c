// The chosen result: its viewer and its downloads.

class Result {
  constructor() {
    for (const name of ["viewer", "downloads", "downloads-of", "formats", "formats-missing", "empty"]) {
      this[name] = document.getElementById(name);
    }
    this.chosen = null;
    this.addButtons();
  }

  addButtons() {
    const missing = settings.downloads.filter((download) => download.missing);
    for (const download of settings.downloads) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: download.label, title: asSentence(download.missing || download.purpose) });
      button.disabled = Boolean(download.missing);
      button.addEventListener("click", () => this.fetchFile(button, download));
      this.formats.append(button);
    }
    this.window = Object.assign(document.createElement("a"), { textContent: "open in a new tab", target: "_blank", rel: "noreferrer" });
    this.formats.append(this.window);
    this["formats-missing"].hidden = !missing.length;
    const reasons = [...new Set(missing.map((download) => `${download.label.split(" ")[0]}: ${asSentence(download.missing)}`))];
    this["formats-missing"].textContent = reasons.join(" ");
  }

  /** Shows a photograph that is done, or nothing for null. */
  show(photograph) {
    if (photograph?.id === this.chosen?.id) return;
    this.chosen = photograph;
    for (const part of [this.viewer, this.downloads]) part.hidden = !photograph;
    this.empty.hidden = Boolean(photograph);
    const address = photograph ? `/files/${photograph.addresses.view}` : "about:blank";
    this["downloads-of"].textContent = photograph?.name ?? "";
    this.window.href = address;
    // `src` would add an entry to the history of the page.
    const fresh = this.viewer.cloneNode();
    fresh.src = address;
    this.viewer.replaceWith(fresh);
    this.viewer = fresh;
  }

  /** Lets the server write a file, and begins its download. */
  async fetchFile(button, { label }) {
    const { key } = settings.downloads.find((download) => download.label === label);
    const { id, name } = this.chosen;
    button.setAttribute("aria-busy", "true");
    button.disabled = true;
    try {
      const { address } = await ask("POST", `/photographs/${id}/files/${key}`);
      Object.assign(document.createElement("a"), { href: address, download: "" }).click();
    } catch (error) {
      say(`${name}: ${error.message}`);
    }
    button.removeAttribute("aria-busy");
    button.disabled = false;
  }
}
