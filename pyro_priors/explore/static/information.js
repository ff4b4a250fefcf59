// The pairs of variables that say most of each other.

import { make } from "./parts.js";

const SHOWN = 10;

export function pairsOf({ names, nats, standard_error: errors }) {
  const pairs = [];
  for (let i = 0; i < names.length; i++) {
    for (let j = i + 1; j < names.length; j++) pairs.push({ names: [names[i], names[j]], nats: nats[i][j], error: errors[i][j] });
  }
  return pairs.sort((a, b) => b.nats - a.nats);
}

export function table(information) {
  const pairs = pairsOf(information);
  if (!pairs.length) return make("p", { class: "quiet" }, "There is one variable alone.");
  const body = make("tbody", {});
  const show = (count) => {
    body.replaceChildren(
      ...pairs.slice(0, count).map((pair) => {
        const exact = pair.error === 0;
        const said = exact ? pair.nats.toFixed(3) : `${pair.nats.toFixed(3)} ± ${Math.max(pair.error, 0.001).toFixed(3)}`;
        return make("tr", {}, make("th", { scope: "row" }, pair.names.join(" – ")), make("td", {}, said));
      }),
    );
  };
  show(SHOWN);
  const result = make("div", {}, make("table", { class: "pairs" }, make("caption", { class: "hidden" }, "Mutual information of pairs in nats"), body));
  const drawn = pairs.some((pair) => pair.error !== 0);
  result.append(
    make("p", { class: "quiet" }, drawn ? `Exact between categories; with a number ± one standard error of ${information.draws} draws.` : "Exact."),
  );
  if (pairs.length > SHOWN) {
    const more = make("button", { type: "button", class: "more", onclick: () => (show(pairs.length), more.remove()) }, `Show all ${pairs.length} pairs`);
    result.append(more);
  }
  return result;
}
