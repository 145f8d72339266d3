// What all our components on a page share: the server gives each component's scripts an address of its own, so a module
// that two of them import is there twice.

export function shared(name, make) {
  const key = Symbol.for(`torchglass.${name}`);
  window[key] ??= make();
  return window[key];
}
