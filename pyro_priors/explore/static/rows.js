// A row for each variable: what is said of it, how to say something, and its answer.

import { bars, curve } from "./charts.js";
import { make, nats } from "./parts.js";

// `say(name, value)` sets a variable, `undefined` leaves it open.
export class Row {
  constructor(variable, before, say) {
    Object.assign(this, { variable, before, all: false });
    this.say = (value) => say(variable.name, value);
    const id = `v${Row.count++}`;
    this.change = make("p", { class: "change" });
    this.control = make("fieldset", { class: "control" }, make("legend", { class: "hidden" }, `Evidence on ${variable.name}`));
    this.answer = make("div", {});
    this.node = make(
      "section",
      { class: "row", "aria-labelledby": id },
      make("div", {}, make("h3", { id }, variable.name), make("p", { class: "quiet" }, variable.about), this.change),
      this.control,
      this.answer,
    );
    this.how = make("select", { "aria-label": `${variable.name}: open or set`, onchange: () => this.chosen() });
    this.fields = make("div", {});
    this.control.append(this.how, this.fields);
    const categories = variable.categories ?? [];
    const options = variable.kind === "category" ? categories.map((text, k) => [`c${k}`, text]) : [["is", "is …"], ["range", "between …"]];
    if (categories.length > 2) options.push(["any", "any of …"]);
    this.how.append(make("option", { value: "open" }, "open"));
    this.how.append(...options.map(([value, text]) => make("option", { value }, text)));
  }

  // What the select says has changed.
  chosen() {
    const how = this.how.value;
    if (how === "open") this.say(undefined);
    else if (how.startsWith("c")) this.say(this.variable.categories[Number(how.slice(1))]);
    else {
      this.setFields(how);
      this.fields.querySelector("input")?.focus();
    }
  }

  // Fields of a value, a range or categories, as they are given.
  setFields(how, value) {
    const key = JSON.stringify([how, value]);
    if (this.shown === key) return;
    this.shown = key;
    this.fields.replaceChildren();
    const name = this.variable.name;
    const field = (label, start, change) => {
      const input = make("input", { type: "text", inputmode: "decimal", autocomplete: "off", value: start ?? "", onchange: change, "aria-label": `${name}: ${label}` });
      return [make("label", {}, label, input), input];
    };
    if (how === "is") {
      const [label, input] = field("value", value, () => this.say(input.value.trim() === "" ? undefined : plain(input.value)));
      this.fields.append(make("div", { class: "single" }, label));
    } else if (how === "range") {
      const ends = {};
      const change = () => {
        const low = ends.low.value.trim() === "" ? null : plain(ends.low.value);
        const high = ends.high.value.trim() === "" ? null : plain(ends.high.value);
        if (low !== null || high !== null) this.say({ low, high });
      };
      const [from, low] = field("from", value?.low, change);
      const [to, high] = field("to", value?.high, change);
      Object.assign(ends, { low, high });
      this.fields.append(make("div", { class: "pair" }, from, to));
    } else if (how === "any") this.fields.append(this.choices(value ?? []));
  }

  choices(value) {
    const chosen = new Set(value.map(String));
    const boxes = make("div", { class: "choices", role: "group", "aria-label": `Categories of ${this.variable.name}` });
    for (const text of this.variable.categories) {
      const box = make("input", { type: "checkbox", onchange: () => this.say(texts()) });
      box.checked = chosen.has(text);
      box.value = text;
      boxes.append(make("label", {}, box, text));
    }
    const texts = () => {
      const list = [...boxes.querySelectorAll("input:checked")].map((box) => box.value);
      return list.length ? list : undefined;
    };
    return boxes;
  }

  // Show what is given and what follows.
  show(given, now) {
    this.node.className = `row is-${now.is}`;
    let how = "open";
    if (Array.isArray(given)) how = "any";
    else if (given !== undefined && given !== null && typeof given === "object") how = "range";
    else if (given !== undefined) how = this.variable.kind === "number" ? "is" : `c${this.variable.categories.indexOf(String(given))}`;
    if (how !== "open" || !["is", "range", "any"].includes(this.how.value) || this.given !== undefined) {
      this.how.value = how;
      this.setFields(how, given);
    }
    this.given = given;
    this.now = now;
    this.change.textContent = now.change === null || now.is === "set" ? (now.is === "set" ? "set" : "") : `change ${nats(now.change)}`;
    this.drawAnswer();
  }

  drawAnswer() {
    const { variable, before, now } = this;
    const state = { all: this.all, showAll: () => ((this.all = true), this.drawAnswer()) };
    const choose = (text) => this.say(String(this.given) === text ? undefined : text);
    const limit = (low, high) => this.say({ low, high });
    this.answer.replaceChildren(
      variable.kind === "category" ? bars(variable, now, before, choose, state) : curve(variable, now, before, limit),
    );
  }
}

Row.count = 0;

// What was typed as a number where it is one; a comma may be its decimal point.
function plain(text) {
  const number = Number(text.trim().replace(/^(-?\d+),(\d+)$/, "$1.$2"));
  return Number.isFinite(number) ? number : text.trim();
}
