// Pieces of the page: elements, numbers as texts, files that are dropped.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

export const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

export const draw = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

export const byId = (id) => document.getElementById(id);

export function percent(p) {
  const value = 100 * p;
  if (p > 0 && value < 0.05) return "< 0.1 %";
  if (p < 1 && value >= 99.95) return "> 99.9 %";
  return `${value.toFixed(1)} %`;
}

export function nats(x) {
  if (x === null || x === undefined) return "";
  return `${Math.abs(x) < 0.0005 ? "0" : x.toFixed(3)} nats`;
}

export const short = (x) => (Number.isFinite(x) ? String(Number(x.toPrecision(4))) : "");

// A button, and a place to drop, that hand on the first file.
export function dropPlace(label, accept, take) {
  const input = make("input", { type: "file", accept, onchange: () => input.files.length && take(input.files[0]) });
  const place = make("div", { class: "drop" }, make("label", {}, `${label} `, input));
  place.addEventListener("dragover", (event) => {
    event.preventDefault();
    place.classList.add("over");
  });
  place.addEventListener("dragleave", () => place.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    place.classList.remove("over");
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
  return place;
}

export async function copy(text, button) {
  const said = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select and copy";
  }
  setTimeout(() => (button.textContent = said), 1500);
}
