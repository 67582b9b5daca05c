// Talks to the server. Each request has the token that only this page knows.

const settings = JSON.parse(document.getElementById("settings").textContent);
const TOKEN_HEADER = "X-Jaxhdr-Token";
const GONE = "The server does not answer. It was perhaps ended.";

const asSentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

/** Returns the answer of the interface, or throws an error with the server's sentence. */
async function ask(method, address) {
  let answer;
  try {
    answer = await fetch(`/api${address}`, { method, headers: { [TOKEN_HEADER]: settings.token } });
  } catch {
    throw new Error(GONE);
  }
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(asSentence(content.error ?? `The server answered ${answer.status}`));
  return content;
}

/** Sends a file; `report(share)` is called while it is sent. `fetch` cannot report that. */
function sendFile(file, report) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/photographs?${new URLSearchParams({ name: file.name })}`);
    request.setRequestHeader(TOKEN_HEADER, settings.token);
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => report(total ? loaded / total : 0);
    request.onload = () => {
      if (request.status === 201) return resolve(request.response);
      reject(new Error(asSentence(request.response?.error ?? `The server answered ${request.status}`)));
    };
    request.onerror = () => reject(new Error(`The file could not be read, or it could not be sent. ${GONE}`));
    request.send(file);
  });
}
