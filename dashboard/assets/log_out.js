// A button that ends the visitor's session and goes to the log-in. Called by Streamlit with {path, words}.

import { element } from "./element.js";
import { speak, tr } from "./words.js";

export default function (component) {
  const { data, parentElement } = component;
  speak(data);
  const button = element("button", "tg-log-out", tr("Log out"));
  button.type = "button";
  button.addEventListener("click", async () => {
    button.disabled = true;
    const answer = await fetch(data.path, { method: "POST", credentials: "same-origin" }).catch(() => null);
    location.assign(answer?.ok ? (await answer.json()).next : "/");
  });
  parentElement.querySelector(".tg-log-out")?.remove(); // not all children: Streamlit puts the style sheet there
  parentElement.append(button);
  return () => button.remove();
}
