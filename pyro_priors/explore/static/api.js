// Questions to the server; what goes wrong is an Error with a sentence.

const GONE = "The server does not answer: it may have been stopped. Start it again, and open the address it prints.";

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(`api/${path}`, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(GONE);
  }
  let body;
  try {
    body = await response.json();
  } catch {
    throw new Error(GONE);
  }
  if (!response.ok) throw new Error(body.error ?? `The server answered with status ${response.status}.`);
  return body;
}

export const get = (path) => ask(path);

export const post = (path, body, signal) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal });

export const send = (path, file) => ask(path, { method: "POST", body: file });
