// A page over images: draws given the evidence, an image of one's own, and what it would be.

import { post, send } from "./api.js";
import { byId, dropPlace, make, percent, short } from "./parts.js";

const figure = (caption, source, text) =>
  make("figure", {}, make("img", { src: source, alt: text }), make("figcaption", { class: "quiet" }, caption));

// `tell(part)` changes the seed or the image of the address, `fail(error)` shows a sentence.
export function imagePart(model, tell, fail) {
  const grid = make("div", { class: "grid" });
  const seed = make("input", { type: "number", min: 0, step: 1, "aria-label": "Seed of the draws" });
  seed.addEventListener("change", () => tell({ seed: Math.max(0, Math.floor(Number(seed.value) || 0)) }));
  const again = make("button", { type: "button", onclick: () => tell({ seed: Number(seed.value) + 1 }) }, "Draw others");
  const seen = make("div", { class: "seen", hidden: true });
  const found = make("div", {});
  const forget = make("button", { type: "button", hidden: true, onclick: () => tell({ image: null }) }, "Leave this image");
  const drop = dropPlace("Drop a picture, or choose one:", "image/*", async (file) => {
    try {
      tell({ image: (await send("image", file)).image });
    } catch (error) {
      fail(error);
    }
  });
  drop.append(forget);
  byId("extra").append(
    make(
      "section",
      { class: "panel", "aria-labelledby": "draws-title" },
      make("div", { class: "heading" }, make("h2", { id: "draws-title" }, "Images drawn given this"), make("div", { class: "line" }, make("label", { class: "quiet" }, "Seed ", seed), again)),
      grid,
      make("p", { class: "quiet" }, "Draws, not exact figures: means of p(x | z) for draws of z given what is set."),
    ),
    make("section", { class: "panel", "aria-labelledby": "own-title" }, make("h2", { id: "own-title" }, "An image of your own"), drop, seen, found),
  );
  let last = "";
  const page = { update: (state) => update(state).catch(fail) };

  async function update(state) {
    seed.value = state.seed;
    const key = JSON.stringify([state.given, state.seed, state.image]);
    if (key === last) return;
    last = key;
    const { images } = await post("draws", { given: state.given, seed: state.seed, count: model.count });
    if (key !== last) return;
    grid.replaceChildren(...images.map((source, k) => make("img", { src: source, alt: `Draw ${k + 1}` })));
    forget.hidden = seen.hidden = !state.image;
    if (!state.image) return found.replaceChildren();
    const own = await post("impute", { image: state.image, draws: model.draws });
    const before = attributesOf(own);
    const after = { ...before, ...state.given };
    const moved = await post("what-if", { image: state.image, before, given: after });
    if (key !== last) return;
    seen.replaceChildren(
      figure("as the model sees it", own.shown, "The image you sent"),
      figure("through the model and back", moved.before, "The image encoded and decoded"),
      figure("what if it were as given above", moved.after, "The image with the attributes given"),
    );
    found.replaceChildren(tableOf(own));
  }

  // What an image most probably is: the evidence that "what if" starts from.
  function attributesOf(own) {
    const said = {};
    for (const variable of model.variables) {
      const answer = own.variables[variable.name];
      const place = answer.probs ? answer.probs.indexOf(Math.max(...answer.probs)) : -1;
      said[variable.name] = place >= 0 ? variable.categories[place] : Number(answer.mean);
    }
    return said;
  }

  function tableOf(own) {
    const lines = model.variables.map((variable) => {
      const answer = own.variables[variable.name];
      if (!answer.probs) return [variable.name, `${short(answer.mean)} ± ${short(answer.standard_error)}`];
      const place = answer.probs.indexOf(Math.max(...answer.probs));
      const error = (100 * answer.standard_error[place]).toFixed(1);
      return [variable.name, `${variable.categories[place]}: ${percent(answer.probs[place])} ± ${error} %`];
    });
    const body = lines.map(([name, text]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, text)));
    const note = `Not exact: means over ${own.draws} draws of q(z | x), ± one standard error.`;
    return make("div", {}, make("table", { class: "pairs" }, make("caption", { class: "hidden" }, "Attributes of the image"), make("tbody", {}, ...body)), make("p", { class: "quiet" }, note));
  }
  return page;
}
