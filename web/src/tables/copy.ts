/** Text to the clipboard; where a page may not write there, selected in a field to be copied by hand. */

import { button, el } from "../dom";

/** True where it is copied; else it lies selected in `place`. */
export async function copyText(text: string, place: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    place.replaceChildren();
    return true;
  } catch {
    // No clipboard here, or no leave to use it.
  }
  const field = el("textarea", {
    class: "copied",
    readonly: "",
    rows: "6",
    "aria-label": "The table as text",
  });
  field.value = text;
  const close = button("Close", { class: "quiet" }, () => place.replaceChildren());
  place.replaceChildren(field, close);
  field.focus();
  field.select();
  try {
    return document.execCommand("copy");
  } catch {
    return false;
  }
}
