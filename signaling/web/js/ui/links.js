// Links in messages: which parts of a text are addresses. Pure.

const LINK = /https?:\/\/[^\s<>"]+/g;
/** What ends a sentence or closes a bracket belongs to the text, not to the address before it. */
const TAIL = /[.,;:!?)\]}'»”]+$/;

/**
 * @param {string} text
 * @returns {{ text: string, isLink: boolean }[]} parts that make up the text
 */
export function parts(text) {
  const out = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(LINK)) {
    const url = found.replace(TAIL, '');
    out.push({ text: text.slice(end, index), isLink: false }, { text: url, isLink: true });
    end = index + url.length;
  }
  return [...out, { text: text.slice(end), isLink: false }].filter((part) => part.text !== '');
}
