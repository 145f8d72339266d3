// Parameters of the address that the browser alone sets. Streamlit writes the address from a copy of its own, at every
// page change and whenever Python sets a parameter; what is kept here is put back each time.

import { shared } from "./shared.js";

// name -> {value, owner}; a value of null keeps the parameter away
const kept = shared("address", () => watched(new Map()));

// The parameter or null. What a link brought is kept from the first time that somebody asks.
export function parameter(name) {
  if (kept.has(name)) return kept.get(name).value;
  const value = new URLSearchParams(window.location.search).get(name);
  if (value !== null) kept.set(name, { value, owner: null });
  return value;
}

// Set a parameter, or take it away with null, and hold it so until its owner lets go.
export function keepParameter(name, value, owner = null) {
  kept.set(name, { value, owner });
  restore(kept);
}

// Take away all that an owner has kept: a page that is left leaves nothing in the next one's address.
export function releaseParameters(owner) {
  const names = [...kept].filter(([, held]) => held.owner === owner).map(([name]) => name);
  for (const name of names) kept.set(name, { value: null, owner });
  restore(kept);
  for (const name of names) kept.delete(name);
}

// Browsers without this event lose the parameters at a page change, and nothing else.
function watched(held) {
  window.navigation?.addEventListener("currententrychange", () => restore(held));
  return held;
}

function restore(held) {
  const address = new URL(window.location.href);
  const { searchParams } = address;
  let isStale = false;
  for (const [name, { value }] of held) {
    if (searchParams.get(name) === value) continue;
    isStale = true;
    if (value === null) searchParams.delete(name);
    else searchParams.set(name, value);
  }
  if (isStale) window.history.replaceState(window.history.state, "", address);
}
