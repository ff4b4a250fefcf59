// Bars of categories and densities of numbers, each beside what they were with nothing given.

import { draw, make, percent, short } from "./parts.js";

const SHOWN = 12;
const WIDTH = 400;
const HEIGHT = 64;

// One bar for each category; `choose` is called with its text.
export function bars(variable, now, before, choose, state) {
  const { categories } = variable;
  const order = categories.map((_, place) => place);
  const most = [...order].sort((a, b) => now.probs[b] - now.probs[a]).slice(0, SHOWN - 2);
  const cut = categories.length > SHOWN && !state.all;
  const places = cut ? most.sort((a, b) => a - b) : order;
  const list = make("ul", { class: "bars", "aria-label": `Probabilities of ${variable.name}` });
  for (const place of places) {
    const filled = make("span", { class: "fill" });
    filled.style.width = `${100 * now.probs[place]}%`;
    const tick = make("span", { class: "tick" });
    tick.style.left = `${100 * before.probs[place]}%`;
    list.append(
      make(
        "li",
        { class: "bar", title: `with nothing given ${percent(before.probs[place])}`, onclick: () => choose(categories[place]) },
        make("span", { class: "name" }, categories[place]),
        make("span", { class: "track" }, filled, tick),
        make("span", { class: "value" }, percent(now.probs[place])),
      ),
    );
  }
  if (cut) {
    const rest = `Show all ${categories.length}`;
    list.append(make("li", {}, make("button", { type: "button", class: "more", onclick: state.showAll }, rest)));
  }
  return list;
}

const path = (xs, ys) => xs.map((x, k) => `${k ? "L" : "M"}${x.toFixed(1)},${ys[k].toFixed(2)}`).join("");

// The axis of a number: where values stand, between its ends or those of its points.
function scaleOf(variable, before) {
  const values = variable.axis ?? before.points.map((point) => point[0]);
  let low = values[0];
  let high = values[values.length - 1];
  if (!variable.axis) {
    const pad = 0.04 * (high - low || 1);
    low -= pad;
    high += pad;
  }
  return { low, high, at: (x) => (WIDTH * (x - low)) / (high - low), value: (share) => low + share * (high - low) };
}

function shape(curve, variable, scale, top, mass) {
  const parts = [];
  if (curve.density && variable.axis) {
    const xs = variable.axis.map(scale.at);
    parts.push(["line", path(xs, curve.density.map((y) => HEIGHT - (HEIGHT - 3) * (y / top)))]);
  }
  for (const [value, probability] of curve.points ?? []) {
    if (probability > 0) {
      parts.push(["stem", `M${scale.at(value).toFixed(1)},${HEIGHT}V${(HEIGHT - (HEIGHT - 3) * (probability / mass)).toFixed(2)}`]);
    }
  }
  return parts;
}

// The density of a number, and in words its mean and interval; dragging over it calls `limit(low, high)`.
export function curve(variable, now, before, limit) {
  const scale = scaleOf(variable, before);
  const shown = [before, now].filter((each) => each.is !== "set");
  const top = Math.max(...shown.flatMap((each) => each.density ?? [0]), 1e-12);
  const mass = Math.max(...shown.flatMap((each) => (each.points ?? []).map((point) => point[1])), 1e-12);
  const image = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  image.append(draw("path", { class: "base", d: `M0,${HEIGHT}H${WIDTH}` }));
  if (now.is === "set") {
    image.append(draw("path", { class: "stem", d: `M${scale.at(now.value)},${HEIGHT}V0` }));
  } else {
    for (const [kind, d] of shape(now, variable, scale, top, mass)) {
      if (kind === "line") image.append(draw("path", { class: "area", d: `${d}L${WIDTH},${HEIGHT}L0,${HEIGHT}Z` }));
      image.append(draw("path", { class: kind, d }));
    }
  }
  for (const [, d] of shape(before, variable, scale, top, mass)) image.append(draw("path", { class: "was", d }));
  const said = inWords(now);
  image.setAttribute("aria-label", `Density of ${variable.name}: ${said}`);
  drag(image, scale, limit);
  const [low, high] = variable.ends ?? [short(scale.low), short(scale.high)];
  return make(
    "div",
    { class: "curve" },
    image,
    make("div", { class: "ends quiet" }, make("span", {}, low), make("span", {}, high)),
    make("p", { class: "said" }, said),
  );
}

export function inWords(now) {
  if (now.is === "set") return `set to ${short(now.value)}`;
  const [mean, low, high] = now.texts;
  return `mean ${mean}, 90 % from ${low} to ${high}`;
}

function drag(image, scale, limit) {
  let start = null;
  const mark = draw("rect", { class: "drag", y: 0, height: HEIGHT, width: 0 });
  const share = (event) => {
    const box = image.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  const show = (end) => {
    mark.setAttribute("x", WIDTH * Math.min(start, end));
    mark.setAttribute("width", WIDTH * Math.abs(end - start));
  };
  image.addEventListener("pointerdown", (event) => {
    start = share(event);
    image.append(mark);
    image.setPointerCapture(event.pointerId);
  });
  image.addEventListener("pointermove", (event) => start !== null && show(share(event)));
  image.addEventListener("pointerup", (event) => {
    const [from, to] = [start, share(event)].sort((a, b) => a - b);
    start = null;
    mark.remove();
    if (to - from > 0.01) limit(Number(short(scale.value(from))), Number(short(scale.value(to))));
  });
}
