// Who is signed in and what was made last. Kept in memory only: a reload or another tab starts signed out.
import type { FilledName } from "./placeholders";

export interface Session {
  readonly accessToken: string;
  readonly refreshToken: string | null;
  readonly expiresAtMs: number | null;
  readonly email: string | null;
}

export interface State {
  readonly session: Session | null;
  readonly known: Readonly<Partial<Record<FilledName, string>>>;
}

const SIGNED_OUT: State = { session: null, known: {} };
const listeners = new Set<() => void>();
let state: State = SIGNED_OUT;

function change(next: State): void {
  state = next;
  for (const listener of listeners) listener();
}

export const getState = (): State => state;
export const signOut = (): void => change(SIGNED_OUT);

export function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Which placeholder the id under a mutation's field can fill, and where in the result the id is. */
const MADE_BY: Record<string, [FilledName, string[]]> = {
  createBot: ["bot id", ["id"]],
  addTextDocument: ["document id", ["id"]],
  addWebDocument: ["document id", ["id"]],
  retryDocument: ["document id", ["id"]],
  startConversation: ["conversation id", ["id"]],
  sendMessage: ["answer id", ["answer", "id"]],
  regenerateAnswer: ["answer id", ["answer", "id"]],
};
const SIGNS_IN = new Set(["register", "login", "refreshSession"]);

function at(value: unknown, path: string[]): unknown {
  return path.reduce<unknown>((inner, key) => (inner as Record<string, unknown> | null | undefined)?.[key], value);
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

/** Learn from one root field of a mutation's result; `email` is the one that was sent, if it was. */
export function learn(field: string, value: unknown, email: string | null): void {
  if (field === "logout" && value === true) return signOut();
  const accessToken = text(at(value, ["accessToken"]));
  if (SIGNS_IN.has(field) && accessToken) {
    const expiresAtMs = Date.parse(text(at(value, ["expiresAt"])) ?? "");
    const session = {
      accessToken,
      refreshToken: text(at(value, ["refreshToken"])),
      expiresAtMs: Number.isNaN(expiresAtMs) ? null : expiresAtMs,
      email: text(at(value, ["user", "email"])) ?? email ?? state.session?.email ?? null,
    };
    // Another user cannot use the ids of the one before.
    return change({ session, known: session.email === state.session?.email ? state.known : {} });
  }
  const made = MADE_BY[field];
  const id = made && text(at(value, made[1]));
  if (made && id) change({ ...state, known: { ...state.known, [made[0]]: id } });
}
