import type { Fetcher, FetcherOpts, FetcherParams } from "@graphiql/toolkit";
import { failure, post, withSession, type Json } from "./http";
import { readOperation, type Operation } from "./operation";
import { fillIn } from "./placeholders";
import { examplePassword, forgetExamplePassword } from "./secrets";
import { getState, learn } from "./session";
import { watch } from "./socket";

/** Every request of the page: fills placeholders in, signs it, sends it, and learns from what comes back. */
async function send(params: FetcherParams, options?: FetcherOpts) {
  const known = { "your password": examplePassword() ?? undefined, ...getState().known };
  const { filled, missing } = fillIn(params.variables, known);
  if (missing.length > 0) return failure(...missing.map((what) => `Request not sent. ${what}`));
  const body = { ...params, variables: filled };
  const operation = readOperation(params.query, params.operationName);
  if (operation?.kind === "subscription") {
    const [answer] = [...operation.fields].find(([, field]) => field === "answerEvents") ?? [null];
    return watch(body, options?.headers, answer);
  }
  const headers = await withSession(options?.headers);
  const result = await post(body, headers);
  if (operation?.kind === "mutation") learnAll(operation, result, filled);
  return withHint(result);
}

// GraphiQL shows any JSON, though its types want results to the letter.
export const fetcher = send as Fetcher;

function learnAll(operation: Operation, result: Json, variables: unknown): void {
  const { email, password } = (variables ?? {}) as { email?: string; password?: string };
  for (const [key, field] of operation.fields) {
    const before = getState().session;
    learn(field, result.data?.[key], email ?? null);
    if (getState().session !== before && password && password !== examplePassword()) forgetExamplePassword();
  }
}

function withHint(result: Json): Json & { hint?: string } {
  const refused = result.errors?.some((error) => error.extensions?.code === "UNAUTHENTICATED") ?? false;
  return refused ? { ...result, hint: "Run the tab SignUp first (choose SignIn if you have an account)." } : result;
}
