/** Shapes, in the namespace of the page's own mark: its script holds no address, not even that of a standard. */

export function shape(
  tag: string,
  attributes: Record<string, string | number> = {},
  ...content: (Node | string)[]
): SVGElement {
  const namespace = document.querySelector("svg")?.namespaceURI ?? null;
  const element = document.createElementNS(namespace, tag) as SVGElement;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...content);
  return element;
}
