// What is asked stands behind the "#" of the address, so that a link shows the same.

export function read() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const state = { given: {}, seed: 0, image: null, before: null };
  try {
    const given = JSON.parse(parts.get("given") ?? "{}");
    if (given && typeof given === "object" && !Array.isArray(given)) state.given = given;
  } catch {
    // A link that was cut off shows the law with nothing given.
  }
  const seed = Number(parts.get("seed") ?? 0);
  if (Number.isInteger(seed) && seed >= 0) state.seed = seed;
  state.image = parts.get("image");
  return state;
}

export function write(state) {
  const parts = new URLSearchParams();
  if (Object.keys(state.given).length) parts.set("given", JSON.stringify(state.given));
  if (state.seed) parts.set("seed", state.seed);
  if (state.image) parts.set("image", state.image);
  const hash = parts.toString();
  if (hash !== location.hash.slice(1)) history.pushState(null, "", hash ? `#${hash}` : location.pathname);
}

// A value, a range, or categories in words.
export function words(value) {
  if (Array.isArray(value)) return `one of ${value.join(", ")}`;
  if (value && typeof value === "object") {
    if (value.low === null || value.low === undefined) return `≤ ${value.high}`;
    if (value.high === null || value.high === undefined) return `≥ ${value.low}`;
    return `${value.low} to ${value.high}`;
  }
  return `= ${value}`;
}
