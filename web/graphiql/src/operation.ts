// What the fetcher must know of an operation: its kind, and which field stands behind which key of the result.
import { getOperationAST, parse } from "graphql";

export interface Operation {
  readonly kind: "query" | "mutation" | "subscription";
  /** Key in the result's data -> name of the field. */
  readonly fields: ReadonlyMap<string, string>;
}

/** The operation that would run, or null when the server should say what is wrong with the document. */
export function readOperation(query: string, operationName?: string | null): Operation | null {
  try {
    const operation = getOperationAST(parse(query), operationName);
    if (!operation) return null;
    const fields = new Map<string, string>();
    for (const selection of operation.selectionSet.selections) {
      if (selection.kind === "Field") fields.set((selection.alias ?? selection.name).value, selection.name.value);
    }
    return { kind: operation.operation, fields };
  } catch {
    return null;
  }
}
