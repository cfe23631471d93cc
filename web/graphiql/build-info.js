// Writes build-info.json: what the page was built from and what came out, so that a test without Node can tell a
// stale or hand-edited build.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";

const SOURCES = ["build-info.js", "index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.js", "public", "src"];

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

function hashes(root, names) {
  const found = {};
  for (const name of names) {
    const path = join(root, name);
    let entries;
    try {
      entries = readdirSync(path, { recursive: true, withFileTypes: true });
    } catch {
      found[name] = sha256(readFileSync(path));
      continue;
    }
    for (const entry of entries.filter((each) => each.isFile())) {
      const file = join(entry.parentPath, entry.name);
      found[relative(root, file).split(sep).join("/")] = sha256(readFileSync(file));
    }
  }
  return Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function buildInfo(root) {
  let out;
  return {
    name: "build-info",
    apply: "build",
    configResolved(config) {
      out = join(config.root, config.build.outDir);
    },
    closeBundle() {
      const info = { sources: hashes(root, SOURCES), files: hashes(out, readdirSync(out)) };
      delete info.files["build-info.json"];
      writeFileSync(join(out, "build-info.json"), `${JSON.stringify(info, null, 1)}\n`);
    },
  };
}
