// Opens the viewer in a dialog of a page that shows more than that.

/**
 * Shows a view, `{facts, bands}` of packed_view, until the dialog is closed.
 *
 * `changes` replaces some of the facts, such as the title.
 */
window.openViewer = ({ facts, bands }, changes) => {
  const dialog = document.getElementById("viewer-dialog");
  const template = document.getElementById("viewer-template");
  const root = template.content.cloneNode(true).querySelector(".viewer");
  dialog.append(root);
  dialog.showModal();
  const viewer = new Viewer(root, { ...facts, ...changes }, (image, band) => bands[image][band]);
  dialog.addEventListener("close", () => {
    viewer.close();
    root.remove();
  }, { once: true });
  viewer.start();
};
