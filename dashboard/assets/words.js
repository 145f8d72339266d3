// What readers see, in their language: English sentences are the keys, and the page brings the others along.

let words = {};

// Called with a component's data: what it brings, and the language that a screen reader is told of.
export function speak(data) {
  words = data.words ?? {};
  document.documentElement.lang = data.language ?? "en";
}

// The sentence in the page's language, {name} in it replaced by the values.
export function tr(sentence, values = {}) {
  const told = Object.hasOwn(words, sentence) ? words[sentence] : sentence;
  return told.replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(values, name) ? String(values[name]) : whole));
}

// Name a sentence for the catalogues and leave it as it is: whoever shows it calls `tr`.
export function mark(sentence) {
  return sentence;
}
