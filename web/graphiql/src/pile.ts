// GraphiQL shows only the newest event of a subscription. A pile shows them all, and the answer as it grows.
export const EVENTS_SHOWN = 200;

type Result = { data?: Record<string, unknown> | null; errors?: readonly unknown[] };

export class Pile {
  private received = 0;
  private lastSequence = 0;
  private text = "";
  private events: unknown[] = [];
  private errors: unknown[] = [];

  /** `answerKey` is the name or alias under which `answerEvents` stands in the results, if it does. */
  constructor(private readonly answerKey: string | null) {}

  add(result: Result): void {
    if (result.errors) this.errors.push(...result.errors);
    if (!result.data) return;
    const values = Object.values(result.data);
    const event = values.length === 1 ? values[0] : result.data;
    const { sequence, text } = (event ?? {}) as { sequence?: unknown; text?: unknown };
    if (this.answerKey !== null && typeof sequence === "number") {
      // After a reconnect the server replays what was already seen.
      if (sequence <= this.lastSequence) return;
      this.lastSequence = sequence;
    }
    this.received += 1;
    this.events.unshift(event);
    if (this.events.length > EVENTS_SHOWN) this.events.pop();
    if (this.answerKey !== null && typeof text === "string") this.text += text;
  }

  fail(message: string): void {
    this.errors.push({ message });
  }

  /** What the result pane shows: the newest event is first. */
  view(): Record<string, unknown> {
    const errors = this.errors.length > 0 ? { errors: [...this.errors] } : {};
    const older = this.received - this.events.length;
    const cut = older > 0 ? { olderEventsNotShown: older } : {};
    return this.answerKey !== null
      ? { ...errors, text: this.text, received: this.received, events: [...this.events], ...cut }
      : { ...errors, received: this.received, latest: this.events[0] ?? null, events: [...this.events], ...cut };
  }
}
