// The audit that the authors of GraphQL over HTTP ship, every part of it: a server that does nothing passes all MUSTs.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { serverAudits } from 'graphql-http'

const audits = serverAudits({ url: process.env.KYROCHAT_URL, fetchFn: fetch })

test('there are as many audits as there were', () => assert.equal(audits.length, 61))

for (const audit of audits) {
  test(`${audit.id} ${audit.name}`, async () => {
    const result = await audit.fn()
    assert.equal(result.status, 'ok', result.reason)
  })
}
