/** Names are letters, digits and single spaces, so a mention ends where no such character follows. */
const WORD = /[\p{L}\p{N}\p{M}]/u;

/** Whether a text speaks to somebody by `@name`, whatever the case. */
export function mentions(text: string, name: string): boolean {
  return findMention(text.toLocaleLowerCase(), `@${name.toLocaleLowerCase()}`, 0) >= 0;
}

function findMention(text: string, needle: string, from: number): number {
  for (let at = text.indexOf(needle, from); at >= 0; at = text.indexOf(needle, at + 1)) {
    const before = text[at - 1];
    const after = text.codePointAt(at + needle.length);
    const begins = before === undefined || !WORD.test(before);
    const ends = after === undefined || !WORD.test(String.fromCodePoint(after));
    if (begins && ends) return at;
  }
  return -1;
}

/** A name that is being typed after an `@`, and where it begins. */
export interface MentionDraft {
  start: number;
  query: string;
}

/** What stands between the last `@` and the caret, when that could become a mention. */
export function mentionAt(text: string, caret: number): MentionDraft | null {
  const start = text.lastIndexOf("@", caret - 1);
  if (start < 0) return null;
  const before = text[start - 1];
  if (before !== undefined && WORD.test(before)) return null;
  const query = text.slice(start + 1, caret);
  if (query.length > 20 || /[^\p{L}\p{N}\p{M} ]/u.test(query) || /^ | {2}/.test(query)) return null;
  return { start, query };
}

/** Those whose name begins with what was typed, or has a word that does. */
export function matching<T extends { username: string }>(people: T[], query: string, most: number): T[] {
  const wanted = query.toLocaleLowerCase();
  const found: T[] = [];
  for (const person of people) {
    const name = person.username.toLocaleLowerCase();
    if (name.startsWith(wanted) || name.includes(` ${wanted}`)) found.push(person);
    if (found.length === most) break;
  }
  return found;
}
