// Starts the viewer of a page that is nothing else.

const textOfElement = (name) => document.getElementById(name).textContent;
new Viewer(
  document.getElementById("viewer"),
  JSON.parse(textOfElement("view")),
  (image, band) => textOfElement(`band-${image}-${band}`),
).start();
