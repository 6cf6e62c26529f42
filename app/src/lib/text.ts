/** What a message's text is made of, for showing. */
export type Piece =
  | { kind: "text"; text: string }
  | { kind: "link"; text: string; url: string }
  | { kind: "mention"; text: string; own: boolean };

const URLS = /\bhttps?:\/\/[^\s<>"']+/giu;
/** What ends a sentence rather than an address. */
const TRAILING = /[.,;:!?)\]}'"»”’…]+$/u;
const AFTER_NAME = /^[\p{L}\p{N}\p{M}]/u;

/** Cuts a text into plain text, links and mentions of people who are known. */
export function pieces(text: string, names: readonly string[], ownName: string | null): Piece[] {
  const found: Piece[] = [];
  let from = 0;
  for (const match of text.matchAll(URLS)) {
    const raw = match[0];
    let shown = raw.replace(TRAILING, "");
    // A bracket that the address opened is its own.
    if (raw[shown.length] === ")" && shown.includes("(")) shown = raw.slice(0, shown.length + 1);
    const url = parseUrl(shown);
    if (url === null) continue;
    found.push(...withMentions(text.slice(from, match.index), names, ownName));
    found.push({ kind: "link", text: shown, url });
    from = match.index + shown.length;
  }
  found.push(...withMentions(text.slice(from), names, ownName));
  return found;
}

/** An address in what leads to its host, the host, and where there. Only the host says who is reached. */
export function addressParts(url: string): { before: string; host: string; after: string } {
  const begins = url.indexOf("//") + 2;
  const rest = url.slice(begins).search(/[/?#]|$/) + begins;
  // A name and a password before it may look like a host.
  const host = Math.max(begins, url.lastIndexOf("@", rest) + 1);
  return { before: url.slice(0, host), host: url.slice(host, rest), after: url.slice(rest) };
}

function parseUrl(text: string): string | null {
  try {
    const url = new URL(text);
    return url.hostname ? url.href : null;
  } catch {
    return null;
  }
}

function withMentions(text: string, names: readonly string[], ownName: string | null): Piece[] {
  const found: Piece[] = [];
  let plain = 0;
  for (let at = text.indexOf("@"); at >= 0; at = text.indexOf("@", at + 1)) {
    const rest = text.slice(at + 1);
    const lower = rest.toLocaleLowerCase();
    let name: string | null = null;
    for (const candidate of ownName === null ? names : [ownName, ...names]) {
      const longer = name === null || candidate.length > name.length;
      const fits = lower.startsWith(candidate.toLocaleLowerCase());
      if (longer && fits && !AFTER_NAME.test(rest.slice(candidate.length))) name = candidate;
    }
    if (name === null) continue;
    if (at > plain) found.push({ kind: "text", text: text.slice(plain, at) });
    found.push({ kind: "mention", text: text.slice(at, at + 1 + name.length), own: name === ownName });
    plain = at + 1 + name.length;
  }
  if (plain < text.length) found.push({ kind: "text", text: text.slice(plain) });
  return found;
}

/** A quote at the head of a text, as replies carry it. */
export interface Quoted {
  author: string | null;
  quote: string;
  rest: string;
}

const QUOTE_MAX = 80;

/** What a reply's text begins with: one line that any client can read. */
export function quoteOf(username: string, text: string): string {
  const { rest } = splitQuote(text);
  const line = rest.replace(/\s+/g, " ").trim();
  const characters = [...line];
  const short = characters.length > QUOTE_MAX ? `${characters.slice(0, QUOTE_MAX - 1).join("")}…` : line;
  return `> ${username}: ${short}\n`;
}

/** Separates a leading quote from what was said to it. */
export function splitQuote(text: string): Quoted & { quote: string } {
  const lines = text.split("\n");
  let count = 0;
  while (lines[count]?.startsWith("> ")) count += 1;
  if (count === 0 || count === lines.length) return { author: null, quote: "", rest: text };
  const quote = lines
    .slice(0, count)
    .map((line) => line.slice(2))
    .join("\n");
  const named = /^([\p{L}\p{N}\p{M} ]{3,20}): (.*)$/su.exec(quote);
  return {
    author: named?.[1] ?? null,
    quote: named?.[2] ?? quote,
    rest: lines.slice(count).join("\n"),
  };
}

/** A text without the empty lines that would push what others say out of sight. */
export function withoutGaps(text: string): string {
  return text.replace(/\n{3,}/g, "\n\n");
}

const SIGN = String.raw`\p{Extended_Pictographic}[\p{Emoji_Modifier}\uFE0F]*`;
const SIGNS = new RegExp(
  String.raw`^(?:\s*(?:\p{Regional_Indicator}{2}|${SIGN}(?:\u200D${SIGN})*)){1,6}\s*$`,
  "u",
);

/** Whether a text is a few emoji and nothing else, which are meant to be looked at rather than read. */
export function isEmojiOnly(text: string): boolean {
  return SIGNS.test(text);
}

/** Characters as the relay counts them: code points, after trimming. */
export function lengthOf(text: string): number {
  return [...text.trim()].length;
}
