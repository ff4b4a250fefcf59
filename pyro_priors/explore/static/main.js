// The page: reads the address, asks the server, shows the answers.

import * as address from "./address.js";
import { get, post } from "./api.js";
import { table } from "./information.js";
import { byId, copy, make, nats } from "./parts.js";
import { Row } from "./rows.js";

const rows = new Map();
let state = address.read();
let extra = { update() {} };
let pending = null;

function fail(error) {
  if (error.name === "AbortError") return;
  byId("error").textContent = error.message;
  byId("error").hidden = false;
}

// Evidence has changed: the address and the answers follow.
function say(name, value) {
  const given = { ...state.given };
  if (value === undefined) delete given[name];
  else given[name] = value;
  give(given);
}

function give(given) {
  state = { ...state, given };
  address.write(state);
  update();
}

// The seed or the image has changed.
function tell(part) {
  state = { ...state, ...part };
  address.write(state);
  extra.update(state);
}

async function update() {
  pending?.abort();
  const mine = (pending = new AbortController());
  try {
    const answer = await post("answer", { given: state.given }, mine.signal);
    byId("error").hidden = true;
    show(answer);
    extra.update(state);
  } catch (error) {
    fail(error);
  }
}

function show(answer) {
  for (const [name, row] of rows) row.show(state.given[name], answer.variables[name]);
  const names = Object.keys(state.given);
  byId("chips").replaceChildren(
    ...(names.length ? names.map(chip) : [make("li", { class: "quiet" }, "nothing yet: set a variable below")]),
  );
  byId("score").textContent = names.length && answer.log_prob !== null ? `log p = ${nats(answer.log_prob)}` : "";
  byId("clear").disabled = !names.length;
  byId("exactness").hidden = answer.exact;
  if (!answer.exact) {
    byId("exactness").textContent = `not exact: several ranges go together, ${Math.floor(answer.worth)} draws or more in effect`;
  }
  byId("python").textContent = answer.python;
  byId("status").textContent = `Answers ${names.length ? `given ${names.map((name) => `${name} ${address.words(state.given[name])}`).join(", ")}` : "with nothing given"}.`;
}

function chip(name) {
  const remove = make("button", { type: "button", "aria-label": `Leave ${name} open`, onclick: () => leave(name) }, "×");
  return make("li", { class: "chip" }, `${name} ${address.words(state.given[name])}`, remove);
}

// The button is gone with its chip: who used the keyboard goes on at the variable.
function leave(name) {
  say(name, undefined);
  rows.get(name)?.how.focus({ preventScroll: true });
}

function build(model) {
  document.title = `${model.title} – explore`;
  byId("title").textContent = model.title;
  const count = `${model.variables.length} variable${model.variables.length === 1 ? "" : "s"}`;
  byId("subtitle").textContent = `${count}; probabilities and densities are exact unless marked.`;
  for (const variable of model.variables) {
    const row = new Row(variable, model.answer.variables[variable.name], say);
    rows.set(variable.name, row);
    byId("variables").append(row.node);
  }
  if (rows.size > 8) byId("filter-label").hidden = false;
}

async function start() {
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address holds the evidence
    byId("variables").focus();
  });
  byId("clear").addEventListener("click", () => give({}));
  byId("share").addEventListener("click", (event) => copy(location.href, event.target));
  byId("copy").addEventListener("click", (event) => copy(byId("python").textContent, event.target));
  byId("filter").addEventListener("input", (event) => {
    const text = event.target.value.trim().toLowerCase();
    for (const [name, row] of rows) row.node.hidden = !name.toLowerCase().includes(text);
  });
  const again = () => {
    state = address.read();
    update();
  };
  addEventListener("popstate", again);
  addEventListener("hashchange", again);
  try {
    const model = await get("model");
    build(model);
    if (model.kind === "table") (await import("./table.js")).tablePart(give, fail);
    if (model.kind === "images") extra = (await import("./images.js")).imagePart(model, tell, fail);
    await update();
    document.body.dataset.ready = "yes";
    const information = await get("information");
    byId("information").replaceChildren(table(information));
  } catch (error) {
    fail(error);
    byId("subtitle").textContent = "";
    if (!document.body.dataset.ready) return;
    byId("information").textContent = error.message;
  } finally {
    byId("information").removeAttribute("aria-busy");
  }
}

start();
