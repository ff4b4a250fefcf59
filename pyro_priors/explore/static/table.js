// A table's page takes a CSV file, and gives one of its rows.

import { send } from "./api.js";
import { byId, dropPlace, make } from "./parts.js";

// `give(given)` replaces all evidence, `fail(error)` shows a sentence.
export function tablePart(give, fail) {
  const chooser = make("label", { hidden: true }, "Row ");
  const select = make("select", {});
  chooser.append(select);
  let rows = [];
  select.addEventListener("change", () => give(rows[Number(select.value)]));
  const place = dropPlace("Drop a CSV file with the columns of this table, or choose one:", ".csv,text/csv", async (file) => {
    try {
      ({ rows } = await send("rows", file));
      select.replaceChildren(...rows.map((_, k) => make("option", { value: k }, `${k + 1} of ${rows.length}`)));
      chooser.hidden = rows.length < 2;
      give(rows[0]);
    } catch (error) {
      fail(error);
    }
  });
  place.append(chooser);
  byId("extra").append(place);
}
