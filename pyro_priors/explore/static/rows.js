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
      Object.values(this.inputs)[0]?.focus();
    }
  }

  // Fields of a value, a range or categories; those that are there stay, lest somebody who types loses them.
  setFields(how, value) {
    if (this.kind !== how) {
      this.kind = how;
      this.inputs = {};
      const build = { is: () => this.valueField(), range: () => this.rangeFields(), any: () => this.choices() }[how];
      this.fields.replaceChildren(...(build ? [build()] : []));
    }
    const chosen = new Set(Array.isArray(value) ? value.map(String) : []);
    for (const [key, input] of Object.entries(this.inputs)) {
      if (how === "any") input.checked = chosen.has(key);
      else if (input !== document.activeElement) input.value = (key === "value" ? value : value?.[key]) ?? "";
    }
  }

  field(key, label, change) {
    const said = `${this.variable.name}: ${label}`;
    const input = make("input", { type: "text", inputmode: "decimal", autocomplete: "off", onchange: change, "aria-label": said });
    this.inputs[key] = input;
    return make("label", {}, label, input);
  }

  valueField() {
    return make("div", { class: "single" }, this.field("value", "value", () => this.say(plain(this.inputs.value.value))));
  }

  rangeFields() {
    const change = () => {
      const low = plain(this.inputs.low.value) ?? null;
      const high = plain(this.inputs.high.value) ?? null;
      if (low !== null || high !== null) this.say({ low, high });
    };
    return make("div", { class: "pair" }, this.field("low", "from", change), this.field("high", "to", change));
  }

  choices() {
    const boxes = make("div", { class: "choices", role: "group", "aria-label": `Categories of ${this.variable.name}` });
    const change = () => {
      const list = this.variable.categories.filter((text) => this.inputs[text].checked);
      this.say(list.length ? list : undefined);
    };
    for (const text of this.variable.categories) {
      this.inputs[text] = make("input", { type: "checkbox", onchange: change });
      boxes.append(make("label", {}, this.inputs[text], text));
    }
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
  const typed = text.trim();
  if (!typed) return undefined;
  const number = Number(typed.replace(/^(-?\d+),(\d+)$/, "$1.$2"));
  return Number.isFinite(number) ? number : typed;
}
