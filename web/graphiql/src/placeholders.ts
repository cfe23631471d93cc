// "<bot id>" and its like in the Variables pane stand for what an earlier tab made.
export type FilledName = "bot id" | "document id" | "conversation id" | "answer id" | "your password";

const HOW_TO_GET: Record<FilledName, string> = {
  "bot id": "run the tab CreateBot first",
  "document id": "run the tab AddDocument first",
  "conversation id": "run the tab StartConversation first",
  "answer id": "run the tab Ask first",
  "your password": "type the password that you signed up with",
};

export type Known = Readonly<Partial<Record<FilledName, string>>>;

function nameIn(value: string): FilledName | null {
  const name = /^<(.+)>$/.exec(value)?.[1];
  return name !== undefined && Object.hasOwn(HOW_TO_GET, name) ? (name as FilledName) : null;
}

/** The variables with known placeholders replaced; `missing` says what to do about each of the others. */
export function fillIn<T>(variables: T, known: Known): { filled: T; missing: string[] } {
  const missing = new Set<string>();
  const visit = (value: unknown): unknown => {
    if (typeof value === "string") {
      const name = nameIn(value);
      if (name === null) return value;
      const found = known[name];
      if (found !== undefined) return found;
      const otherwise = name === "your password" ? "" : ", or put an id there yourself";
      missing.add(`"${value}" in the Variables pane is not known yet: ${HOW_TO_GET[name]}${otherwise}.`);
      return value;
    }
    if (Array.isArray(value)) return value.map(visit);
    if (typeof value === "object" && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, visit(inner)]));
    }
    return value;
  };
  return { filled: visit(variables) as T, missing: [...missing] };
}
