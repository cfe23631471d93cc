import type { Observable } from "@graphiql/toolkit";
import { createClient } from "graphql-ws";
import { ENDPOINT, withSession, type Body } from "./http";
import { Pile } from "./pile";

// Painting the result pane costs more than receiving an event.
const PAINT_EVERY_MS = 60;
const RETRIES = 3;

function webSocketUrl(): string {
  const url = new URL(ENDPOINT);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

function sentence(error: unknown): string {
  if (error instanceof CloseEvent) return `The WebSocket was closed: ${error.code} ${error.reason}`.trim();
  if (Array.isArray(error)) return error.map((each: { message?: string }) => each.message ?? String(each)).join(" ");
  return error instanceof Error ? error.message : "The WebSocket failed.";
}

/** Run a subscription over a WebSocket of its own; what comes out is the pile, again at each paint. */
export function watch(body: Body, headers: Record<string, unknown> | undefined, answerKey: string | null): Observable<any> {
  return {
    subscribe(observer: any) {
      const pile = new Pile(answerKey);
      const client = createClient({
        url: webSocketUrl(),
        connectionParams: () => withSession(headers),
        retryAttempts: RETRIES,
        // 44xx are the server's refusals: asking again changes nothing.
        shouldRetry: (error) => error instanceof CloseEvent && (error.code < 4400 || error.code > 4499),
      });
      let timer: ReturnType<typeof setTimeout> | undefined;
      const paint = () => {
        timer = undefined;
        observer.next(pile.view());
      };
      const finish = () => {
        clearTimeout(timer);
        paint();
        observer.complete();
        void client.dispose();
      };
      const unsubscribe = client.subscribe(body as { query: string; variables?: Record<string, unknown> }, {
        next(result) {
          pile.add(result as Parameters<Pile["add"]>[0]);
          timer ??= setTimeout(paint, PAINT_EVERY_MS);
        },
        error(error) {
          pile.fail(sentence(error));
          finish();
        },
        complete: () => finish(),
      });
      return {
        unsubscribe() {
          clearTimeout(timer);
          // graphql-ws reports `complete` to whoever unsubscribes; GraphiQL has already moved on.
          observer = { next: () => {}, complete: () => {} };
          unsubscribe();
        },
      };
    },
  } as Observable<any>;
}
