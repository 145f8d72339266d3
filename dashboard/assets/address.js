// Parameters of the address that the browser alone sets. Streamlit writes the address from a copy of its own, at every
// page change and whenever Python sets a parameter; what is kept here is put back each time.

import { shared } from "./shared.js";

const kept = shared("address", () => new Map()); // name -> {value, owner}; a value of null keeps the parameter away

export function parameter(name) {
  return kept.has(name) ? kept.get(name).value : new URLSearchParams(window.location.search).get(name);
}

// Set a parameter, or take it away with null, and hold it so until its owner lets go.
export function keepParameter(name, value, owner = null) {
  kept.set(name, { value, owner });
  restore();
}

// Take away all that an owner has kept: a page that is left leaves nothing in the next one's address.
export function releaseParameters(owner) {
  const names = [...kept].filter(([, held]) => held.owner === owner).map(([name]) => name);
  for (const name of names) kept.set(name, { value: null, owner });
  restore();
  for (const name of names) kept.delete(name);
}

// Put back what the address has lost; components that are drawn anew call it too, for browsers that tell no changes.
export function restore() {
  const address = new URL(window.location.href);
  const { searchParams } = address;
  let isStale = false;
  for (const [name, { value }] of kept) {
    if (searchParams.get(name) === value) continue;
    isStale = true;
    if (value === null) searchParams.delete(name);
    else searchParams.set(name, value);
  }
  if (isStale) window.history.replaceState(window.history.state, "", address);
}

shared("address.listening", () => {
  window.navigation?.addEventListener("currententrychange", restore);
  return true;
});
