import { getState, learn, signOut } from "./session";

// Relative to the page, so that a reverse proxy may serve both below any prefix.
export const ENDPOINT = new URL("../graphql", window.location.href.replace(/[?#].*$/, ""));

export type Headers = Record<string, string>;
export type Body = { query: string; variables?: unknown; operationName?: string | null };
export type Json = { data?: Record<string, unknown> | null; errors?: { message: string; extensions?: { code?: string } }[] };

const REFRESH_AHEAD_MS = 30_000;
const REFRESH = `mutation Refresh($refreshToken: String!) {
  refreshSession(input: { refreshToken: $refreshToken }) { ... on Session { accessToken refreshToken expiresAt user { email } } }
}`;

/** What the user typed in the Headers pane, without empty values: `"Authorization": ""` sends none at all. */
function typed(headers: Record<string, unknown> | undefined): Headers {
  const pairs = Object.entries(headers ?? {}).filter(([, value]) => value !== null && value !== "");
  return Object.fromEntries(pairs.map(([name, value]) => [name, String(value)]));
}

/** Headers for a request or a socket: the signed-in session's, unless the user typed an own Authorization. */
export async function withSession(headers: Record<string, unknown> | undefined): Promise<Headers> {
  const own = Object.keys(headers ?? {}).some((name) => name.toLowerCase() === "authorization");
  if (own) return typed(headers);
  await refreshSoonExpired();
  const { session } = getState();
  return session ? { Authorization: `Bearer ${session.accessToken}`, ...typed(headers) } : typed(headers);
}

let refreshing: Promise<void> | null = null;

function refreshSoonExpired(): Promise<void> {
  const { session } = getState();
  const fresh = !session?.expiresAtMs || Date.now() < session.expiresAtMs - REFRESH_AHEAD_MS;
  if (fresh || !session.refreshToken) return Promise.resolve();
  // One at a time: a refresh token is good once.
  refreshing ??= refresh(session.refreshToken).finally(() => (refreshing = null));
  return refreshing;
}

async function refresh(refreshToken: string): Promise<void> {
  const before = getState().session;
  const { data } = await post({ query: REFRESH, variables: { refreshToken } }, {});
  learn("refreshSession", data?.["refreshSession"], null);
  if (data && getState().session === before) signOut();
}

/** End the session on the server too; whether or not that works, this page forgets it. */
export async function endSession(): Promise<void> {
  const headers = await withSession(undefined);
  signOut();
  await post({ query: "mutation { logout }" }, headers);
}

/** Send one operation; what is not a GraphQL answer becomes one error with a sentence to read. */
export async function post(body: Body, headers: Headers): Promise<Json> {
  let response: Response;
  try {
    response = await fetch(ENDPOINT, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/graphql-response+json, application/json", ...headers },
      body: JSON.stringify(body),
    });
  } catch (error) {
    return failure(`No answer from ${ENDPOINT.pathname}: ${String(error)}`);
  }
  const text = await response.text();
  try {
    return JSON.parse(text) as Json;
  } catch {
    return failure(`${ENDPOINT.pathname} answered HTTP ${response.status} without JSON: ${text.slice(0, 300)}`);
  }
}

export const failure = (...messages: string[]): Json => ({ errors: messages.map((message) => ({ message })) });
