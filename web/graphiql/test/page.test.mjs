import assert from "node:assert/strict";
import { test } from "node:test";
import { EVENTS_SHOWN, Pile } from "../node_modules/.tested/pile.js";
import { fillIn } from "../node_modules/.tested/placeholders.js";
import { withoutSecrets } from "../node_modules/.tested/secrets.js";
import { getState, learn } from "../node_modules/.tested/session.js";

test("an answer's text grows and a replay after a reconnect adds nothing", () => {
  const pile = new Pile("a");
  const send = (event) => pile.add({ data: { a: event } });
  send({ sequence: 1, passages: [{ text: "not the answer" }] });
  send({ sequence: 2, text: "Hel" });
  send({ sequence: 3, text: "lo" });
  send({ sequence: 2, text: "Hel" });
  assert.deepEqual(pile.view(), {
    text: "Hello",
    received: 3,
    events: [{ sequence: 3, text: "lo" }, { sequence: 2, text: "Hel" }, { sequence: 1, passages: [{ text: "not the answer" }] }],
  });
});

test("another subscription shows its latest event, and a failure keeps what came before", () => {
  const pile = new Pile(null);
  pile.add({ data: { documentProgress: { progress: 1 } } });
  pile.fail("gone");
  assert.deepEqual(pile.view(), {
    errors: [{ message: "gone" }],
    received: 1,
    latest: { progress: 1 },
    events: [{ progress: 1 }],
  });
});

test("a long answer keeps all its text but not all its events", () => {
  const pile = new Pile("answerEvents");
  for (let sequence = 1; sequence <= EVENTS_SHOWN + 5; sequence += 1) pile.add({ data: { answerEvents: { sequence, text: "x" } } });
  const view = pile.view();
  assert.equal(view.text.length, EVENTS_SHOWN + 5);
  assert.equal(view.events.length, EVENTS_SHOWN);
  assert.equal(view.olderEventsNotShown, 5);
});

test("known placeholders are filled in at any depth and unknown ones say what to do", () => {
  const variables = { a: ["<bot id>"], b: { c: "<answer id>" }, d: "<bot id> is text", e: "<other>", f: 1, g: null };
  const { filled, missing } = fillIn(variables, { "bot id": "B" });
  assert.deepEqual(filled, { ...variables, a: ["B"] });
  assert.equal(missing.length, 1);
  assert.match(missing[0], /run the tab Ask first/);
});

test("secrets are taken out at every depth of JSON within JSON", () => {
  const secrets = ["plain", 'with "quotes"', "ends with a backslash\\", '\\"', "ünï\ncode", ""];
  for (const secret of secrets) {
    let stored = { password: secret, refreshToken: secret, "X-Api-Key": secret, Authorization: `Bearer ${secret}`, kept: 'a "b" \\' };
    const expected = { password: "<your password>", refreshToken: "<your password>", "X-Api-Key": "<your password>", Authorization: "<your password>", kept: stored.kept };
    for (let depth = 0; depth < 4; depth += 1) {
      let read = withoutSecrets(JSON.stringify(stored));
      for (let level = 0; level <= depth; level += 1) read = level === 0 ? JSON.parse(read) : JSON.parse(read.inner);
      assert.deepEqual(read, expected, `${secret} at depth ${depth}`);
      stored = { inner: JSON.stringify(stored), after: "kept" };
    }
  }
  assert.equal(withoutSecrets('login(input: {password: "x"}) { accessToken }'), 'login(input: {password: "<your password>"}) { accessToken }');
});

test("secrets of tools, setup codes and block strings are taken out too, at any depth", () => {
  const stored = (secret) => 'headers: [{name: "Authorization", value: "' + secret + '"}] setupCode: "' + secret + '" password: """' + secret + '""" title: "kept"';
  let [text, expected] = [stored('Bearer \\"s3cret'), stored("<your password>").replaceAll('"""', '"')];
  for (let depth = 0; depth < 3; depth += 1) {
    assert.equal(withoutSecrets(text), expected, `depth ${depth}`);
    text = JSON.stringify({ query: text });
    expected = JSON.stringify({ query: expected });
  }
  const block = (secret) => `password: """${secret}""", name: "kept"`;
  assert.equal(withoutSecrets(block('a "quoted" \\""" s3cret')), 'password: "<your password>", name: "kept"');
  assert.equal(withoutSecrets('password: "", name: "kept"'), 'password: "<your password>", name: "kept"');
  assert.equal(withoutSecrets('password: """s3cret'), 'password: "<your password>"');
});

test("a session and ids are learned, another user starts afresh, and logout forgets all", () => {
  const session = (email) => ({ accessToken: "t", expiresAt: "2030-01-01T00:00:00Z", user: { email } });
  learn("register", session("a@b.c"), null);
  learn("createBot", { id: "B" }, null);
  learn("sendMessage", { question: { id: "Q" }, answer: { id: "A" } }, null);
  learn("createBot", { __typename: "ConflictProblem", message: "taken" }, null);
  assert.deepEqual(getState().known, { "bot id": "B", "answer id": "A" });
  assert.equal(getState().session.email, "a@b.c");
  learn("refreshSession", { accessToken: "t2" }, null);
  assert.deepEqual([getState().session.email, getState().known["bot id"]], ["a@b.c", "B"]);
  learn("login", session("d@e.f"), null);
  assert.deepEqual(getState().known, {});
  learn("logout", true, null);
  assert.equal(getState().session, null);
});
