import type { Storage } from "@graphiql/toolkit";
import { EXAMPLES_VERSION } from "./examples";
import { withoutSecrets } from "./secrets";

// Own names: another GraphiQL on this host and port has its own tabs.
const PREFIX = "kyrochat-";
/** What the examples fill. It is kept per version of the examples, so that an upgrade shows the new ones. */
const OF_TABS = new Set(["graphiql:tabState", "graphiql:query", "graphiql:variables"]);
const VERSIONED = `${PREFIX}v${EXAMPLES_VERSION}-`;

const inMemory = new Map<string, string>();
const nameOf = (key: string) => (OF_TABS.has(key) ? VERSIONED : PREFIX) + key;

/** localStorage where it is allowed, else memory; secrets are taken out on the way in. */
export const storage: Storage = {
  getItem(key) {
    const name = nameOf(key);
    try {
      return localStorage.getItem(name) ?? inMemory.get(name) ?? null;
    } catch {
      return inMemory.get(name) ?? null;
    }
  },
  setItem(key, value) {
    const name = nameOf(key);
    const clean = withoutSecrets(value);
    try {
      localStorage.setItem(name, clean);
    } catch {
      inMemory.set(name, clean);
    }
  },
  removeItem(key) {
    const name = nameOf(key);
    inMemory.delete(name);
    try {
      localStorage.removeItem(name);
    } catch {
      // It was in memory.
    }
  },
  clear() {
    for (const key of ownKeys()) localStorage.removeItem(key);
    inMemory.clear();
  },
  get length() {
    return ownKeys().length + inMemory.size;
  },
};

function ownKeys(): string[] {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
  } catch {
    return [];
  }
}

/** Forget the tabs of other versions of the examples. */
export function dropOldVersions(): void {
  for (const key of ownKeys()) {
    if (/^kyrochat-v[^-]*-/.test(key) && !key.startsWith(VERSIONED)) localStorage.removeItem(key);
  }
}
