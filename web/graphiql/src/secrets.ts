// Passwords, tokens, Authorization headers and values of tools' headers never go to localStorage, though GraphiQL keeps
// tabs and history there.

const KEY = "kyrochat-graphiql:example-password";
const HIDDEN = "<your password>";
const LETTERS = "abcdefghjkmnpqrstuvwxyz23456789";
let inMemory: string | null = null;

/** The password that was made up for the example, if this browser tab made one and it is still in use. */
export function examplePassword(): string | null {
  try {
    return sessionStorage.getItem(KEY) ?? inMemory;
  } catch {
    return inMemory;
  }
}

/** Make a password up once for each browser tab: an example must not give all accounts the same one. */
export function makeExamplePassword(): string {
  const existing = examplePassword();
  if (existing !== null) return existing;
  const letters = [...crypto.getRandomValues(new Uint8Array(20))].map((byte) => LETTERS[byte % LETTERS.length]);
  inMemory = letters.join("").replace(/.{5}(?=.)/g, "$&-");
  try {
    sessionStorage.setItem(KEY, inMemory);
  } catch {
    // Without storage it lives until the page is left.
  }
  return inMemory;
}

export function forgetExamplePassword(): void {
  inMemory = null;
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // There is none to forget.
  }
}

/**
 * Replace the strings after names that hold secrets in GraphQL or JSON text.
 *
 * The text may be JSON within JSON: a quote then has n backslashes before it at every level, and a backslash at the
 * end of a secret must not hide its closing quote.
 */
export function withoutSecrets(text: string): string {
  const start = /((?:password|token|secret|api-?key|authorization|setupCode|value)(?:\\*")?\s*:\s*)(\\*)"/gi;
  let clean = "";
  let position = 0;
  for (let match = start.exec(text); match; match = start.exec(text)) {
    const depth = match[2]!.length;
    const quote = `${match[2]}"`;
    const isBlock = text.startsWith(quote + quote, start.lastIndex);
    const end = isBlock ? closingBlock(text, start.lastIndex + 2 * quote.length, quote) : closingQuote(text, start.lastIndex, depth);
    clean += `${text.slice(position, match.index)}${match[1]}${quote}${HIDDEN}${quote}`;
    position = end;
    start.lastIndex = end;
  }
  return clean + text.slice(position);
}

/** The end of a block string: three quotes with one backslash more before them are a part of it. */
function closingBlock(text: string, from: number, quote: string): number {
  const quotes = quote.repeat(3);
  let at = text.indexOf(quotes, from);
  while (at > from && text[at - 1] === "\\") at = text.indexOf(quotes, at + 1);
  return at < 0 ? text.length : at + quotes.length;
}

function closingQuote(text: string, from: number, depth: number): number {
  let backslashes = 0;
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === "\\") backslashes += 1;
    else {
      const beyond = backslashes - depth;
      if (text[at] === '"' && beyond >= 0 && (beyond / (depth + 1)) % 2 === 0) return at + 1;
      backslashes = 0;
    }
  }
  return text.length;
}
