// What readers see, in their language: English sentences are the keys, and the page brings the others along.

let words = {};

export function speak(given) {
  words = given ?? {};
}

// The sentence in the page's language, {name} in it replaced by the values.
export function tr(sentence, values = {}) {
  const told = Object.hasOwn(words, sentence) ? words[sentence] : sentence;
  return told.replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(values, name) ? String(values[name]) : whole));
}
