/** Elements from data. Text only ever goes in as text. */

type Content = Node | string | null;

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string> = {},
  ...content: Content[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...content.filter((item) => item !== null));
  return element;
}

export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element as T;
}

export function button(
  label: string,
  attributes: Record<string, string>,
  onClick: () => void,
): HTMLButtonElement {
  const element = el("button", { type: "button", ...attributes }, label);
  element.addEventListener("click", onClick);
  return element;
}

/** A style by its property: the page's policy forbids style attributes. */
export function styled<T extends HTMLElement>(element: T, property: string, value: string): T {
  element.style.setProperty(property, value);
  return element;
}
