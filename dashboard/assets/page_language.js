// Tells screen readers in which language the page is; some pages have no other component of ours that would.

import { speak } from "./words.js";

export default function ({ data }) {
  speak(data);
}
